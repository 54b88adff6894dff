//! Larger programs on `registry-router`: a terminal dashboard of a registry under load, and MCP traffic through one.

pub mod mcp;
pub mod top;
