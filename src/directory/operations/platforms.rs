//! Operations on a platform as a whole.

use serde_json::json;

use crate::directory::file::written::Row;
use crate::directory::operations::Operations;
use crate::directory::operations::words::{OperationError, Outcome};
use crate::directory::platforms::Platform;

impl Operations {
    pub(super) async fn show_platform(&self, name: &str) -> Result<Outcome, OperationError> {
        self.check_platform(name)?;
        Ok(shown(name, self.directory.platform(name).await?))
    }

    pub(super) async fn revoke_platform(&self, name: &str) -> Result<Outcome, OperationError> {
        self.check_platform(name)?;
        Ok(shown(name, self.directory.revoke_platform(name).await?))
    }
}

fn shown(name: &str, platform: Platform) -> Outcome {
    let mut record = Row::new();
    record.insert("platform".to_owned(), json!(name));
    record.insert("generation".to_owned(), json!(platform.generation));
    Outcome::Record {
        record,
        secret: None,
    }
}
