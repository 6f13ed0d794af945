//! Joining a store: whether it is the one that this process is set up for, and what it lets the process do.

use crate::directory::Directory;
use crate::directory::check::CheckError;

/// A store that is about to be used.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    pub(super) directory: Directory,
    /// Whether it may forbid things, being a server with users.
    pub(super) is_shared: bool,
    /// Whether this process issues.
    pub(super) issues: bool,
}

impl Joining {
    /// Confirms the peppers ([`Directory::confirm_peppers`]), and then logs what rights this process lacks, beside what
    /// goes on.
    ///
    /// # Errors
    /// Where the store cannot be used, or not yet.
    pub(super) async fn confirm(&self) -> Result<(), CheckError> {
        self.directory.confirm_peppers().await?;
        if self.is_shared {
            let Self {
                directory, issues, ..
            } = self.clone();
            tokio::spawn(async move {
                for lack in directory.lacking_rights(issues).await {
                    tracing::error!("{lack}");
                }
            });
        }
        Ok(())
    }
}
