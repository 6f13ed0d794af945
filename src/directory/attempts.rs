//! The latest attempts to log in to an account, for its owner to look at.
//!
//! All of an account's stand in one key: few enough that one read lists them and none is ever swept
//! up. They are notes, on which no verdict stands, and no secret is among them.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decision::{Dependency, Fault};
use crate::directory::Directory;

/// How many attempts an account remembers.
pub const MAX_ATTEMPTS: usize = 100;

/// How long an attempt is remembered.
pub const REMEMBERED: Duration = Duration::from_hours(24 * 30);

/// The longest text of an attempt, in characters; the rest is cut off.
const MAX_TEXT_CHARS: usize = 256;

/// How often a note is tried where others come first.
const NOTE_ATTEMPTS: usize = 4;

/// Bytes of randomness in an attempt's id.
const ID_BYTES: usize = 16;

/// An attempt as it is remembered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Attempt {
    /// 32 random hexadecimal digits.
    pub id: String,
    /// When it was, in Unix seconds.
    pub timestamp: u64,
    /// What was attempted.
    #[serde(flatten)]
    pub login: Login,
}

/// What was attempted, and with what success. Texts from outside are cut, not checked.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Login {
    /// How, in the platform's words.
    pub auth_type: String,
    /// Through which module, such as `cb_user_auth`.
    pub auth_module: String,
    /// With what success.
    pub status: Status,
    /// What the platform says about it.
    pub message: String,
    /// From where.
    pub client_ip: Option<IpAddr>,
    /// The request's id.
    pub request_id: Option<String>,
    /// The id of the user whom it turned out to be.
    pub user: Option<String>,
}

/// The success of an attempt.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody was let in.
    #[default]
    Failed,
    /// Somebody was let in.
    Success,
}

impl Directory {
    /// Makes an attempt of now to be [noted](Directory::note_attempts).
    ///
    /// # Errors
    /// A fault where the system gives no randomness.
    pub fn attempt(&self, login: Login) -> Result<Attempt, Fault> {
        Ok(Attempt {
            id: random_id()?,
            timestamp: self.clock().unix_seconds(),
            login: login.cut(),
        })
    }

    /// Notes attempts, the oldest first, in one write; what is noted already stays as it is.
    /// `Ok(false)`: other notes came first too often, and they are forgotten. Only for accounts that
    /// there are: any other would let strangers fill the store.
    ///
    /// # Errors
    /// A fault when the store does not take them.
    pub async fn note_attempts(
        &self,
        platform: &str,
        account: &str,
        new: &[Attempt],
    ) -> Result<bool, Fault> {
        let add = |old: Option<Vec<Attempt>>| {
            let mut attempts: Vec<_> = new.iter().rev().cloned().collect();
            // A write whose answer was lost comes again.
            let known = |it: &Attempt| new.iter().any(|new| new.id == it.id);
            attempts.extend(old.unwrap_or_default().into_iter().filter(|it| !known(it)));
            let mut attempts = self.remembered(attempts);
            attempts.sort_by_key(|it| Reverse(it.timestamp));
            attempts.truncate(MAX_ATTEMPTS);
            Ok::<_, Fault>(attempts)
        };
        let key = self.attempts_key(platform, account);
        let noted = self
            .swap(&key, Some(REMEMBERED), NOTE_ATTEMPTS, add)
            .await?;
        Ok(noted.is_some())
    }

    /// Gives the attempts that an account remembers, newest first.
    ///
    /// # Errors
    /// A fault when the store does not answer or the record cannot be read.
    pub async fn attempts(&self, platform: &str, account: &str) -> Result<Vec<Attempt>, Fault> {
        let attempts = self.stored(&self.attempts_key(platform, account)).await?;
        Ok(self.remembered(attempts.unwrap_or_default()))
    }

    fn remembered(&self, mut attempts: Vec<Attempt>) -> Vec<Attempt> {
        let now = self.clock().unix_seconds();
        attempts.retain(|it| now < it.timestamp.saturating_add(REMEMBERED.as_secs()));
        attempts
    }

    fn attempts_key(&self, platform: &str, account: &str) -> String {
        format!("pcu:a:{platform}:{account}")
    }
}

impl Login {
    fn cut(mut self) -> Self {
        let texts = [
            &mut self.auth_type,
            &mut self.auth_module,
            &mut self.message,
        ];
        let more = self.request_id.iter_mut().chain(&mut self.user);
        for text in texts.into_iter().chain(more) {
            if let Some((end, _)) = text.char_indices().nth(MAX_TEXT_CHARS) {
                text.truncate(end);
            }
        }
        self
    }
}

fn random_id() -> Result<String, Fault> {
    let mut bytes = [0; ID_BYTES];
    let failed = |it| Fault::new(Dependency::Internal, format!("no randomness: {it}"));
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(bytes.iter().map(|it| format!("{it:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;
    use tokio::task::JoinSet;

    use super::*;
    use crate::directory::bench::{Bench, START};

    fn login(message: impl Into<String>) -> Login {
        Login {
            message: message.into(),
            ..Login::default()
        }
    }

    async fn note(bench: &Bench, login: Login) {
        let attempt = [bench.directory.attempt(login).unwrap()];
        let noted = bench.directory.note_attempts("p", "a", &attempt);
        assert!(noted.await.unwrap());
    }

    async fn messages(bench: &Bench) -> Vec<String> {
        let attempts = bench.directory.attempts("p", "a").await.unwrap();
        attempts.into_iter().map(|it| it.login.message).collect()
    }

    #[tokio::test]
    async fn an_attempt_is_remembered_as_it_was_under_an_id_of_its_own() {
        let bench = Bench::new();
        let full = Login {
            auth_type: "user_auth".into(),
            auth_module: "cb_user_auth".into(),
            status: Status::Success,
            message: "welcome".into(),
            client_ip: Some("192.0.2.1".parse().unwrap()),
            request_id: Some("r-1".into()),
            user: Some("u".into()),
        };
        note(&bench, full).await;
        bench.pass(Duration::from_secs(1));
        note(&bench, login("no")).await;
        let attempts = bench.directory.attempts("p", "a").await.unwrap();
        let ids: HashSet<_> = attempts.iter().map(|it| it.id.clone()).collect();
        assert!(ids.len() == 2 && ids.iter().all(|it| it.len() == 32));
        let want = json!({
            "id": attempts[1].id, "timestamp": START, "auth_type": "user_auth",
            "auth_module": "cb_user_auth", "status": "success", "message": "welcome",
            "client_ip": "192.0.2.1", "request_id": "r-1", "user": "u",
        });
        assert_eq!(json!(attempts[1]), want);
        assert_eq!(json!(attempts[0])["status"], json!("failed"));
        assert_eq!(attempts[0].timestamp, START + 1);
        for (platform, account) in [("q", "a"), ("p", "b")] {
            let others = bench.directory.attempts(platform, account).await.unwrap();
            assert_eq!(others, []);
        }
    }

    #[tokio::test]
    async fn attempts_are_bounded_in_number_age_and_size() {
        let bench = Bench::new();
        note(&bench, login("old")).await;
        bench.pass(REMEMBERED - Duration::from_secs(1));
        note(&bench, login("ü".repeat(1000))).await;
        assert_eq!(
            messages(&bench).await,
            ["ü".repeat(MAX_TEXT_CHARS), "old".into()]
        );
        bench.pass(Duration::from_secs(1));
        assert_eq!(messages(&bench).await, ["ü".repeat(MAX_TEXT_CHARS)]);
        for index in 0..MAX_ATTEMPTS {
            note(&bench, login(index.to_string())).await;
        }
        let want: Vec<_> = (0..MAX_ATTEMPTS).rev().map(|it| it.to_string()).collect();
        assert_eq!(messages(&bench).await, want);
        bench.pass(REMEMBERED);
        assert_eq!(messages(&bench).await, [""; 0]);
    }

    #[tokio::test]
    async fn notes_of_several_processes_stand_in_the_order_of_time_and_each_once() {
        let bench = Bench::new();
        let mut made = Vec::new();
        for message in ["1", "2", "3", "4"] {
            made.push(bench.directory.attempt(login(message)).unwrap());
            bench.pass(Duration::from_secs(1));
        }
        for some in [&made[1..2], &made[3..], &made[..3], &made[..3]] {
            let noted = bench.directory.note_attempts("p", "a", some);
            assert!(noted.await.unwrap());
        }
        assert_eq!(messages(&bench).await, ["4", "3", "2", "1"]);
        let same_second = ["5", "6"].map(|it| bench.directory.attempt(login(it)).unwrap());
        let noted = bench.directory.note_attempts("p", "a", &same_second);
        assert!(noted.await.unwrap());
        assert_eq!(messages(&bench).await[..3], ["6", "5", "4"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_notes_made_at_once_none_is_counted_that_is_not_there() {
        let bench = Bench::new();
        let mut racers = JoinSet::new();
        for racer in 0..50 {
            let directory = bench.directory.clone();
            let attempt = [directory.attempt(login(racer.to_string())).unwrap()];
            racers.spawn(async move {
                let noted = directory.note_attempts("p", "a", &attempt);
                noted.await.unwrap()
            });
        }
        let noted = racers.join_all().await.into_iter().filter(|it| *it).count();
        assert!(noted > 0);
        assert_eq!(messages(&bench).await.len(), noted);
    }
}
