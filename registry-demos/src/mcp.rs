//! The program `mcp`: clients and servers of the MCP SDK, with every JSON-RPC message routed by a registry.

mod client;
mod frame;
mod handlers;
mod report;
mod scenario;
mod server;
mod traffic;
mod transport;

pub use self::frame::Frame;
pub use self::report::Report;
pub use self::scenario::{Plan, run};
