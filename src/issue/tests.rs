//! What a login costs, whoever it is for: nobody learns from the time it takes who is known.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::task_local;

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::credential::Fingerprinter;
use crate::directory::Directory;
use crate::directory::attempts::Status;
use crate::directory::file::{DirectoryFile, Existing};
use crate::directory::operations::Operations;
use crate::directory::pepper::Peppers;
use crate::directory::security::{AuthModule, AuthModules};
use crate::document::Document;
use crate::issue::core::Parts as CoreParts;
use crate::proof::Prover;
use crate::serve::opening::forms;
use crate::store::embedded::Embedded;
use crate::store::{Cursor, DeleteIf, Page, PutIf, Sink, Store, StoreError};
use crate::telemetry::Metrics;
use crate::throttle::Throttle;

const CONFIG: &str = r#"
listen: { grpc: ["127.0.0.1:0"], issue: "127.0.0.1:0" }
client_address: { from: peer }
platforms:
  - { name: crossbar, preset: crossbar, hosts: [crossbar.example.com], throttle: { bucket: null } }
"#;

const ACCOUNT: &str = "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b";
const OTHER: &str = "5c9f1f3d2e4b506f7b8c9d0e1f2a3b4c";
const SHUT: &str = "6da0204e3f5c61708c9d0e1f2a3b4c5d";

const RIGHT: &str = "82a2dc91686ec828a67152d45a5c5ef7";
const OF_DISABLED: &str = "00a6d8ef5695bdf409a31d11c19630fa";
const NOBODYS: &str = "00000000000000000000000000000001";

const DIRECTORY: &str = r#"
crossbar:
  accounts:
    - { id: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, name: "ACME, Inc.", realm: acme.example.com, phone_numbers: ["+14155550100"] }
    - { id: 6da0204e3f5c61708c9d0e1f2a3b4c5d, name: Shut, enabled: false }
  users:
    - { id: u-1, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: john@example.com, password: m32c6NfqYEt }
    - { id: u-2, account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b, username: disabled@example.com, enabled: false,
        credentials: { md5: 00a6d8ef5695bdf409a31d11c19630fa } }
"#;

task_local! {
    /// What is asked of the store before the answer; not what is done beside it.
    static ASKED_OF_STORE: RefCell<Vec<String>>;
}

/// Notes every operation by its name and the number of keys.
#[derive(Debug)]
struct Counted {
    inner: Embedded,
    /// Also beside answers.
    operations: AtomicUsize,
    /// What is read waits as long as this is false.
    open: watch::Sender<bool>,
    /// Whether it takes no writes.
    down: AtomicBool,
}

impl Counted {
    fn new(clock: Clock) -> Self {
        Self {
            inner: Embedded::memory(clock).unwrap(),
            operations: AtomicUsize::new(0),
            open: watch::Sender::new(true),
            down: AtomicBool::new(false),
        }
    }

    fn note(&self, operation: &str, keys: usize) {
        self.operations.fetch_add(1, Ordering::SeqCst);
        let noted = format!("{operation} {keys}");
        let _ = ASKED_OF_STORE.try_with(|it| it.borrow_mut().push(noted));
    }
}

impl Store for Counted {
    fn get<'a>(
        &'a self,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        self.note("get", keys.len());
        Box::pin(async move {
            let mut open = self.open.subscribe();
            open.wait_for(|it| *it).await.unwrap();
            self.inner.get(keys).await
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        condition: PutIf<'a>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.note("put", 1);
        if self.down.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Unavailable("down".to_owned())) });
        }
        self.inner.put(key, value, condition, ttl)
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        condition: DeleteIf<'a>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.note("delete", 1);
        self.inner.delete(key, condition)
    }

    fn touch<'a>(&'a self, key: &'a str, ttl: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.note("touch", 1);
        self.inner.touch(key, ttl)
    }

    fn add<'a>(
        &'a self,
        key: &'a str,
        amount: u64,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.note("add", 1);
        self.inner.add(key, amount, ttl)
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.note("scan", 1);
        self.inner.scan(prefix, cursor)
    }

    fn watch(&self, sink: Sink) {
        self.inner.watch(sink);
    }

    fn lease(&self) -> crate::store::lease::Lease {
        self.inner.lease()
    }
}

async fn core() -> Core {
    core_over_store().await.0
}

async fn core_over_store() -> (Core, Arc<Counted>) {
    let config = Config::parse("c.yaml", CONFIG, Path::new("."), |_| None).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let clock = Clock::from_fn(move || now);
    let fingerprinter = Fingerprinter::random().unwrap();
    let store = Arc::new(Counted::new(clock.clone()));
    let directory = Directory::new(
        Arc::clone(&store) as _,
        Peppers::ephemeral().unwrap(),
        Prover::new(fingerprinter.clone(), 1000, 1).unwrap(),
        clock,
    );
    let document = Document::parse("d.yaml", DIRECTORY).unwrap();
    let file = DirectoryFile::parse(&document, &["crossbar"]).unwrap();
    let needed = |name: &str| forms(&config.platforms, name);
    file.import(&directory, Existing::Replace, needed, |_| ())
        .await
        .unwrap();
    let operations = [("crossbar".to_owned(), forms(&config.platforms, "crossbar"))];
    let core = Core::new(CoreParts {
        operations: Operations::new(directory.clone(), operations.into()),
        throttle: Throttle::new(directory.clone(), fingerprinter, 1000),
        platforms: config.platforms,
        signing: config.signing,
        metrics: Arc::new(Metrics::default()),
        audit: None,
        instance: 1,
        directory,
    });
    (core, store)
}

/// Sends a login through the endpoint; gives the status, the body, and what was asked of the store.
async fn log_in(core: &Core, data: serde_json::Value) -> (u16, String, Vec<String>) {
    let context = Context {
        platform: "crossbar".to_owned(),
        method: "PUT".to_owned(),
        path: "/v2/user_auth".to_owned(),
        client_address: "192.0.2.1".parse().ok(),
        identity: None,
        issued: core.clock().unix_seconds(),
    };
    let request = Request::builder()
        .method("PUT")
        .uri("/v2/user_auth")
        .header(context::HEADER, context.seal(core.directory().peppers()))
        .header("x-request-id", "1")
        .body(Body::from(json!({ "data": data }).to_string()))
        .unwrap();
    let asked = async {
        let response = answer(State(core.clone().into()), request).await;
        (response, ASKED_OF_STORE.with(RefCell::take))
    };
    let (response, asked) = ASKED_OF_STORE.scope(RefCell::default(), asked).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), MAX_BODY_BYTES)
        .await
        .unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), asked)
}

#[tokio::test]
async fn whoever_does_not_get_in_is_refused_after_the_same_work_in_the_same_words() {
    let core = core().await;
    let right = log_in(
        &core,
        json!({ "credentials": RIGHT, "account_id": ACCOUNT }),
    )
    .await;
    assert_eq!(right.0, 201, "{}", right.1);
    // By each way to name an account: one that there is, one that there is not, and one that is shut.
    let accounts = [
        ("account_id", ACCOUNT, OTHER, SHUT),
        ("account_name", "ACME, Inc.", "Nobody", "Shut"),
        ("realm", "acme.example.com", "nobody.example.com", ""),
        ("phone_number", "+14155550100", "+14155550199", ""),
    ];
    for method in ["md5", "sha"] {
        for (field, known, unknown, shut) in accounts {
            let mut told = Vec::new();
            for (case, account, hash) in [
                ("nobody's hash", known, NOBODYS),
                ("a disabled user", known, OF_DISABLED),
                ("an unknown account", unknown, RIGHT),
                ("an unknown account, nobody's hash", unknown, NOBODYS),
                ("nobody's hash at a shut account", shut, NOBODYS),
            ] {
                if account.is_empty() {
                    continue;
                }
                let data = json!({ field: account, "credentials": hash, "method": method });
                let (status, body, asked) = log_in(&core, data).await;
                assert_eq!(status, 401, "{field}, {case}");
                told.push((case, body, asked));
            }
            let (_, body, asked) = &told[0];
            assert!(asked.len() > 2, "{asked:?}");
            for (case, other_body, other_asked) in &told[1..] {
                assert_eq!(other_asked, asked, "{field}, {method}: {case}");
                assert_eq!(other_body, body, "{field}, {method}: {case}");
            }
        }
    }
}

/// What an account is told of who has tried: whether they got in, and how, newest first.
async fn attempts(core: &Core, account: &str) -> Vec<(Status, String)> {
    let all = core.directory().attempts("crossbar", account).await;
    let brief = |it: crate::directory::attempts::Attempt| (it.login.status, it.login.message);
    all.unwrap().into_iter().map(brief).collect()
}

fn at(account: &str, hash: &str) -> serde_json::Value {
    json!({ "credentials": hash, "account_id": account })
}

#[tokio::test]
async fn a_login_leaves_nothing_to_be_done_beside_it_and_is_told_of_all_the_same() {
    let (core, store) = core_over_store().await;
    for (account, hash) in [
        (ACCOUNT, RIGHT),
        (ACCOUNT, NOBODYS),
        (OTHER, NOBODYS),
        (SHUT, NOBODYS),
    ] {
        let before = store.operations.load(Ordering::SeqCst);
        let (_, _, asked) = log_in(&core, at(account, hash)).await;
        assert_eq!(
            Handle::current().metrics().num_alive_tasks(),
            0,
            "{account}"
        );
        let operations = store.operations.load(Ordering::SeqCst) - before;
        assert_eq!(operations, asked.len(), "{account}");
    }
    assert_eq!(attempts(&core, ACCOUNT).await, []);
    assert!(!core.write_attempts().await, "nothing waits any more");
    let failed = (
        Status::Failed,
        "the credentials were not accepted".to_owned(),
    );
    let success = (Status::Success, "a token was created".to_owned());
    assert_eq!(attempts(&core, ACCOUNT).await, [failed.clone(), success]);
    assert_eq!(attempts(&core, SHUT).await, [failed]);
    // Where there is no account, nothing is written.
    for nobodys in [OTHER, "00000000000000000000000000000000"] {
        assert_eq!(attempts(&core, nobodys).await, []);
    }
    let before = store.operations.load(Ordering::SeqCst);
    core.write_attempts().await;
    assert_eq!(store.operations.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn only_what_the_account_wants_to_know_is_written_down_in_one_write() {
    for (failed, successful, want) in [
        (false, false, 0),
        (true, false, 10),
        (false, true, 1),
        (true, true, 11),
    ] {
        let core = core().await;
        let module = AuthModule {
            log_failed_attempts: Some(failed),
            log_successful_attempts: Some(successful),
            ..AuthModule::default()
        };
        let modules: AuthModules = [("cb_user_auth".to_owned(), module)].into();
        let set = core.directory().put_security("crossbar", ACCOUNT, &modules);
        set.await.unwrap();
        for _ in 0..10 {
            log_in(&core, at(ACCOUNT, NOBODYS)).await;
        }
        log_in(&core, at(ACCOUNT, RIGHT)).await;
        let asked = async {
            core.write_attempts().await;
            ASKED_OF_STORE.with(RefCell::take)
        };
        let asked = ASKED_OF_STORE.scope(RefCell::default(), asked).await;
        let puts = asked.iter().filter(|it| *it == "put 1").count();
        assert_eq!(puts, usize::from(want > 0), "{asked:?}");
        let noted = attempts(&core, ACCOUNT).await.len();
        assert_eq!(noted, want, "{failed} {successful}");
    }
}

#[tokio::test]
async fn what_the_store_does_not_take_is_written_down_once_it_does() {
    let (core, store) = core_over_store().await;
    log_in(&core, at(ACCOUNT, NOBODYS)).await;
    store.down.store(true, Ordering::SeqCst);
    assert!(!core.write_attempts().await, "no use in trying on");
    log_in(&core, at(ACCOUNT, RIGHT)).await;
    assert!(!core.write_attempts().await);
    store.down.store(false, Ordering::SeqCst);
    core.write_attempts().await;
    let statuses: Vec<_> = attempts(&core, ACCOUNT)
        .await
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(statuses, [Status::Success, Status::Failed]);
}

#[tokio::test]
async fn of_logins_released_at_once_as_many_are_looked_at_as_may_fail() {
    let (core, store) = core_over_store().await;
    store.open.send_replace(false);
    let mut logins = begin(&core, ACCOUNT);
    for _ in 0..30 {
        assert_eq!(logins.join_next().await.unwrap().unwrap(), 429);
    }
    store.open.send_replace(true);
    assert_eq!(logins.join_all().await, [401; 20]);
    assert_eq!(log_in(&core, at(ACCOUNT, RIGHT)).await.0, 429);
}

#[tokio::test]
async fn a_login_that_is_hung_up_on_before_its_answer_counts_as_failed() {
    let (core, store) = core_over_store().await;
    store.open.send_replace(false);
    let mut logins = begin(&core, ACCOUNT);
    for _ in 0..30 {
        assert_eq!(logins.join_next().await.unwrap().unwrap(), 429);
    }
    logins.shutdown().await;
    store.open.send_replace(true);
    assert_eq!(log_in(&core, at(ACCOUNT, NOBODYS)).await.0, 429);
    assert_eq!(log_in(&core, at(OTHER, NOBODYS)).await.0, 401);
}

/// Begins fifty logins of nobody's at an account.
fn begin(core: &Core, account: &'static str) -> JoinSet<u16> {
    let mut logins = JoinSet::new();
    for _ in 0..50 {
        let core = core.clone();
        logins.spawn(async move { log_in(&core, at(account, NOBODYS)).await.0 });
    }
    logins
}
