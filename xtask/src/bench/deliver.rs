//! Where the figures of a bench are written besides the terminal: a JSON file, a page, the README.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use clap::Args;

use crate::cargo::{Usage, root};
use crate::steps;

/// Where figures are written, and the files to read them from instead of measuring.
#[derive(Args, Debug, Default)]
pub(crate) struct Delivery {
    /// Writes all figures and the host to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes a page with plots, `index.html`, into this directory: one file, readable without a network.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Rewrites the README's table of backends.
    #[arg(long)]
    pub(crate) update_readme: bool,
    /// Measures nothing and reads the figures of a file written by `--json`; may be given several times, for files of
    /// one host and revision.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "list", "quick", "full", "smoke", "ratios", "memory", "scale", "tails", "mailboxes", "peers", "backend", "workload",
        "shards", "threads", "entries", "seed",
    ])]
    pub(crate) from: Vec<PathBuf>,
}

impl Delivery {
    /// Checks before a run that all of it can be written and read.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(file) = &self.json {
            steps::ensure_writable(file)?;
        }
        for file in &self.from {
            ensure!(file.is_file(), Usage(format!("--from: {} is not a file", file.display())));
        }
        if let Some(directory) = &self.report {
            let made = std::fs::create_dir_all(directory);
            ensure!(made.is_ok(), Usage(format!("--report: cannot create the directory {}", directory.display())));
        }
        Ok(())
    }

    /// Adds the options to the command of the program that makes the report.
    pub(crate) fn pass_on(&self, report: &mut Command) -> Result<()> {
        let readme = if self.update_readme { Some(root()?.join("README.md")) } else { None };
        let options: [(&str, Option<&Path>); 3] =
            [("--json", self.json.as_deref()), ("--page", self.report.as_deref()), ("--readme", readme.as_deref())];
        let from = self.from.iter().map(|file| ("--from", Some(&**file)));
        for (name, path) in from.chain(options) {
            if let Some(path) = path {
                report.arg(name).arg(path);
            }
        }
        Ok(())
    }

    /// Prints what has been written.
    pub(crate) fn print(&self) {
        if let Some(directory) = &self.report {
            eprintln!("the page is {}", directory.join("index.html").display());
        }
        if self.update_readme {
            eprintln!("the README's table is written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_rejected() {
        let delivery = Delivery { from: vec!["no-such-document.json".into()], ..Delivery::default() };
        let error = delivery.check().unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("no-such-document.json"), "{error}");
    }

    #[test]
    fn a_directory_that_cannot_be_created_is_rejected() {
        let file = root().unwrap().join("Cargo.toml");
        let delivery = Delivery { report: Some(file.join("page")), ..Delivery::default() };
        let error = delivery.check().unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("--report"), "{error}");
    }

    #[test]
    fn options_are_passed_to_the_report() {
        let delivery = Delivery {
            report: Some("page".into()),
            update_readme: true,
            from: vec!["figures.json".into()],
            ..Delivery::default()
        };
        let mut command = Command::new("report");
        delivery.pass_on(&mut command).unwrap();
        let arguments: Vec<String> =
            command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        assert_eq!(arguments[..5], ["--from", "figures.json", "--page", "page", "--readme"]);
        assert!(arguments[5].ends_with("README.md"));
    }
}
