//! A configuration and its text, which is put in place only where it says what is meant and nothing else anew.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::Zeroizing;

use crate::cli::CommandError;
use crate::cli::signing::listed::Listed;
use crate::cli::signing::replace;
use crate::config::Config;
use crate::keys::made;

/// Which keys are meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Those of assertions for upstreams.
    Assertions,
    /// Those of tokens for clients.
    Tokens,
}

impl Kind {
    /// The setting of `signing` that lists them.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::Assertions => "assertion_key_files",
            Self::Tokens => "key_files",
        }
    }

    /// What they sign.
    pub(super) fn signed(self) -> &'static str {
        match self {
            Self::Assertions => "assertions",
            Self::Tokens => "tokens",
        }
    }

    /// Makes one, as a PEM file.
    pub(super) fn make(self) -> Result<Zeroizing<String>, &'static str> {
        match self {
            Self::Assertions => made::p256_pem(),
            Self::Tokens => made::rsa_pem(),
        }
    }

    /// The command that makes the first.
    fn by_openssl(self) -> &'static str {
        match self {
            Self::Assertions => {
                "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out assertions.pem"
            }
            Self::Tokens => "openssl genrsa -out tokens.pem 2048",
        }
    }
}

/// A configuration that is in order, and its text.
pub(super) struct Site<'p> {
    path: &'p Path,
    kind: Kind,
    config: Config,
    text: String,
    /// Held so that nobody else edits it by these commands.
    _lock: Option<File>,
}

impl<'p> Site<'p> {
    /// Reads it to edit it, which nobody else does by these commands until this is dropped.
    ///
    /// # Errors
    /// What is wrong with it, or that somebody else edits it.
    pub(super) fn edit(path: &'p Path, kind: Kind) -> Result<Self, CommandError> {
        let lock = lock(path)?;
        let read = Self::read(path, kind)?;
        Ok(Self {
            _lock: Some(lock),
            ..read
        })
    }

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(path: &'p Path, kind: Kind) -> Result<Self, CommandError> {
        let config = Config::load_for_command(path).map_err(|it| CommandError::problems(&it))?;
        let unreadable =
            |it| CommandError::failed(format!("{} cannot be read: {it}", path.display()));
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Ok(Self {
            path,
            kind,
            config,
            text,
            _lock: None,
        })
    }

    /// The list in the text, of one entry or more.
    ///
    /// # Errors
    /// Where there is none, or none that is edited, and what to write.
    pub(super) fn listed(&self) -> Result<Listed<'_>, CommandError> {
        let setting = self.kind.setting();
        let listed =
            Listed::find(&self.text, setting).map_err(|it| self.by_hand(it, &self.files()))?;
        if listed.entries().is_empty() {
            let (name, signed) = (self.path.display(), self.kind.signed());
            let make = self.kind.by_openssl();
            return Err(CommandError::failed(format!(
                "{name} lists no key of {signed}: make the first with `{make}`, and write `signing: {{ {setting}: \
                 [{signed}.pem] }}`"
            )));
        }
        if listed.entries().len() != self.files().len() {
            return Err(CommandError::failed("the list was changed meanwhile"));
        }
        Ok(listed)
    }

    /// The files that are listed, variables replaced.
    pub(super) fn files(&self) -> Vec<String> {
        let list = self.config.resolved.pointer(&self.pointer());
        let list = list.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    }

    fn pointer(&self) -> String {
        format!("/signing/{}", self.kind.setting())
    }

    /// Where the file of an entry is.
    ///
    /// # Errors
    /// Where there is no such entry.
    pub(super) fn path(&self, index: usize) -> Result<PathBuf, CommandError> {
        let base = self.path.parent().unwrap_or(Path::new("."));
        let files = self.files();
        let file = files.get(index);
        let file = file.ok_or_else(|| CommandError::failed("no such entry"))?;
        Ok(base.join(file))
    }

    /// Puts a text in the configuration's place after it turned out to list `wanted`, and to say nothing else anew.
    ///
    /// # Errors
    /// Why that was not done, and what to write.
    pub(super) fn write(&self, text: &str, wanted: &[String]) -> Result<(), CommandError> {
        let path = self.path;
        let base = path.parent().unwrap_or(Path::new("."));
        let variable = |name: &str| std::env::var(name).ok();
        let source = path.display().to_string();
        let read = Config::parse_for_command(&source, text, base, variable);
        let read = read.map_err(|it| CommandError::problems(&it))?.resolved;
        let mut meant = self.config.resolved.clone();
        if let Some(list) = meant.pointer_mut(&self.pointer()) {
            *list = wanted.into();
        }
        if read != meant {
            return Err(self.by_hand("the edited file would not say what is meant", wanted));
        }
        let replaced = replace::replace(path, &self.text, text);
        if replaced.map_err(|it| self.by_hand(&it, wanted))? {
            return Ok(());
        }
        Err(CommandError::failed(format!(
            "{source} was changed meanwhile; nothing was changed here. Run it again"
        )))
    }

    /// Tells what to write, where that could not be done.
    pub(super) fn by_hand(&self, why: &str, wanted: &[String]) -> CommandError {
        CommandError::failed(format!(
            "{why}; nothing was changed. Write it yourself: `signing: {{ {}: [{}] }}`",
            self.kind.setting(),
            wanted.join(", ")
        ))
    }
}

/// Locks the folder of the file that a path leads to; the file itself is replaced.
fn lock(path: &Path) -> Result<File, CommandError> {
    let failed = |it| {
        let name = path.display();
        CommandError::failed(format!("the folder of {name} cannot be locked: {it}"))
    };
    let file = path.canonicalize().map_err(failed)?;
    let folder = File::open(file.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::Error(it)) => Err(failed(it)),
        Err(TryLockError::WouldBlock) => Err(CommandError::failed(format!(
            "another `portcullis signing` is at work in the folder of {}; nothing was changed",
            path.display()
        ))),
    }
}
