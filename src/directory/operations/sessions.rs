//! Operations on sessions: who has one, and ending it.

use std::collections::HashSet;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::credential::Secret;
use crate::decision::Fault;
use crate::directory::decoding::decode_all;
use crate::directory::file::written::{Row, time};
use crate::directory::operations::words::{Line, OperationError, Outcome, Whose};
use crate::directory::operations::{Operations, send};
use crate::directory::records::{Account, User};
use crate::directory::sessions::Session;
use crate::directory::store_fault;

impl Operations {
    pub(super) async fn revoke_session(
        &self,
        platform: &str,
        whose: Whose,
    ) -> Result<Outcome, OperationError> {
        self.check_platform(platform)?;
        let existed = match whose {
            Whose::Token(token) => {
                let token = Secret::new(token.expose().as_bytes());
                self.directory.destroy_session(platform, &token).await?
            }
            Whose::User(user) => self.directory.end_session_of(platform, &user).await?,
        };
        Ok(Outcome::Revoked { existed })
    }

    pub(super) async fn sessions(
        &self,
        platform: &str,
        user: Option<&str>,
        lines: &mpsc::Sender<Line>,
    ) -> Result<Outcome, OperationError> {
        self.check_platform(platform)?;
        let prefix = self
            .directory
            .session_key(platform, user.unwrap_or_default());
        let mut records = 0;
        let mut seen = HashSet::new();
        let mut cursor = None;
        loop {
            let page = self.directory.store().scan(&prefix, cursor).await;
            let mut page = page.map_err(store_fault)?;
            page.keys.retain(|it| user.is_none() || *it == prefix);
            page.keys.retain(|it| seen.insert(it.clone()));
            page.keys.sort_unstable();
            let sessions = self.directory.values(&page.keys).await?;
            let sessions = decode_all(&page.keys, sessions)?;
            let sessions: Vec<Session> = sessions.into_iter().flatten().collect();
            for row in self.session_rows(platform, &sessions).await? {
                records += 1;
                send(lines, Line::Row(row)).await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(Outcome::Listed { records });
            }
        }
    }

    /// Reads what decides whether each session is still good, in one round trip for each kind.
    async fn session_rows(&self, platform: &str, sessions: &[Session]) -> Result<Vec<Row>, Fault> {
        let directory = &self.directory;
        let used = sessions
            .iter()
            .map(|it| directory.use_key(platform, &it.token));
        let used = directory.values(&used.collect::<Vec<_>>()).await?;
        let users = sessions
            .iter()
            .map(|it| directory.user_key(platform, &it.user));
        let users: Vec<_> = users.collect();
        let users: Vec<Option<User>> = decode_all(&users, directory.values(&users).await?)?;
        // A user without an account reads one that cannot be there.
        let account = |it: &Option<User>| it.as_ref()?.account.clone();
        let accounts = users.iter().map(|it| account(it).unwrap_or_default());
        let accounts = accounts.map(|it| directory.account_key(platform, &it));
        let accounts: Vec<_> = accounts.collect();
        let found = directory.values(&accounts).await?;
        let accounts: Vec<Option<Account>> = decode_all(&accounts, found)?;
        let whole = directory.platform(platform).await?.generation;
        let now = directory.clock().unix_seconds();
        let rows = sessions.iter().enumerate().map(|(index, session)| {
            let generation = accounts[index].as_ref().map_or(0, |it| it.generation);
            let generations = users[index]
                .as_ref()
                .map(|it| [whole, generation, it.generation]);
            let unused = used[index].is_none();
            let state = if session.ends <= now || unused && session.idle_seconds.is_none() {
                "ended"
            } else if generations != Some(session.generations) {
                "revoked"
            } else if unused {
                "idle"
            } else {
                "on"
            };
            row(session, state)
        });
        Ok(rows.collect())
    }
}

fn row(session: &Session, state: &str) -> Row {
    let row = [
        ("user", json!(session.user)),
        ("state", json!(state)),
        ("created_at", json!(time(session.created))),
        ("ends_at", json!(time(session.ends))),
        ("idle_seconds", json!(session.idle_seconds)),
        ("address", json!(session.address)),
    ];
    let given = row.into_iter().filter(|it| it.1 != Value::Null);
    given.map(|(key, value)| (key.to_owned(), value)).collect()
}
