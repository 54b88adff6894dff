//! Tests of both programs.

mod mcp;
mod top;
