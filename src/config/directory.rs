//! Where the directory of a `memory:` store comes from.
//!
//! Apart from the configuration's text because it is read when the service starts, and because the
//! demo brings its directory along. It reads; what stands in it is the directory's business.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::directory::file::DirectoryFile;
use crate::document::{Document, Problem};

/// A directory file, wherever it stands. Shown by its name.
#[derive(Clone, Debug)]
pub enum DirectorySource {
    /// On disk.
    File(PathBuf),
    /// In the process.
    Text {
        /// What problems with it call it.
        name: String,
        /// The YAML.
        text: String,
    },
}

/// The setting that names one.
const SETTING: &str = "/store/directory_file";

impl Config {
    /// Reads the directory file as it is now, where one is named. Blocks.
    ///
    /// # Errors
    /// Why it cannot be read, or every problem with it.
    pub fn read_directory(&self) -> Result<Option<DirectoryFile>, Vec<Problem>> {
        let Some(source) = &self.store.directory else {
            return Ok(None);
        };
        let document = source.read(|it| self.problem(SETTING, it))?;
        let names: Vec<_> = self.platforms.iter().map(|it| &*it.name).collect();
        DirectoryFile::parse(&document, &names).map(Some)
    }
}

/// Adds the problems of the directory file to those of the configuration that names it, so that all are told at
/// once. Blocks.
pub(super) fn with_problems_of(config: &Path, mut problems: Vec<Problem>) -> Vec<Problem> {
    let found = problems_of(config).unwrap_or_default();
    let is_new = |it: &Problem| !problems.iter().any(|told| told.key == it.key);
    let found: Vec<_> = found.into_iter().filter(is_new).collect();
    problems.extend(found);
    problems
}

/// The problems of the directory file that a configuration names, which has problems itself; `None` where it
/// cannot be told which file, or for whom it is.
fn problems_of(config: &Path) -> Option<Vec<Problem>> {
    let text = std::fs::read_to_string(config).ok()?;
    let mut document = Document::parse(&config.display().to_string(), &text).ok()?;
    // What is not replaced is told of already.
    let _ = document.expand_env(|it| std::env::var(it).ok());
    let text = |pointer: &str| Some(document.value(pointer)?.as_str()?.to_owned());
    let file = text(SETTING).filter(|it| !it.contains("${"))?;
    if text("/store/url").is_some_and(|it| it != "memory:") {
        return None;
    }
    let count = document.count("/platforms");
    let name = |it: usize| text(&format!("/platforms/{it}/name"));
    let names: Vec<String> = (0..count).map(name).collect::<Option<_>>()?;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let source = DirectorySource::File(config.parent()?.join(file));
    let read = source.read(|it| document.problem(SETTING, it));
    let parsed = read.and_then(|it| DirectoryFile::parse(&it, &names));
    parsed.err()
}

impl DirectorySource {
    /// Reads it; `unreadable` makes the problem where it cannot be.
    fn read(&self, unreadable: impl Fn(&str) -> Problem) -> Result<Document, Vec<Problem>> {
        let name = self.to_string();
        let mut document = match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|it| vec![unreadable(&format!("{name} cannot be read: {it}"))])?;
                Document::parse(&name, &text)
            }
            Self::Text { text, .. } => Document::parse(&name, text),
        }?;
        let problems = document.expand_env(|it| std::env::var(it).ok());
        if problems.is_empty() {
            Ok(document)
        } else {
            Err(problems)
        }
    }
}

impl fmt::Display for DirectorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Text { name, .. } => f.write_str(name),
        }
    }
}
