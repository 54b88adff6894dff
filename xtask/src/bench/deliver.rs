//! Where the figures of a bench go beside the terminal: a file of JSON, a page, the README.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use clap::Args;

use crate::cargo::{Usage, root};
use crate::steps;

/// Where figures go, and where they may come from instead of a measurement.
#[derive(Args, Debug, Default)]
pub(crate) struct Delivery {
    /// Writes rows, ratios and host to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes a page about the run, `index.html`, into this directory: one file with plots, readable without a network.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Writes the README's table of backends anew, from the run or from the file.
    #[arg(long)]
    pub(crate) update_readme: bool,
    /// Measures nothing and takes the figures of a file that `--json` has written; given several times, of all of them,
    /// which must be of one host and revision.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "list", "quick", "full", "smoke", "ratios", "memory", "scale", "tails", "mailboxes", "peers", "backend", "workload",
        "shards", "threads", "entries", "seed",
    ])]
    pub(crate) from: Vec<PathBuf>,
}

impl Delivery {
    /// Whether it can be carried out; better asked before the work than after it.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(file) = &self.json {
            steps::ensure_writable(file)?;
        }
        for file in &self.from {
            ensure!(file.is_file(), Usage(format!("--from: there is no file {}", file.display())));
        }
        if let Some(directory) = &self.report {
            let made = std::fs::create_dir_all(directory);
            ensure!(made.is_ok(), Usage(format!("--report: cannot make the directory {}", directory.display())));
        }
        Ok(())
    }

    /// The same in the words of the program that makes reports.
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

    /// What has been written, for whoever looks for it.
    pub(crate) fn tell(&self) {
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
    fn a_file_that_is_not_there_is_refused_before_the_work() {
        let delivery = Delivery { from: vec!["no-such-document.json".into()], ..Delivery::default() };
        let error = delivery.check().unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("no-such-document.json"), "{error}");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_refused_before_the_work() {
        let file = root().unwrap().join("Cargo.toml");
        let delivery = Delivery { report: Some(file.join("page")), ..Delivery::default() };
        let error = delivery.check().unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("--report"), "{error}");
    }

    #[test]
    fn all_of_it_is_passed_on() {
        let delivery = Delivery {
            report: Some("page".into()),
            update_readme: true,
            from: vec!["figures.json".into()],
            ..Delivery::default()
        };
        let mut command = Command::new("report");
        delivery.pass_on(&mut command).unwrap();
        let words: Vec<String> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words[..5], ["--from", "figures.json", "--page", "page", "--readme"]);
        assert!(words[5].ends_with("README.md"));
    }
}
