//! Where a document comes from and where it goes: a text, a file of JSON, a page, the README's table.

use std::fmt;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::record::{BackgroundLoad, Document, Host};
use crate::{page, readme, report};

/// What to make a report of, and in which forms.
#[derive(Args, Clone, Debug, Default)]
pub struct Delivery {
    /// Where it was measured, as JSON; the lines of the measurement are read from standard input.
    #[arg(long, required_unless_present = "from")]
    host: Option<String>,
    /// How busy the machine was, as JSON.
    #[arg(long, requires = "host")]
    background_load: Option<String>,
    /// A file that was written before, instead of lines; several are put together.
    #[arg(long, value_name = "FILE", conflicts_with = "host")]
    from: Vec<PathBuf>,
    /// Also writes everything to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also writes a page, `index.html`, into this directory, which is made if it is not there.
    #[arg(long, value_name = "DIR")]
    page: Option<PathBuf>,
    /// Also writes the table of backends into this file, between its two marks.
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
}

/// What was asked for cannot be had; whoever asks has to ask otherwise.
#[derive(Debug)]
pub struct Impossible(String);

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Impossible {}

impl Delivery {
    /// Reads, writes, and returns the text for a person.
    ///
    /// # Errors
    ///
    /// [`Impossible`] if the file is not a document, or lacks what the README needs, which then is as it was; another
    /// error if something cannot be read or written.
    pub fn deliver(&self, lines: impl BufRead) -> Result<String> {
        let document = self.document(lines)?;
        if let Some(path) = &self.json {
            write(path, &(serde_json::to_string_pretty(&document)? + "\n"))?;
        }
        if let Some(directory) = &self.page {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
            write(&directory.join("index.html"), &page::page(&document))?;
        }
        // Last, because it may be refused, and what was measured is not to be lost by that.
        if let Some(path) = &self.readme {
            write(path, &rewritten(path, &document)?)?;
        }
        Ok(report::report(&document))
    }

    fn document(&self, lines: impl BufRead) -> Result<Document> {
        if let [first, others @ ..] = &self.from[..] {
            let mut document = read(first)?;
            for file in others {
                document.append(read(file)?).map_err(|differs| refusal(file, &differs))?;
            }
            return Ok(document);
        }
        let host: Host = serde_json::from_str(self.host.as_deref().unwrap_or_default()).context("--host")?;
        let mut parsed = Vec::new();
        for line in lines.lines() {
            let line = line?;
            parsed.push(serde_json::from_str(&line).with_context(|| format!("not a line of a child: {line}"))?);
        }
        let load = self.background_load.as_deref().map(serde_json::from_str::<BackgroundLoad>);
        let background_load = load.transpose().context("--background-load")?;
        Ok(Document { background_load, ..Document::of(host, parsed) })
    }
}

fn read(file: &Path) -> Result<Document, Impossible> {
    let text = fs::read_to_string(file).map_err(|error| refusal(file, &error))?;
    serde_json::from_str(&text).map_err(|error| refusal(file, &error))
}

fn refusal(file: &Path, error: &dyn fmt::Display) -> Impossible {
    Impossible(format!("--from {}: {error}", file.display()))
}

fn rewritten(path: &Path, document: &Document) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let block = readme::block(document).map_err(|lacking| Impossible(format!("the README's table: {lacking}")))?;
    readme::put(&text, &block).map_err(|lacking| Impossible(format!("{}: {lacking}", path.display())).into())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own for each test, gone at its end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("registry-bench-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_written_document_becomes_a_page() {
        let place = Place::new("page");
        let file = place.0.join("document.json");
        fs::write(&file, include_str!("page/tests/document.json")).unwrap();
        let page = place.0.join("deep").join("page");
        let delivery = Delivery { from: vec![file], page: Some(page.clone()), ..Delivery::default() };
        let text = delivery.deliver(std::io::empty()).unwrap();
        assert!(text.contains("a made-up processor"), "{text}");
        assert!(fs::read_to_string(page.join("index.html")).unwrap().contains("a made-up processor"));
    }

    #[test]
    fn the_background_load_stands_in_the_report_and_in_the_page() {
        let place = Place::new("load");
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
    fn several_documents_of_one_host_become_one() {
        let place = Place::new("several");
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
    fn what_is_no_document_is_impossible() {
        let place = Place::new("wrong");
        let file = place.0.join("document.json");
        let delivery = Delivery { from: vec![file.clone()], ..Delivery::default() };
        let refused = || delivery.deliver(std::io::empty()).unwrap_err().downcast::<Impossible>().unwrap().to_string();
        assert!(refused().contains("document.json"), "{}", refused());
        fs::write(&file, "{}").unwrap();
        assert!(refused().contains("missing field"), "{}", refused());
    }

    #[test]
    fn a_document_that_lacks_what_the_readme_needs_leaves_it_as_it_was() {
        let place = Place::new("readme");
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
        assert!(error.downcast_ref::<Impossible>().is_some(), "{error}");
        assert_eq!((fs::read_to_string(&readme).unwrap(), json.exists()), (text, true));
    }
}
