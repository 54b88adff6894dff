//! Exports the metrics of a registry in Prometheus' text format, after a load with problems, and prints them.
//!
//! With `--listen ADDRESS`, such as `--listen 127.0.0.1:9464`, it also serves them over HTTP until it is interrupted. The
//! registry reads a manual clock, so every run prints the same values.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod clock;
mod flow;

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use registry_router::backends::Papaya;
use registry_router::describe_metrics;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => None,
        ["--listen", address] => Some(address),
        _ => return Err("usage: metrics [--listen ADDRESS]".into()),
    };
    let prometheus = PrometheusBuilder::new().install_recorder()?;
    describe_metrics();

    let outcome = flow::run::<Papaya>(64)?;
    for change in &outcome.changes {
        eprintln!("{change}");
    }
    outcome.registry.export_metrics(outcome.now);
    print!("{}", prometheus.render());

    let Some(address) = address else { return Ok(()) };
    let listener = TcpListener::bind(address)?;
    eprintln!("listening on http://{}/metrics", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept()?;
        outcome.registry.export_metrics(outcome.now);
        // An error of one connection does not stop the server.
        if let Err(error) = respond(stream, &prometheus) {
            eprintln!("{error}");
        }
    }
}

/// Answers one HTTP request with the metrics, whatever its path.
fn respond(mut stream: TcpStream, prometheus: &PrometheusHandle) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    for line in BufReader::new(&stream).lines().take(100) {
        if line?.is_empty() {
            break;
        }
    }
    let body = prometheus.render();
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\ncontent-length:";
    write!(stream, "{head} {length}\r\n\r\n{body}")
}
