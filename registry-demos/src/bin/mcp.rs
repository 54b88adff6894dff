//! MCP over the registry: clients and servers of the MCP SDK, with every JSON-RPC message routed by the registry.
//!
//! Registers two servers with different tools, and several clients, each on its own transport that is bound to one of
//! them. One client is dropped during a call, and one server is replaced by another with the same name. At the end the
//! report is checked: the senders' counts must equal the registry's, every result must have been correct, and the registry
//! must be empty.

#![allow(clippy::print_stdout, reason = "a command-line program")]

use anyhow::bail;
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use registry_router::Registry;
use registry_router::backends::Papaya;

use registry_demos::mcp::{Frame, Plan};

/// Routes MCP traffic through a registry, and prints a report.
#[derive(Debug, Parser)]
struct Options {
    /// Number of clients.
    #[arg(long, default_value_t = 8, value_parser = RangedU64ValueParser::<u64>::new().range(2..=10_000))]
    clients: u64,
    /// Number of calls that each client makes in each of three rounds.
    #[arg(long, default_value_t = 100, value_parser = RangedU64ValueParser::<u64>::new().range(1..=1_000_000))]
    calls: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { clients, calls } = Options::parse();
    let registry = Registry::<Frame, Papaya>::builder().build()?;
    let report = registry_demos::mcp::run(registry, Plan { clients, calls }).await?;
    println!("{report}");
    let mismatches = report.mismatches();
    if !mismatches.is_empty() {
        bail!("the counts do not match:\n  {}", mismatches.join("\n  "));
    }
    println!("All counts match.");
    Ok(())
}
