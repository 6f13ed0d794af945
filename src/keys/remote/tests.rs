//! Against an issuer on loopback, with time moved by hand between fetches.

use serde_json::json;

use super::*;
use crate::keys::samples::Maker;
use crate::outbound::scripted::Scripted;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// An issuer with a key `k1`, and what fetches its set.
struct Fixture {
    issuer: Scripted,
    keys: Arc<KeySet>,
}

fn set(names: &[&str]) -> String {
    let key = |it: &&str| Maker::new(Algorithm::Es256).jwk(it);
    json!({ "keys": names.iter().map(key).collect::<Vec<_>>() }).to_string()
}

impl Fixture {
    async fn new() -> Self {
        let issuer = Scripted::start().await;
        let url = issuer.url("/keys");
        Self::with(issuer, Source::KeySet(url))
    }

    fn with(issuer: Scripted, source: Source) -> Self {
        let settings = Settings {
            issuer: "https://idp.example.com".to_owned(),
            source,
            algorithms: vec![Algorithm::Es256],
            keep: Duration::from_secs(KEEP_SECONDS),
            cool_down: Duration::from_secs(COOL_DOWN_SECONDS),
        };
        issuer.answer(
            "/keys",
            200,
            "cache-control: max-age=3600\r\n",
            set(&["k1"]),
        );
        let outbound = Outbound::new(8, None).unwrap();
        let keys = Arc::new(KeySet::new(settings, &outbound).unwrap());
        Self { issuer, keys }
    }

    async fn key(&self, kid: &str) -> Result<(), String> {
        self.key_or_nameless(Some(kid)).await
    }

    async fn key_or_nameless(&self, kid: Option<&str>) -> Result<(), String> {
        match self.keys.key(kid, Algorithm::Es256).await {
            Ok(_) => Ok(()),
            Err(Failure::Denied(denial)) => Err(denial.reason().to_string()),
            Err(Failure::Fault(fault)) => Err(fault.dependency().name().to_owned()),
        }
    }

    /// Waits until it stands like this.
    async fn stands(&self, like: impl FnMut(&State) -> bool) {
        let mut state = self.keys.running().state.clone();
        let waited = tokio::time::timeout(Duration::from_secs(10), state.wait_for(like));
        drop(waited.await.expect("it comes to that").unwrap());
    }

    fn fetches(&self) -> usize {
        self.issuer.asked().len()
    }
}

/// Lets time pass at once, without whatever is waited for ending meanwhile.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn denied() -> Result<(), String> {
    Err("unknown".to_owned())
}

fn fault() -> Result<(), String> {
    Err("key_set".to_owned())
}

#[tokio::test]
async fn a_set_is_fetched_when_first_asked_for_and_then_ahead_of_its_end() {
    let at = Fixture::new().await;
    tokio::task::yield_now().await;
    assert_eq!(at.fetches(), 0);
    assert_eq!(at.key("k1").await, Ok(()));
    assert_eq!(at.key("k1").await, Ok(()));
    assert_eq!(at.fetches(), 1);
    // Between 72 and 80 % of the hour that the answer is good for.
    pass(HOUR * 71 / 100).await;
    assert_eq!(at.key("k1").await, Ok(()));
    assert_eq!(at.fetches(), 1);
    pass(HOUR * 10 / 100).await;
    at.stands(|it| it.fetches == 2).await;
    assert_eq!(at.fetches(), 2);
}

#[tokio::test]
async fn a_new_key_is_noticed_by_its_name_and_an_old_one_ends_with_it() {
    let at = Fixture::new().await;
    assert_eq!(at.key("k1").await, Ok(()));
    at.issuer.answer("/keys", 200, "", set(&["k2"]));
    assert_eq!(at.key("k2").await, Ok(()));
    assert_eq!(at.key("k1").await, denied());
    assert_eq!(at.fetches(), 2);
}

#[tokio::test]
async fn all_who_ask_for_a_new_key_at_once_get_it_and_none_is_denied_before_the_answer() {
    let at = Fixture::new().await;
    assert_eq!(at.key("k1").await, Ok(()));
    at.issuer.answer("/keys", 200, "", set(&["k2"]));
    // One task: the second asks before whoever fetches has heard of the first.
    let both = tokio::join!(at.key("k2"), at.key("k2"));
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(at.fetches(), 2);
}

#[tokio::test]
async fn only_so_many_wait_for_an_issuer_that_does_not_answer() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", silent.local_addr().unwrap());
    let at = Fixture::with(Scripted::start().await, Source::KeySet(url));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..MAX_WAITING {
        let keys = Arc::clone(&at.keys);
        waiting.spawn(async move { keys.key(Some("k1"), Algorithm::Es256).await.map(|_| ()) });
    }
    while at.keys.waiting.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let Err(Failure::Fault(refused)) = at.keys.key(Some("k1"), Algorithm::Es256).await else {
        panic!("a fault");
    };
    assert!(refused.to_string().contains("too many"), "{refused}");
    assert_eq!(waiting.len(), MAX_WAITING);
    assert!(waiting.try_join_next().is_none(), "those wait on");
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    assert_eq!(at.keys.waiting.available_permits(), MAX_WAITING);
}

#[tokio::test]
async fn made_up_names_have_the_set_fetched_once_a_cool_down() {
    let at = Fixture::new().await;
    let all_at_once = |from: usize| {
        let tasks = (from..from + 1000).map(|it| {
            let keys = Arc::clone(&at.keys);
            tokio::spawn(async move {
                let key = keys
                    .key(Some(&format!("junk-{it}")), Algorithm::Es256)
                    .await;
                assert!(matches!(key, Err(Failure::Denied(_))), "{key:?}");
            })
        });
        tasks.collect::<Vec<_>>()
    };
    // The first fetch answers them all; a later one is the one that they may cause.
    for (round, want) in [(0, 1), (1, 2), (2, 2)] {
        for task in all_at_once(round * 1000) {
            task.await.unwrap();
        }
        assert_eq!(at.fetches(), want, "round {round}");
    }
    assert_eq!(at.key("k1").await, Ok(()));
    pass(Duration::from_secs(COOL_DOWN_SECONDS)).await;
    assert_eq!(at.key("junk").await, denied());
    assert_eq!(at.fetches(), 3);
}

#[tokio::test]
async fn the_last_good_set_outlives_an_outage_for_the_stated_time_and_no_longer() {
    let at = Fixture::new().await;
    assert_eq!(at.key("k1").await, Ok(()));
    for (status, body) in [
        (503, String::new()),
        (302, set(&["k9"])),
        (200, "<html>".to_owned()),
        (200, json!({ "keys": [] }).to_string()),
        (200, "x".repeat(crate::outbound::MAX_BODY_BYTES + 1)),
    ] {
        at.issuer.answer("/keys", status, "", body);
        pass(Duration::from_secs(COOL_DOWN_SECONDS)).await;
        // What cannot be told is not denied.
        assert_eq!(at.key("k9").await, fault(), "{status}");
        assert_eq!(at.key("k1").await, Ok(()), "{status}");
    }
    pass(Duration::from_secs(KEEP_SECONDS)).await;
    assert_eq!(at.key("k1").await, fault());
    at.issuer.answer("/keys", 200, "", set(&["k1"]));
    pass(Duration::from_secs(64)).await;
    at.stands(|it| it.failed.is_none()).await;
    assert_eq!(at.key("k1").await, Ok(()));
}

#[tokio::test]
async fn without_any_set_it_is_a_fault_until_one_comes() {
    let at = Fixture::new().await;
    at.issuer.answer("/keys", 500, "", "");
    assert_eq!(at.key("k1").await, fault());
    // Nobody who asks has it fetched sooner.
    for _ in 0..100 {
        assert_eq!(at.key("k1").await, fault());
    }
    assert_eq!(at.fetches(), 1);
    at.issuer.answer("/keys", 200, "", set(&["k1"]));
    pass(FIRST_RETRY).await;
    at.stands(|it| it.fetches == 2).await;
    assert_eq!(at.key("k1").await, Ok(()));
}

#[tokio::test]
async fn a_token_that_names_no_key_means_the_only_one() {
    let at = Fixture::new().await;
    assert_eq!(at.key_or_nameless(None).await, Ok(()));
    at.issuer.answer("/keys", 200, "", set(&["k1", "k2"]));
    assert_eq!(at.key("k2").await, Ok(()));
    assert_eq!(at.key_or_nameless(None).await, denied());
}

#[tokio::test]
async fn metadata_is_the_issuers_own_and_leads_to_https_or_nowhere() {
    let issuer = Scripted::start().await;
    let metadata = "/.well-known/openid-configuration";
    let (url, keys) = (issuer.url(metadata), issuer.url("/keys"));
    let mine = "https://idp.example.com".to_owned();
    for (name, body, want) in [
        (
            "as it should be",
            json!({ "issuer": mine, "jwks_uri": keys }),
            Ok(()),
        ),
        (
            "another issuer",
            json!({ "issuer": format!("{mine}/"), "jwks_uri": keys }),
            fault(),
        ),
        ("no issuer", json!({ "jwks_uri": keys }), fault()),
        ("no key set", json!({ "issuer": mine }), fault()),
        (
            "a key set in clear",
            json!({ "issuer": mine, "jwks_uri": "http://idp.example.com/keys" }),
            fault(),
        ),
        (
            "a key set in a file",
            json!({ "issuer": mine, "jwks_uri": "file:///etc/passwd" }),
            fault(),
        ),
        ("a list", json!([]), fault()),
    ] {
        issuer.answer(metadata, 200, "", body.to_string());
        let source = Source::Discovery {
            url: url.clone(),
            issuer: mine.clone(),
        };
        let at = Fixture::with(issuer.clone(), source);
        assert_eq!(at.key("k1").await, want, "{name}");
    }
}

#[tokio::test]
async fn its_task_ends_with_it() {
    let at = Fixture::new().await;
    assert_eq!(at.key("k1").await, Ok(()));
    let mut state = at.keys.running().state.clone();
    drop(at.keys);
    let ended = async { while state.changed().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .expect("the task and its sender are gone");
}
