//! What every dialect's endpoints do, in nobody's words: log in, mint, revoke.
//!
//! It knows records, keys and limits, and nothing of how a client asked. What a login proves is the
//! dialect's to say; that it is asked of the throttle first, counted when it fails, and worth a
//! token only under the generations of the records that it was read from, is said here once.

mod lasting;
mod limits;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::context::{Context, ContextError};
use crate::decision::{Denial, Dependency, Failure, Fault};
use crate::directory::Directory;
use crate::directory::attempts::Login;
use crate::directory::operations::Operations;
use crate::directory::operations::words::{Operation, OperationError};
use crate::directory::reads::Reads;
use crate::directory::records::RecordKind;
use crate::identity::TokenRef;
use crate::issue::answer::Answer;
use crate::issue::audited::{self, Came};
use crate::issue::core::lasting::Lasting;
use crate::issue::notes::{Notes, Whose};
use crate::issue::standing::digest_of;
use crate::issue::turns::Turn;
use crate::issue::{Asked, Signature, uuid};
use crate::keys::signing::SigningKeys;
use crate::platform::refusal::{self, Circumstances, Refusal};
use crate::platform::{Platform, Platforms};
use crate::telemetry::Metrics;
use crate::telemetry::audit::Audit;
use crate::throttle::Throttle;

/// What the endpoints of all platforms share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Core(Arc<Inner>);

/// What a core is made of.
#[derive(Debug)]
pub struct Parts {
    /// The directory.
    pub directory: Directory,
    /// What commands ask of it, and endpoints too.
    pub operations: Operations,
    /// The platforms.
    pub platforms: Platforms,
    /// Limits on failed attempts.
    pub throttle: Throttle,
    /// What tokens are signed with.
    pub signing: SigningKeys,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who takes note, where somebody wants that.
    pub audit: Option<Audit>,
    /// Names this process, in answers.
    pub instance: u64,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    lasting: Arc<Lasting>,
}

/// What a token is to say.
#[derive(Debug)]
pub(super) struct Grant {
    /// What the platform documents; `exp`, `iat`, `jti` and `gen` are added.
    pub(super) claims: Map<String, Value>,
    /// The generations that it is good under.
    pub(super) generations: [u64; 3],
    /// How long it is good.
    pub(super) lifetime: Duration,
}

impl Core {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let lasting = Arc::default();
        Self(Arc::new(Inner { parts, lasting }))
    }

    /// Gives the core of another configuration: attempts that wait to be written go on waiting
    /// there, and no id is given twice.
    #[must_use]
    pub fn with(&self, parts: Parts) -> Self {
        let lasting = Arc::clone(&self.0.lasting);
        Self(Arc::new(Inner { parts, lasting }))
    }

    /// Logs why a request was not admitted: the first of each second, since anybody can send them.
    pub(super) fn tell(&self, why: &impl std::fmt::Display) {
        let now = self.clock().unix_seconds();
        if self.0.lasting.told.swap(now, Ordering::Relaxed) != now {
            tracing::warn!("a request to the issue listener was refused: {why}");
        }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.0.parts.directory
    }

    /// The time.
    pub(super) fn clock(&self) -> &Clock {
        self.directory().clock()
    }

    /// Names this process, in answers.
    pub(super) fn instance(&self) -> String {
        format!("{:016x}", self.0.parts.instance)
    }

    /// Makes an id for a request that came without one.
    pub(super) fn fresh_id(&self) -> String {
        let number = self.0.lasting.answered.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{number:016x}", self.0.parts.instance)
    }

    /// Opens what Check has told of a request.
    pub(super) fn open(
        &self,
        sealed: &str,
        request: (&str, &str),
    ) -> Result<Context, ContextError> {
        let now = self.clock().unix_seconds();
        Context::open(sealed, self.directory().peppers(), request, now)
    }

    /// Gives a platform by its name.
    pub(super) fn platform(&self, name: &str) -> Option<Arc<Platform>> {
        let mut all = self.0.parts.platforms.iter();
        all.find(|it| &*it.name == name).cloned()
    }

    /// Gives the keys that a platform's tokens are verified with.
    pub(super) fn jwks(&self, platform: &Platform) -> Value {
        self.0.parts.signing.jwks(&platform.name)
    }

    /// Waits for a turn to read much for an account; see [`crate::issue::turns::Turns::take`].
    ///
    /// # Errors
    /// A denial where too many wait.
    pub(super) async fn turn(&self, platform: &str, account: &str) -> Result<Turn<'_>, Denial> {
        self.0.lasting.turns.take(platform, account).await
    }

    /// Begins to read for one answer.
    pub(super) fn reads(&self, asked: &Asked) -> Reads {
        Reads::begin(self.directory(), &asked.platform.name)
    }

    /// Mints a token (RFC 7519).
    ///
    /// # Errors
    /// A fault where it cannot be signed.
    pub(super) fn mint(&self, asked: &Asked, grant: Grant) -> Result<String, Fault> {
        let now = self.clock().unix_seconds();
        let mut claims = grant.claims;
        claims.insert(
            "exp".to_owned(),
            json!(now.saturating_add(grant.lifetime.as_secs())),
        );
        claims.insert("iat".to_owned(), json!(now));
        claims.insert("jti".to_owned(), json!(uuid::random()?));
        claims.insert("gen".to_owned(), json!(grant.generations));
        let platform = &asked.platform;
        match asked.dialect.signature {
            Signature::Rs256 => self.0.parts.signing.sign(&platform.name, &claims),
            Signature::Hs256(header) => platform.hmac.sign(header, &claims),
        }
    }

    /// Ends a token before its time.
    ///
    /// # Errors
    /// A fault when the store does not take it: it goes on then.
    pub(super) async fn revoke(&self, platform: &Platform, token: &TokenRef) -> Result<(), Fault> {
        let digest = digest_of(token)?;
        self.directory()
            .revoke_digest(&platform.name, &digest, token.ends)
            .await?;
        self.directory().confirm_or_log().await;
        Ok(())
    }

    /// Ends every token and session of a user or account, as the command does.
    ///
    /// # Errors
    /// A fault when the store does not take it. `false`: there is no such record.
    pub(super) async fn revoke_all(
        &self,
        platform: &Platform,
        kind: RecordKind,
        id: &str,
    ) -> Result<bool, Fault> {
        let operation = Operation::Revoke {
            kind,
            platform: platform.name.to_string(),
            id: id.to_owned(),
        };
        let nobody = tokio::sync::mpsc::channel(1).0;
        match self.0.parts.operations.perform(operation, &nobody).await {
            Ok(_) => {
                self.directory().confirm_or_log().await;
                Ok(true)
            }
            Err(OperationError::Refused(_) | OperationError::Problems(_)) => Ok(false),
            Err(OperationError::Fault(detail)) => Err(Fault::new(Dependency::Store, detail)),
        }
    }

    /// Notes an attempt to log in to an account, which there may not be. It is in memory until it is
    /// [written](Core::write_attempts).
    pub(super) fn note(&self, asked: &Asked, account: &str, login: Login) {
        let whose = Whose {
            platform: Arc::clone(&asked.platform.name),
            account: account.to_owned(),
        };
        let forgotten = match self.directory().attempt(login) {
            Ok(attempt) => self.0.lasting.notes.add(whose, attempt),
            Err(_) => 1,
        };
        self.forget(forgotten);
    }

    /// What waits to be written.
    pub(super) fn notes(&self) -> &Notes {
        &self.0.lasting.notes
    }

    /// Counts attempts that are not written down.
    pub(super) fn forget(&self, attempts: usize) {
        self.0.parts.metrics.count_forgotten(attempts);
    }

    /// Logs that attempts cannot be written down, and once they can be again.
    pub(super) fn tell_of_notes(&self, written: Result<(), &Fault>) {
        self.0.lasting.tell_of_notes(written);
    }

    /// Counts and notes what an endpoint gave or did not give.
    pub(super) fn count(&self, asked: &Asked, kind: &'static str, came: Came<'_>) {
        let metrics = &self.0.parts.metrics;
        metrics.count_issued(&asked.platform.name, kind, came.outcome);
        if let Some(audit) = &self.0.parts.audit {
            audited::note(audit, asked, kind, came);
        }
    }

    /// Answers a failure as the platform does. A fault is logged here, and not shown.
    pub(super) fn refuse(&self, asked: &Asked, failure: &Failure) -> Answer {
        let circumstances = Circumstances {
            decision_id: asked.request_id.clone(),
            instance: self.instance(),
            now: self.clock().now(),
            number: self.0.lasting.answered.fetch_add(1, Ordering::Relaxed),
        };
        let refusal = match failure {
            Failure::Denied(denial) => Refusal::of_denial(denial),
            Failure::Fault(fault) => {
                self.0.parts.metrics.count_fault(fault);
                let (platform, request_id) = (&asked.platform.name, &asked.request_id);
                tracing::error!(%platform, request_id, "an endpoint failed: {fault}");
                Refusal::of_fault(fault, &circumstances)
            }
        };
        let shown = refusal::Asked {
            path: &asked.context.path,
            accept: &asked.accept,
            request_id: Some(&asked.request_id),
        };
        let platform = Some(&*asked.platform);
        refusal.write(platform, shown, &circumstances).into()
    }
}
