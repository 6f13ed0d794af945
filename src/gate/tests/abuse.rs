//! What made-up credentials come to.

use super::*;

const LIMIT: u32 = 5;

const SCHEMES: &str = "
    schemes:
      key: { kind: api_key, from: [{ header: x-key }] }
      session: { kind: session, from: [{ header: x-session }] }
      jwt: { kind: jwt, from: [{ header: x-jwt }], minted_here: true, issuer: i, audience: [a], algorithms: [HS256], directory: required }
      google: { kind: google, from: [{ header: x-google }], client_ids: [c] }
      ha1b: { kind: ha1b, from: [{ header: x-ha1b }] }
      basic: { kind: basic }
      mesh: { kind: mtls }
    rules: [{ paths: [\"/**\"] }]
";

const DIRECTORY: &str = "
p:
  users:
    - { id: u-1, username: john, password: right }
    - { id: u-2, username: jane, credentials: { ha1b: 5ebe2294ecd0e0f08eab7690d2a6ee69 }, links: [{ issuer: mtls, subject: \"spiffe://jane\" }] }
    - { id: u-3, username: jack, password: right }
  api_keys:
    - { id: k-1, user: u-1, secret: a-good-key-of-the-first }
    - { id: k-2, user: u-1, secret: a-good-key-of-the-second }
";

fn config(throttle: &str, client_address: &str) -> String {
    format!(
        "listen: {{ grpc: [\"127.0.0.1:0\"] }}
{client_address}
platforms:
  - name: p
    hosts: [\"*\"]
    https: off
    throttle: {throttle}{SCHEMES}"
    )
}

const PEER: &str = "client_address: { from: peer }";

fn limited() -> String {
    format!("{{ scheme: {{ failures: {LIMIT}, window_seconds: 86400 }} }}")
}

/// Gives a credential that nobody has, another one for another number.
fn made_up(scheme: &str, number: u32) -> (&'static str, String) {
    let token = |header: &str| {
        let encode = |it: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(it);
        let claims = format!(r#"{{"iss":"i","aud":"a","exp":1900000000,"sub":"{number}"}}"#);
        format!(
            "{}.{}.{}",
            encode(header),
            encode(&claims),
            encode("no signature")
        )
    };
    match scheme {
        "key" => ("x-key", format!("made-up-{number}")),
        "session" => ("x-session", format!("made-up-{number}")),
        "jwt" => ("x-jwt", token(r#"{"alg":"HS256"}"#)),
        "google" => ("x-google", token(r#"{"alg":"RS256"}"#)),
        "ha1b" => ("x-ha1b", format!("{number:032x}")),
        "basic" => (
            "authorization",
            basic(&format!("made-up-{number}"), "secret"),
        ),
        "mesh" => ("", format!("spiffe://made-up-{number}")),
        other => panic!("{other}"),
    }
}

async fn ask(bench: &Bench, (name, value): &(&str, String), from: u32) -> Decision {
    let from = address(from);
    let ask = Ask {
        path: "/",
        header: (name, value),
        from,
    };
    bench.decide(&ask).await
}

#[tokio::test]
async fn who_makes_up_credentials_is_refused_unasked_and_who_was_good_there_goes_on() {
    for (scheme, good, newcomer) in [
        (
            "key",
            Some(("x-key", "a-good-key-of-the-first".to_owned())),
            Some(("x-key", "a-good-key-of-the-second".to_owned())),
        ),
        (
            "basic",
            Some(("authorization", basic("john", "right"))),
            Some(("authorization", basic("jack", "right"))),
        ),
        (
            "ha1b",
            Some(("x-ha1b", "5ebe2294ecd0e0f08eab7690d2a6ee69".to_owned())),
            None,
        ),
        ("mesh", Some(("", "spiffe://jane".to_owned())), None),
        ("session", None, None),
        ("jwt", None, None),
        ("google", None, None),
    ] {
        let bench = Bench::open(&config(&limited(), PEER), DIRECTORY, Path::new(".")).await;
        if let Some(good) = &good {
            assert_eq!(status(&ask(&bench, good, 1).await), 200, "{scheme}");
        }
        for number in 0..LIMIT {
            let denied = ask(&bench, &made_up(scheme, number), 1).await;
            assert_eq!(
                status(&denied),
                401,
                "{scheme} {number}: {:?}",
                denied.verdict
            );
        }
        let (gets, hashed) = (bench.gets(), bench.hashed());
        let refused = ask(&bench, &made_up(scheme, LIMIT), 1).await;
        let Err(Failure::Denied(denial)) = refused.verdict else {
            panic!("{scheme}: {:?}", refused.verdict);
        };
        assert_eq!(denial.status(), 429, "{scheme}");
        let left = denial.retry_after().unwrap().as_secs();
        assert!((1..=86400).contains(&left), "{scheme} {left}");
        if let Some(newcomer) = &newcomer {
            assert_eq!(status(&ask(&bench, newcomer, 1).await), 429, "{scheme}");
        }
        assert_eq!((bench.gets(), bench.hashed()), (gets, hashed), "{scheme}");
        if let Some(good) = &good {
            let known = ask(&bench, good, 1).await;
            assert_eq!(
                (status(&known), known.cache),
                (200, CacheUse::Hit),
                "{scheme}"
            );
        }
        // Elsewhere.
        let denied = ask(&bench, &made_up(scheme, LIMIT + 1), 2).await;
        assert_eq!(status(&denied), 401, "{scheme}");
        if let Some(newcomer) = &newcomer {
            assert_eq!(status(&ask(&bench, newcomer, 2).await), 200, "{scheme}");
        }
        // What is not remembered any more was good all the same; unless the window is over anyway.
        if left > 100 {
            bench.pass(70);
            assert_eq!(
                status(&ask(&bench, &made_up(scheme, LIMIT + 2), 1).await),
                429,
                "{scheme}"
            );
            if let Some(good) = &good {
                let known = ask(&bench, good, 1).await;
                assert_eq!(
                    (status(&known), known.cache),
                    (200, CacheUse::Miss),
                    "{scheme}"
                );
            }
        }
        bench.pass(86400);
        assert_eq!(
            status(&ask(&bench, &made_up(scheme, LIMIT + 3), 1).await),
            401,
            "{scheme}"
        );
    }
}

#[tokio::test]
async fn nobody_is_limited_whose_address_is_not_known_or_where_the_platform_wants_none() {
    let on_passwords = config(&limited(), "")
        .lines()
        .filter(|it| {
            !["key:", "session:"]
                .iter()
                .any(|kind| it.trim().starts_with(kind))
        })
        .collect::<Vec<_>>()
        .join("\n");
    let users_only = DIRECTORY.split("  api_keys").next().unwrap();
    for (config, directory, scheme) in [
        (on_passwords, users_only, "ha1b"),
        (config("{ scheme: null }", PEER), DIRECTORY, "key"),
    ] {
        let bench = Bench::open(&config, directory, Path::new(".")).await;
        for number in 0..3 * LIMIT {
            let denied = ask(&bench, &made_up(scheme, number), 1).await;
            assert_eq!(status(&denied), 401, "{scheme} {number}");
        }
    }
}

#[tokio::test]
async fn a_credential_that_was_revoked_is_counted_as_any_that_nobody_has() {
    let bench = Bench::open(&config(&limited(), PEER), DIRECTORY, Path::new(".")).await;
    let good = ("x-key", "a-good-key-of-the-first".to_owned());
    assert_eq!(status(&ask(&bench, &good, 1).await), 200);
    for number in 0..LIMIT {
        ask(&bench, &made_up("key", number), 1).await;
    }
    let directory = &bench.opened.directory;
    let revoke = |old: Option<crate::directory::records::ApiKey>| {
        let mut key = old.unwrap();
        key.revoked = true;
        Ok::<_, Fault>(key)
    };
    directory.update("p", "k-1", revoke).await.unwrap();
    // Once it is looked at, since it was good; then it is as good as made up.
    assert_eq!(status(&ask(&bench, &good, 1).await), 401);
    bench.pass(6);
    assert_eq!(status(&ask(&bench, &good, 1).await), 429);
}

/// 10,000 addresses, each with two made-up keys, where one may fail.
#[tokio::test]
async fn a_flood_from_ten_thousand_addresses_costs_a_stated_number_of_trips_and_evicts_nobody() {
    const CLIENTS: u32 = 10_000;
    const GOOD: u32 = 500;
    const DENIALS: u64 = 1000;
    let config = config("{ scheme: { failures: 1, window_seconds: 86400 } }", PEER);
    let config = format!(
        "{config}\ncache: {{ capacity: 1000, ttl_seconds: 86400, denial_capacity: {DENIALS}, denial_ttl_seconds: 86400 }}"
    );
    let keys = (0..GOOD)
        .map(|it| format!("    - {{ id: k{it}, account: a, secret: a-good-key-{it:08} }}\n"));
    let directory = format!(
        "p:\n  accounts: [{{ id: a }}]\n  api_keys:\n{}",
        keys.collect::<String>()
    );
    let bench = Bench::open(&config, &directory, Path::new(".")).await;
    let good = |number| ("x-key", format!("a-good-key-{number:08}"));
    for number in 0..GOOD {
        let known = ask(&bench, &good(number), number).await;
        assert_eq!((status(&known), known.cache), (200, CacheUse::Miss));
    }
    let before = bench.gets();
    let mut told = [0; 2];
    for round in 0..2 {
        for client in 0..CLIENTS {
            let credential = made_up("key", round * CLIENTS + client);
            match status(&ask(&bench, &credential, client).await) {
                401 => told[0] += 1,
                429 => told[1] += 1,
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(told, [CLIENTS, CLIENTS]);
    assert_eq!(bench.gets() - before, u64::from(CLIENTS), "one trip each");

    let (_, denials) = bench.opened.cache.entries();
    assert!(denials <= 2 * DENIALS, "{denials} of {DENIALS}");
    for number in 0..GOOD {
        // From the very addresses that the flood came from.
        let known = ask(&bench, &good(number), number).await;
        assert_eq!((status(&known), known.cache), (200, CacheUse::Hit));
    }
    // What failed is told to the others in bounded steps.
    bench.opened.throttle.sync().await;
    assert!(
        bench.operations("add") <= 128,
        "{}",
        bench.operations("add")
    );
}

#[tokio::test]
async fn whoever_asks_that_what_the_upstream_is_told_be_dropped_is_refused() {
    let bench = Bench::open(&config("{}", PEER), DIRECTORY, Path::new(".")).await;
    for (connection, want) in [
        ("Upgrade, X-Auth-User", 400),
        ("keep-alive,x_auth_scopes", 400),
        ("x-portcullis-context", 400),
        // Nobody has presented a credential.
        ("Upgrade", 401),
        ("Upgrade, x-other", 401),
    ] {
        let ask = Ask {
            path: "/a",
            header: ("connection", connection),
            from: address(1),
        };
        assert_eq!(status(&bench.decide(&ask).await), want, "{connection}");
    }
}

#[tokio::test]
async fn a_secret_that_names_nobody_is_guessed_as_slowly_as_one_that_does() {
    let limits = format!("{{ failures: {LIMIT}, window_seconds: 86400 }}");
    let config = format!(
        "{}\ncache: {{ denial_ttl_seconds: 1 }}",
        config(&limits, PEER)
    );
    let bench = Bench::open(&config, DIRECTORY, Path::new(".")).await;
    let good = ("x-ha1b", "5ebe2294ecd0e0f08eab7690d2a6ee69".to_owned());
    let guess = |number| made_up("ha1b", number);
    // An old one, again and again, is one guess.
    for _ in 0..=LIMIT {
        assert_eq!(status(&ask(&bench, &guess(0), 1).await), 401);
        bench.pass(1);
    }
    assert_eq!(status(&ask(&bench, &good, 1).await), 200);
    for number in 1..LIMIT {
        assert_eq!(status(&ask(&bench, &guess(number), 1).await), 401);
    }
    assert_eq!(status(&ask(&bench, &guess(LIMIT), 1).await), 429);
    bench.pass(70);
    for known in [&good, &guess(0)] {
        let want = if known.1 == good.1 { 200 } else { 401 };
        assert_eq!(status(&ask(&bench, known, 1).await), want);
    }
    assert_eq!(status(&ask(&bench, &guess(LIMIT), 2).await), 401);
}
