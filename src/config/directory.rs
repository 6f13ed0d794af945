//! Where the directory of a `memory:` store comes from.
//!
//! Apart from the configuration's text because it is read when the service starts, and because the
//! demo brings its directory along. It reads; what stands in it is the directory's business.

use std::fmt;
use std::path::PathBuf;

use crate::config::unreadable;
use crate::directory::file::DirectoryFile;
use crate::document::{Document, Problem};
use crate::platform::Platforms;

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

impl DirectorySource {
    /// Reads it as it is now, for these platforms. Blocks for a file.
    ///
    /// # Errors
    /// Why it cannot be read, or every problem with it.
    pub fn parse(&self, platforms: &Platforms) -> Result<DirectoryFile, Vec<Problem>> {
        let names: Vec<_> = platforms.iter().map(|it| &*it.name).collect();
        DirectoryFile::parse(&self.read()?, &names)
    }

    fn read(&self) -> Result<Document, Vec<Problem>> {
        let name = self.to_string();
        let mut document = match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path);
                Document::parse(&name, &text.map_err(|it| vec![unreadable(&name, &it)])?)
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
