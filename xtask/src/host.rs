//! Where a measurement was made, asked of the machine itself.

use std::time::SystemTime;

use serde::Serialize;

use crate::cargo::answer;

/// The facts that stand beside the rows.
#[derive(Debug, Serialize)]
pub(crate) struct Host {
    cpu: String,
    cores: usize,
    kernel: String,
    rustc: String,
    revision: String,
    date: String,
}

impl Host {
    /// This machine, this source, now.
    pub(crate) fn here() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            cpu: cpu().unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: answer("uname", &["-sr"]).unwrap_or_else(|| std::env::consts::OS.to_owned()),
            rustc: answer("rustc", &["--version"]).unwrap_or_else(unknown),
            revision: revision().unwrap_or_else(unknown),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        }
    }
}

/// The processor's name, from where Linux, macOS or Windows has it.
fn cpu() -> Option<String> {
    let linux = || cpu_of(&std::fs::read_to_string("/proc/cpuinfo").ok()?);
    let macos = || answer("sysctl", &["-n", "machdep.cpu.brand_string"]);
    let windows = || std::env::var("PROCESSOR_IDENTIFIER").ok();
    linux().or_else(macos).or_else(windows).or_else(|| answer("uname", &["-m"]))
}

fn cpu_of(cpuinfo: &str) -> Option<String> {
    let fields = || cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let field = |name: &str| fields().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
    field("model name").or_else(|| field("Model"))
}

/// The commit, and whether files differ from it.
fn revision() -> Option<String> {
    let commit = answer("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changed = answer("git", &["status", "--porcelain"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}+dirty") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_found_in_cpuinfo() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: a b\n";
        assert_eq!(cpu_of(text).as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(cpu_of("Hardware : x\nModel\t: Some Board\n").as_deref(), Some("Some Board"));
        assert_eq!(cpu_of(""), None);
    }

    #[test]
    fn no_fact_is_empty() {
        let host = Host::here();
        let Host { cpu, kernel, rustc, revision, date, cores } = &host;
        assert!([cpu, kernel, rustc, revision, date].iter().all(|fact| !fact.is_empty()) && *cores > 0, "{host:?}");
        assert!(date.ends_with('Z') && date.contains('T'), "{date}");
    }
}
