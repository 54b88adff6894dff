//! The figures of a registry as Prometheus reads them: a load with some trouble, exported and printed.
//!
//! With `--listen` the same text is served, for a Prometheus or a browser to fetch. The clock is one that the load turns,
//! so every run prints the same figures.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to a person")]

mod clock;
mod flow;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use registry_router::backends::Papaya;
use registry_router::describe_metrics;

/// Puts a load with some trouble on a registry, and prints its figures as Prometheus reads them.
#[derive(Debug, Parser)]
struct Options {
    /// Serve them at this address too, until interrupted; such as 127.0.0.1:9464.
    #[arg(long)]
    listen: Option<SocketAddr>,
}

fn main() -> Result<()> {
    let Options { listen } = Options::parse();
    let prometheus = PrometheusBuilder::new().install_recorder()?;
    describe_metrics();

    let aftermath = flow::run::<Papaya>(64)?;
    for change in &aftermath.changes {
        eprintln!("{change}");
    }
    aftermath.registry.export_metrics(aftermath.now);
    print!("{}", prometheus.render());

    let Some(address) = listen else { return Ok(()) };
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
    eprintln!("listening at http://{}/metrics", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept()?;
        aftermath.registry.export_metrics(aftermath.now);
        // Whoever hangs up early, or says nothing, is no reason to stop.
        if let Err(error) = answer(stream, &prometheus) {
            eprintln!("{error}");
        }
    }
}

/// Answers one request, whatever it asks for: as little of HTTP as a scrape needs.
fn answer(mut stream: TcpStream, prometheus: &PrometheusHandle) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    for line in BufReader::new(&stream).lines().take(100) {
        if line?.is_empty() {
            break;
        }
    }
    let body = prometheus.render();
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\ncontent-length:";
    Ok(write!(stream, "{head} {length}\r\n\r\n{body}")?)
}
