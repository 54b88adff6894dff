//! Real MCP through the registry: the SDK's own clients and servers, with every JSON-RPC message routed.
//!
//! Two servers with different tools are registered, and several clients, each on a transport of its own that is bound
//! to one of them. One client dies in the middle of a call, and one server is replaced by another of the same name.
//! At the end the books are closed: what senders counted must be what the registry counted, each result must have been
//! the right one, and nothing may be left in the registry.

#![allow(clippy::print_stdout, reason = "this program talks to a person")]

use anyhow::bail;
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use registry_router::Registry;
use registry_router::backends::Papaya;

use registry_demos::mcp::{Frame, Plan};

/// Puts real MCP traffic through a registry, and prints an account of it.
#[derive(Debug, Parser)]
struct Options {
    /// How many clients.
    #[arg(long, default_value_t = 8, value_parser = RangedU64ValueParser::<u64>::new().range(2..=10_000))]
    clients: u64,
    /// How many calls each client makes in each of three rounds.
    #[arg(long, default_value_t = 100, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000))]
    calls: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { clients, calls } = Options::parse();
    let registry = Registry::<Frame, Papaya>::builder().build()?;
    let account = registry_demos::mcp::run(registry, Plan { clients, calls }).await?;
    println!("{account}");
    let faults = account.faults();
    if !faults.is_empty() {
        bail!("the account does not match:\n  {}", faults.join("\n  "));
    }
    println!("All of it matches.");
    Ok(())
}
