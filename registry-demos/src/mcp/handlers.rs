//! The MCP servers of the example, written with the SDK's macros: two with different tools, and the successor of one.

use std::sync::Arc;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};
use tokio::sync::Notify;

/// The name under which [`Arithmetic`], and later [`NewArithmetic`], is registered.
pub(crate) const ARITHMETIC: &str = "arithmetic";

/// The name under which [`Text`] is registered.
pub(crate) const TEXT: &str = "text";

/// What a server says of itself, and what it must be found to say by its clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// In alphabetical order.
    pub(crate) tools: &'static [&'static str],
}

/// A server that can be opened: a handler for its sessions, and what it says of itself.
pub(crate) trait Serves: ServerHandler + Clone {
    const PROFILE: Profile;
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Pair {
    a: i64,
    b: i64,
}

/// Version 1: it adds and multiplies.
#[derive(Clone, Debug)]
pub(crate) struct Arithmetic;

impl Serves for Arithmetic {
    const PROFILE: Profile = Profile { name: ARITHMETIC, version: "1.0.0", tools: &["add", "multiply"] };
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

/// Version 2: it adds and subtracts.
#[derive(Clone, Debug)]
pub(crate) struct NewArithmetic;

impl Serves for NewArithmetic {
    const PROFILE: Profile = Profile { name: ARITHMETIC, version: "2.0.0", tools: &["add", "subtract"] };
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

/// It changes text, and has one tool that takes as long as it is told to.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    gate: Arc<Gate>,
}

/// Holds one call to `hold` open.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The call has begun.
    pub(crate) began: Notify,
    /// It may go on.
    pub(crate) go_on: Notify,
}

impl Text {
    pub(crate) fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate) }
    }
}

impl Serves for Text {
    const PROFILE: Profile = Profile { name: TEXT, version: "1.0.0", tools: &["hold", "reverse", "upper"] };
}

#[tool_router]
impl Text {
    #[tool(description = "Turns a text into capitals")]
    fn upper(&self, Parameters(Line { text }): Parameters<Line>) -> String {
        text.to_uppercase()
    }

    #[tool(description = "Turns a text round")]
    fn reverse(&self, Parameters(Line { text }): Parameters<Line>) -> String {
        text.chars().rev().collect()
    }

    #[tool(description = "Answers when it is let go")]
    async fn hold(&self) -> String {
        self.gate.began.notify_one();
        self.gate.go_on.notified().await;
        "let go".to_owned()
    }
}

#[tool_handler(name = "text", version = "1.0.0")]
impl ServerHandler for Text {}
