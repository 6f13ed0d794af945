//! Why following a server ends, and how long until it is tried again.

use std::time::Duration;

use super::super::{fault, link};
use super::PAUSES;
use crate::store::StoreError;

/// Why it does not go on.
pub(super) enum End {
    /// There is no connection any more, or none yet.
    Lost(StoreError),
    /// There is none, as the server does not know us.
    Refused(StoreError),
    /// The server is a replica.
    Demoted,
    /// It is another server than the one that is read from.
    Elsewhere,
    /// The sentinels name another server.
    Replaced,
    /// The server does not tell; all else it does, so the store can be used.
    Unwilling(String),
}

impl End {
    /// The longest first pause before another attempt, and the longest of all.
    pub(super) fn pauses(&self) -> (Duration, Duration) {
        match self {
            Self::Refused(_) => link::PAUSES_REFUSED,
            Self::Lost(_)
            | Self::Demoted
            | Self::Elsewhere
            | Self::Replaced
            | Self::Unwilling(_) => PAUSES,
        }
    }

    /// What became of the server.
    pub(super) fn in_words(&self) -> String {
        let what = match self {
            Self::Lost(why) | Self::Refused(why) => return why.to_string(),
            Self::Unwilling(why) => return why.clone(),
            Self::Demoted => return format!("it is a replica now; {}", fault::NAME_PRIMARY),
            Self::Elsewhere => "another server than the one that is read from stands there now",
            Self::Replaced => "the sentinels name another primary",
        };
        what.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_refuses_the_password_is_tried_seldom() {
        let why = || StoreError::Unavailable("-".to_owned());
        assert_eq!(End::Lost(why()).pauses(), PAUSES);
        let refused = End::Refused(why()).pauses();
        assert!(refused.0 >= Duration::from_secs(1) && refused.1 >= Duration::from_secs(30));
    }
}
