//! The tests of the programs `top` and `mcp`.

mod mcp;
mod top;
