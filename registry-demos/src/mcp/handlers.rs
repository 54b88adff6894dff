//! The MCP servers, written with the SDK's macros: two with different tools, and a replacement for one of them.

use std::sync::Arc;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};
use tokio::sync::Notify;

/// The name under which [`Arithmetic`], and later [`NewArithmetic`], is registered.
pub(crate) const ARITHMETIC: &str = "arithmetic";

/// The name under which [`Text`] is registered.
pub(crate) const TEXT: &str = "text";

/// The name, version and tools of a server, which its clients check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerInfo {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The names of the tools, in alphabetical order.
    pub(crate) tools: &'static [&'static str],
}

/// A handler for the sessions of a server, and the information about it.
pub(crate) trait McpServer: ServerHandler + Clone {
    const INFO: ServerInfo;
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Pair {
    a: i64,
    b: i64,
}

/// Version 1: adds and multiplies.
#[derive(Clone, Debug)]
pub(crate) struct Arithmetic;

impl McpServer for Arithmetic {
    const INFO: ServerInfo = ServerInfo { name: ARITHMETIC, version: "1.0.0", tools: &["add", "multiply"] };
}

#[tool_router]
impl Arithmetic {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Pair { a, b }): Parameters<Pair>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "Multiplies two numbers")]
    fn multiply(&self, Parameters(Pair { a, b }): Parameters<Pair>) -> String {
        (a * b).to_string()
    }
}

#[tool_handler(name = "arithmetic", version = "1.0.0")]
impl ServerHandler for Arithmetic {}

/// Version 2: adds and subtracts.
#[derive(Clone, Debug)]
pub(crate) struct NewArithmetic;

impl McpServer for NewArithmetic {
    const INFO: ServerInfo = ServerInfo { name: ARITHMETIC, version: "2.0.0", tools: &["add", "subtract"] };
}

#[tool_router]
impl NewArithmetic {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Pair { a, b }): Parameters<Pair>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "Subtracts the second number from the first")]
    fn subtract(&self, Parameters(Pair { a, b }): Parameters<Pair>) -> String {
        (a - b).to_string()
    }
}

#[tool_handler(name = "arithmetic", version = "2.0.0")]
impl ServerHandler for NewArithmetic {}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Line {
    text: String,
}

/// Transforms text, and has one tool that waits until it is released.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    gate: Arc<Gate>,
}

/// Keeps one call of `hold` pending.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The call has started.
    pub(crate) started: Notify,
    /// The call may return.
    pub(crate) release_call: Notify,
}

impl Text {
    pub(crate) fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate) }
    }
}

impl McpServer for Text {
    const INFO: ServerInfo = ServerInfo { name: TEXT, version: "1.0.0", tools: &["hold", "reverse", "upper"] };
}

#[tool_router]
impl Text {
    #[tool(description = "Converts a text to upper case")]
    fn upper(&self, Parameters(Line { text }): Parameters<Line>) -> String {
        text.to_uppercase()
    }

    #[tool(description = "Reverses a text")]
    fn reverse(&self, Parameters(Line { text }): Parameters<Line>) -> String {
        text.chars().rev().collect()
    }

    #[tool(description = "Returns when it is released")]
    async fn hold(&self) -> String {
        self.gate.started.notify_one();
        self.gate.release_call.notified().await;
        "released".to_owned()
    }
}

#[tool_handler(name = "text", version = "1.0.0")]
impl ServerHandler for Text {}
