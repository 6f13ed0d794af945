//! Operations on counters of failed attempts: which there are, and lifting them.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use crate::decision::Fault;
use crate::directory::failures::Attempts;
use crate::directory::file::written::Row;
use crate::directory::names::{account_names, attempted, attempted_login};
use crate::directory::operations::words::{Line, OperationError, Outcome};
use crate::directory::operations::{Operations, send};

/// How long a server may have counted alone: the second between two of its syncs, and a little more.
const UNTOLD: Duration = Duration::from_millis(1300);

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
        let targets = self.targets(platform, of).await?;
        let mut counters = 0;
        for of in &targets {
            counters += self.directory.lift_failures(platform, of).await?;
        }
        // What servers had not told yet, they tell within a second.
        tokio::time::sleep(UNTOLD).await;
        for of in &targets {
            counters += self.directory.lift_failures(platform, of).await?;
        }
        Ok(Outcome::Lifted { counters })
    }

    /// What is to be lifted: of a login, however it is spelled; of an account, also what it is called by.
    async fn targets(&self, platform: &str, of: &Attempts) -> Result<Vec<Attempts>, Fault> {
        let mut all = vec![of.clone()];
        let Attempts::Of { address, target } = of else {
            return Ok(all);
        };
        let login = Attempts::Of {
            address: *address,
            target: attempted_login(target),
        };
        if login != *of {
            all.push(login);
        }
        if let Some(account) = self.directory.account(platform, target).await? {
            let names = account_names(&account).into_iter();
            all.extend(names.map(|it| Attempts::Of {
                address: *address,
                target: attempted(it.index, &it.value),
            }));
        }
        Ok(all)
    }
}
