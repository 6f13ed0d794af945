//! What is asked of the directory, and what comes back: the words between a command and whoever
//! performs its operation, in one process or through JSON between two.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::decision::Fault;
use crate::directory::failures::Attempts;
use crate::directory::file::Imported;
use crate::directory::file::written::Row;
use crate::directory::operations::verify::Verified;
use crate::directory::records::{Link, RecordKind};

/// Text that holds secrets, on its way between two processes of one operator. Debug shows nothing
/// of it, and it is wiped when dropped.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Clear(String);

impl Clear {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Shows the text to whoever needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Clear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(..)")
    }
}

/// What is asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Adds a record that is not there yet. A key without a secret gets one.
    Add {
        /// Which list the row belongs to.
        kind: RecordKind,
        /// The platform.
        platform: String,
        /// A row of a directory file, as a JSON object.
        row: Clear,
    },
    /// Gives a directory file, as [`Line::Text`].
    Export {
        /// The platform; without it, all of them.
        platform: Option<String>,
    },
    /// Writes what a directory file says, all of it or, where anything is wrong with it, nothing.
    Import {
        /// What problems call the file.
        source: String,
        /// The file.
        text: Clear,
        /// Whether only to tell what is wrong with it.
        dry_run: bool,
    },
    /// Adds to a user an external issuer's subject that stands for it, or takes it away.
    Link {
        /// The platform.
        platform: String,
        /// The user.
        id: String,
        /// The subject.
        link: Link,
        /// Whether to take it away.
        remove: bool,
    },
    /// Lists records, as [`Line::Row`].
    List {
        /// Which.
        kind: RecordKind,
        /// The platform.
        platform: String,
        /// Only those of this account.
        account: Option<String>,
    },
    /// Ends every token and session of an account or user, and a key for good.
    Revoke {
        /// What.
        kind: RecordKind,
        /// The platform.
        platform: String,
        /// Which.
        id: String,
    },
    /// Ends every token and session of a platform.
    RevokePlatform {
        /// The platform.
        platform: String,
    },
    /// Ends a session.
    RevokeSession {
        /// The platform.
        platform: String,
        /// Whose.
        whose: Whose,
    },
    /// Lists counters of failed attempts, as [`Line::Row`].
    Failures {
        /// The platform.
        platform: String,
    },
    /// Lets be tried again what too many failed attempts have stopped.
    Lift {
        /// The platform.
        platform: String,
        /// Which.
        of: Attempts,
    },
    /// Gives a key another secret.
    Rotate {
        /// The platform.
        platform: String,
        /// The key.
        id: String,
        /// The new secret; without it, a random one.
        secret: Option<Clear>,
        /// How long the old one is still taken.
        overlap_seconds: u64,
    },
    /// Lists sessions, as [`Line::Row`].
    Sessions {
        /// The platform.
        platform: String,
        /// Only this user's.
        user: Option<String>,
    },
    /// Shows a record.
    Show {
        /// What.
        kind: RecordKind,
        /// The platform.
        platform: String,
        /// Which.
        id: String,
    },
    /// Shows what is kept of a platform as a whole.
    ShowPlatform {
        /// The platform.
        platform: String,
    },
    /// Switches a record on or off.
    Switch {
        /// What.
        kind: RecordKind,
        /// The platform.
        platform: String,
        /// Which.
        id: String,
        /// On.
        enabled: bool,
    },
    /// Gives a user a second factor, or takes it away.
    Totp {
        /// The platform.
        platform: String,
        /// The user.
        id: String,
        /// Its seed in base32; without it, a random one.
        seed: Option<Clear>,
        /// Whether to take it away.
        remove: bool,
    },
    /// Looks for what does not fit together, as [`Line::Row`].
    Verify {
        /// Whether to put right what can be.
        repair: bool,
    },
}

impl Operation {
    /// Tells whether it changes nothing.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        matches!(
            self,
            Self::Export { .. }
                | Self::Failures { .. }
                | Self::Import { dry_run: true, .. }
                | Self::List { .. }
                | Self::Sessions { .. }
                | Self::Show { .. }
                | Self::ShowPlatform { .. }
                | Self::Verify { repair: false }
        )
    }

    /// Gives its name, for the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add",
            Self::Export { .. } => "export",
            Self::Failures { .. } => "failures",
            Self::Import { .. } => "import",
            Self::Lift { .. } => "lift",
            Self::Link { .. } => "link",
            Self::List { .. } => "list",
            Self::Revoke { .. } => "revoke",
            Self::RevokePlatform { .. } => "revoke_platform",
            Self::RevokeSession { .. } => "revoke_session",
            Self::Rotate { .. } => "rotate",
            Self::Sessions { .. } => "sessions",
            Self::Show { .. } => "show",
            Self::ShowPlatform { .. } => "show_platform",
            Self::Switch { .. } => "switch",
            Self::Totp { .. } => "totp",
            Self::Verify { .. } => "verify",
        }
    }
}

/// How a session is named.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// By its token.
    Token(Clear),
    /// By its user, who has one at most.
    User(String),
}

/// What comes back: any number of the others, then one of [`Line::Done`] and [`Line::Error`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// It is done.
    Done(Outcome),
    /// It failed.
    Error(OperationError),
    /// How far it is.
    Progress {
        /// Records done.
        done: usize,
        /// Records in all.
        total: usize,
    },
    /// One of several answers.
    Row(Row),
    /// A part of a file; parts end anywhere.
    Text(String),
}

/// What an operation came to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A directory file was given.
    Exported(Exported),
    /// A directory file was written; with `dry_run`, it could be, and `changed` is not known.
    Imported(Imported),
    /// Counters of failed attempts were deleted.
    Lifted {
        /// How many.
        counters: usize,
    },
    /// Records were listed.
    Listed {
        /// How many.
        records: usize,
    },
    /// One record, as it stands now.
    Record {
        /// What may be seen of it.
        record: Row,
        /// Its new secret; it is shown this once.
        secret: Option<Clear>,
    },
    /// A session was ended, if there was one.
    Revoked {
        /// There was one.
        existed: bool,
    },
    /// The store was looked through.
    Verified(Verified),
}

/// What an exported file holds and lacks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exported {
    /// Records in the file.
    pub records: usize,
    /// Those of them whose secrets are stored only as digests or sealed, which a file does not bring
    /// back.
    pub withheld: usize,
    /// Revoked keys, which are left out.
    pub revoked: usize,
    /// Records that cannot be read, and are therefore not in the file.
    pub unreadable: usize,
}

/// Why an operation was not performed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum OperationError {
    /// The server or its store failed.
    #[error("{0}")]
    Fault(String),
    /// What was given is wrong, and nothing was written.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
    /// The directory, as it stands, does not allow it.
    #[error("{0}")]
    Refused(String),
}

impl From<Fault> for OperationError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault.to_string())
    }
}

impl OperationError {
    /// Gives its kind, for the log.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fault(_) => "fault",
            Self::Problems(_) => "problems",
            Self::Refused(_) => "refused",
        }
    }
}
