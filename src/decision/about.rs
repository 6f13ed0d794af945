//! Whom and what a denial is about, as far as that is known.

use std::sync::Arc;

/// Whom and what a denial is about, for an operator's eyes: ids of the directory, and names of the
/// configuration. Never what a client called itself: passwords are typed there, too.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct About {
    /// The account's id.
    pub account: Option<String>,
    /// The user's id.
    pub user: Option<String>,
    /// The API key's id.
    pub key: Option<String>,
    /// The rule that refused.
    pub rule: Option<Arc<str>>,
}

impl About {
    /// Says whom it is about.
    pub fn name(&mut self, account: Option<&str>, user: Option<&str>) {
        self.account = account.map(str::to_owned);
        self.user = user.map(str::to_owned);
    }
}
