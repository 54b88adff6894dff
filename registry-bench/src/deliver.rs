//! Reads a document and writes it: as text, as JSON, as a page, and as the table of the README.

use std::fmt;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::record::{BackgroundLoad, Document, Host};
use crate::{page, readme, report};

/// The source of a report, and its forms.
#[derive(Args, Clone, Debug, Default)]
pub struct Delivery {
    /// The host as JSON; the lines of the measurement are read from standard input.
    #[arg(long, required_unless_present = "from")]
    host: Option<String>,
    /// How busy the machine was, as JSON.
    #[arg(long, requires = "host")]
    background_load: Option<String>,
    /// A file written before, instead of lines; several are combined.
    #[arg(long, value_name = "FILE", conflicts_with = "host")]
    from: Vec<PathBuf>,
    /// Also writes everything to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also writes a page, `index.html`, into this directory, which is created if it does not exist.
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
    /// Also writes the table of backends into this file, between its two markers.
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
}

/// Invalid options or input files.
#[derive(Debug)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl Delivery {
    /// Reads, writes, and returns the report for a terminal.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if a file is not a document, or lacks a figure that the README needs, which then is not changed;
    /// another error if a file cannot be read or written.
    pub fn deliver(&self, lines: impl BufRead) -> Result<String> {
        let document = self.document(lines)?;
        if let Some(path) = &self.json {
            write(path, &(serde_json::to_string_pretty(&document)? + "\n"))?;
        }
        if let Some(directory) = &self.page {
            fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
            write(&directory.join("index.html"), &page::page(&document))?;
        }
        // Last, because it may fail, and the figures should have been written before.
        if let Some(path) = &self.readme {
            write(path, &rewritten(path, &document)?)?;
        }
        Ok(report::report(&document))
    }

    fn document(&self, lines: impl BufRead) -> Result<Document> {
        if let [first, others @ ..] = &self.from[..] {
            let mut document = read(first)?;
            for file in others {
                document.append(read(file)?).map_err(|differs| usage_error(file, &differs))?;
            }
            return Ok(document);
        }
        let host: Host = serde_json::from_str(self.host.as_deref().unwrap_or_default()).context("--host")?;
        let mut parsed = Vec::new();
        for line in lines.lines() {
            let line = line?;
            parsed
                .push(serde_json::from_str(&line).with_context(|| format!("invalid line of a child process: {line}"))?);
        }
        let load = self.background_load.as_deref().map(serde_json::from_str::<BackgroundLoad>);
        let background_load = load.transpose().context("--background-load")?;
        Ok(Document { background_load, ..Document::of(host, parsed) })
    }
}

fn read(file: &Path) -> Result<Document, UsageError> {
    let text = fs::read_to_string(file).map_err(|error| usage_error(file, &error))?;
    serde_json::from_str(&text).map_err(|error| usage_error(file, &error))
}

fn usage_error(file: &Path, error: &dyn fmt::Display) -> UsageError {
    UsageError(format!("--from {}: {error}", file.display()))
}

fn rewritten(path: &Path, document: &Document) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let block = readme::block(document).map_err(|lacking| UsageError(format!("the README's table: {lacking}")))?;
    readme::put(&text, &block).map_err(|lacking| UsageError(format!("{}: {lacking}", path.display())).into())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary directory, removed on drop.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("registry-bench-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_document_is_rendered_as_a_page() {
        let place = TempDir::new("page");
        let file = place.0.join("document.json");
        fs::write(&file, include_str!("page/tests/document.json")).unwrap();
        let page = place.0.join("deep").join("page");
        let delivery = Delivery { from: vec![file], page: Some(page.clone()), ..Delivery::default() };
        let text = delivery.deliver(std::io::empty()).unwrap();
        assert!(text.contains("a made-up processor"), "{text}");
        assert!(fs::read_to_string(page.join("index.html")).unwrap().contains("a made-up processor"));
    }

    #[test]
    fn the_background_load_is_in_the_report_and_in_the_page() {
        let place = TempDir::new("load");
        let delivery = Delivery {
            host: Some(serde_json::to_string(&Host::default()).unwrap()),
            background_load: Some("{\"before\":0.02,\"during\":0.38}".to_owned()),
            page: Some(place.0.clone()),
            ..Delivery::default()
        };
        let said = "machine busy: 38 % of processor time went to other programs";
        assert!(delivery.deliver(std::io::empty()).unwrap().contains(said));
        assert!(fs::read_to_string(place.0.join("index.html")).unwrap().contains(said));
    }

    #[test]
    fn documents_of_one_host_are_combined() {
        let place = TempDir::new("several");
        let text = include_str!("page/tests/document.json");
        let files = ["one.json", "two.json", "other.json"].map(|name| place.0.join(name));
        fs::write(&files[0], text).unwrap();
        fs::write(&files[1], text).unwrap();
        fs::write(&files[2], text.replace("a made-up processor", "another processor")).unwrap();
        let of = |files: &[PathBuf]| Delivery { from: files.to_vec(), ..Delivery::default() };
        let (one, two) = (&files[..1], &files[..2]);
        let count = |files| of(files).document(std::io::empty()).unwrap().ratios.len();
        assert_eq!(2 * count(one), count(two));
        let error = of(&[files[0].clone(), files[2].clone()]).deliver(std::io::empty()).unwrap_err().to_string();
        assert!(error.contains("other.json") && error.contains("another processor"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_a_document_is_a_usage_error() {
        let place = TempDir::new("wrong");
        let file = place.0.join("document.json");
        let delivery = Delivery { from: vec![file.clone()], ..Delivery::default() };
        let refused = || delivery.deliver(std::io::empty()).unwrap_err().downcast::<UsageError>().unwrap().to_string();
        assert!(refused().contains("document.json"), "{}", refused());
        fs::write(&file, "{}").unwrap();
        assert!(refused().contains("missing field"), "{}", refused());
    }

    #[test]
    fn a_document_without_required_figures_does_not_change_the_readme() {
        let place = TempDir::new("readme");
        let (readme, json) = (place.0.join("README.md"), place.0.join("out.json"));
        let text = format!("{}\nold\n{}\n", readme::BEGIN, readme::END);
        fs::write(&readme, &text).unwrap();
        let host = serde_json::to_string(&Host::default()).unwrap();
        let delivery = Delivery {
            host: Some(host),
            json: Some(json.clone()),
            readme: Some(readme.clone()),
            ..Delivery::default()
        };
        let error = delivery.deliver(std::io::empty()).unwrap_err();
        assert!(error.downcast_ref::<UsageError>().is_some(), "{error}");
        assert_eq!((fs::read_to_string(&readme).unwrap(), json.exists()), (text, true));
    }
}
