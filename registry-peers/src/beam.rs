//! The peers on the BEAM: scripts that do the same work, the file of names that they read, and their command lines.
//!
//! A script is compiled in, and written next to the names while it runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::names::{Names, Size};

/// A program for the BEAM.
#[derive(Debug)]
pub struct Script {
    file: &'static str,
    text: &'static str,
    /// The program that runs it.
    program: &'static str,
    /// How to install that program.
    pub install: &'static str,
}

/// 64 public ETS tables in a persistent term.
pub const ETS: Script = Script {
    file: "ets.escript",
    text: include_str!("../beam/ets.escript"),
    program: "escript",
    install: "not installed; on Debian: apt-get install erlang-base",
};

/// Elixir's `Registry` with 64 partitions.
pub const ELIXIR: Script = Script {
    file: "registry.exs",
    text: include_str!("../beam/registry.exs"),
    program: "elixir",
    install: "not installed; on Debian: apt-get install erlang-base elixir",
};

/// The greatest number of processes: each entry is one.
const MOST_PROCESSES: usize = 1 << 20;

/// A script and its names in a temporary directory, removed on drop.
#[derive(Debug)]
pub struct PreparedScript {
    folder: PathBuf,
    script: &'static Script,
    threads: usize,
    slice: Duration,
}

impl Script {
    /// Writes the script and its names.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn prepare(&'static self, size: Size, slice: Duration, seed: u64) -> Result<PreparedScript> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("registry-peers-{process}-{number}"));
        let write = |file: &str, text: &str| {
            fs::write(folder.join(file), text).with_context(|| format!("cannot write to {}", folder.display()))
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let prepared = PreparedScript { folder: folder.clone(), script: self, threads: size.threads, slice };
        write(self.file, self.text)?;
        write("names", &Names::of(&size.fixture(seed, 1), size.threads, seed).lines())?;
        Ok(prepared)
    }
}

impl PreparedScript {
    /// Returns the command line, with one scheduler for each thread.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.script.program);
        let threads = self.threads;
        command
            .env("ERL_FLAGS", format!("+S {threads}:{threads} +P {MOST_PROCESSES}"))
            // Elixir warns otherwise.
            .env("LC_ALL", "C.UTF-8")
            .arg(self.folder.join(self.script.file))
            .arg(self.folder.join("names"))
            .arg(threads.to_string())
            .arg(self.slice.as_micros().to_string());
        command
    }
}

impl Drop for PreparedScript {
    fn drop(&mut self) {
        // A failure leaves files in the temporary directory.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use registry_bench::record::Outcome;

    use super::*;
    use crate::child::Job;
    use crate::peers;

    #[test]
    fn a_script_and_its_names_are_removed_on_drop() {
        let prepared = ETS.prepare(Size { entries: 10, threads: 1 }, Duration::from_millis(3), 1).unwrap();
        let command = prepared.command();
        let arguments: Vec<PathBuf> = command.get_args().map(PathBuf::from).collect();
        let [script, names, threads, slice] = &arguments[..] else { panic!("{arguments:?}") };
        assert!(fs::read_to_string(script).unwrap().starts_with("#!"));
        assert!(fs::read_to_string(names).unwrap().starts_with("server "));
        assert_eq!((threads.to_str(), slice.to_str()), (Some("1"), Some("3000")));
        drop(prepared);
        assert!(!script.exists() && !names.exists());
    }

    /// Where Erlang and Elixir are installed, the scripts do all operations; elsewhere the rows say how to install
    /// them.
    #[test]
    fn a_script_does_all_operations_or_is_missing() {
        for key in ["ets", "elixir"] {
            let spec = peers::find(key).expect("it is in the list");
            let size = Size { entries: 40, threads: 2 };
            let job = Job { spec, size, slice: Duration::from_micros(100), seed: 1 };
            let rows = job.run(Duration::from_secs(120)).unwrap();
            assert_eq!(rows.len(), 6);
            for row in rows {
                match &row.outcome {
                    Outcome::Measured { ns, ops_per_s } => assert!(*ns > 0.0 && *ops_per_s > 0.0, "{row:?}"),
                    Outcome::Missing(how) => assert!(how.contains("apt-get install"), "{how}"),
                    other => panic!("{other:?} of {row:?}"),
                }
            }
        }
    }
}
