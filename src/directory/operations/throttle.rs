//! Operations on counters of failed attempts: which there are, and lifting them.

use std::collections::HashSet;

use serde_json::json;
use tokio::sync::mpsc;

use crate::directory::failures::Attempts;
use crate::directory::file::written::Row;
use crate::directory::operations::words::{Line, OperationError, Outcome};
use crate::directory::operations::{Operations, send};

impl Operations {
    pub(super) async fn failures(
        &self,
        platform: &str,
        lines: &mpsc::Sender<Line>,
    ) -> Result<Outcome, OperationError> {
        self.check_platform(platform)?;
        let mut seen = HashSet::new();
        let mut cursor = None;
        loop {
            let page = self.directory.counted_failures(platform, cursor).await?;
            let now = self.directory.clock().unix_seconds();
            for it in page.0 {
                if it.ends > now && seen.insert((it.digest.clone(), it.ends)) {
                    let row = [
                        ("digest", json!(it.digest)),
                        ("failures", json!(it.failures)),
                        ("seconds_left", json!(it.ends - now)),
                    ];
                    let row: Row = row
                        .map(|(key, value)| (key.to_owned(), value))
                        .into_iter()
                        .collect();
                    send(lines, Line::Row(row)).await?;
                }
            }
            cursor = page.1;
            if cursor.is_none() {
                let records = seen.len();
                return Ok(Outcome::Listed { records });
            }
        }
    }

    pub(super) async fn lift(
        &self,
        platform: &str,
        of: &Attempts,
    ) -> Result<Outcome, OperationError> {
        self.check_platform(platform)?;
        let counters = self.directory.lift_failures(platform, of).await?;
        Ok(Outcome::Lifted { counters })
    }
}
