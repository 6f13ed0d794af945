//! What the Redis store does when the server is away, frozen, secured or unwilling.
//!
//! What it does when all is well stands in the suite of all stores (`store.rs`).

mod support;

use std::future::poll_fn;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use portcullis::credential::Secret;
use portcullis::store::redis::{Redis, Settings};
use portcullis::store::{Change, DeleteIf, PutIf, Replicas, Store, StoreError, VALUE_BYTES_MAX};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, cmd};
use support::free_port;
use support::redis::{ADMIN, ISSUER, PASSWORD, Product, RedisServer};
use tokio::runtime::Builder;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);
/// Has a server begin with a replica at once, and not after five seconds.
const AT_ONCE: [&str; 2] = ["--repl-diskless-sync-delay", "0"];
/// The timeout of commands where none is to be seen.
const AMPLE: Duration = Duration::from_secs(10);

fn settings(url: &str, timeout: Duration) -> Settings {
    Settings {
        timeout,
        url: url.to_owned(),
        ..Settings::default()
    }
}

fn open(server: &RedisServer) -> Redis {
    Redis::new(settings(&server.url(), AMPLE)).expect("a store")
}

async fn get(store: &Redis, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let found = store.get(&[key.to_owned()]).await?;
    Ok(found[0].as_ref().map(|value| value.to_vec()))
}

/// Asks until there is an answer.
async fn await_answer(store: &Redis) {
    let mut tick = interval(Duration::from_millis(10));
    let answered = timeout(PATIENCE, async {
        while get(store, "k").await.is_err() {
            tick.tick().await;
        }
    });
    answered.await.expect("the store answers in the end");
}

/// The same server, without the store.
async fn connect(server: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).expect("a client");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("a connection")
}

async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, words: &[&[u8]]) -> T {
    let mut command = cmd("");
    command.clear();
    command.arg(words);
    command.query_async(connection).await.expect("an answer")
}

/// Reads one line of what the server tells of itself.
async fn info(connection: &mut MultiplexedConnection, name: &str) -> u64 {
    let info: String = ask(connection, &[b"INFO"]).await;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.expect("the line").parse().expect("a number")
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>, want: &str) {
    match answer {
        Err(StoreError::Unavailable(cause)) if cause.contains(want) => {}
        other => panic!("not {want:?}: {other:?}"),
    }
}

#[track_caller]
fn assert_forbidden<T: std::fmt::Debug>(answer: Result<T, StoreError>, any: &[&str]) {
    match answer {
        Err(StoreError::Forbidden(cause)) if any.iter().any(|it| cause.contains(it)) => {}
        other => panic!("not {any:?}: {other:?}"),
    }
}

#[track_caller]
fn assert_corrupt<T: std::fmt::Debug>(answer: Result<T, StoreError>, case: &str) {
    match answer {
        Err(StoreError::Corrupt(_)) => {}
        other => panic!("{case}: {other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_reached_when_it_comes() {
    let port = free_port();
    let store = Redis::new(settings(&format!("redis://127.0.0.1:{port}"), AMPLE));
    let store = store.expect("a store without its server");
    let refused = format!("127.0.0.1:{port}: Connection refused");
    assert_unavailable(get(&store, "k").await, &refused);
    assert_unavailable(store.put("k", b"v", PutIf::Always, None).await, &refused);
    assert!(!store.was_reached());

    let mut server = RedisServer::start_at(Product::Redis, port, &[]);
    await_answer(&store).await;
    assert!(store.was_reached());
    server.stop();
    assert!(store.was_reached(), "it was");
}

#[tokio::test]
async fn a_restart_of_the_server_needs_none_of_ours() {
    let mut server = RedisServer::start(Product::Redis);
    let store = open(&server);
    let swap = |old| store.put("k", b"new", PutIf::Equal(old), None);
    assert_eq!(store.put("k", b"old", PutIf::Always, None).await, Ok(true));
    assert_eq!(swap(b"old").await, Ok(true));
    server.stop();
    assert!(get(&store, "k").await.is_err());

    server.restart();
    await_answer(&store).await;
    // It has forgotten the scripts.
    assert_eq!(store.put("k", b"old", PutIf::Always, None).await, Ok(true));
    assert_eq!(swap(b"old").await, Ok(true));
    assert_eq!(store.delete("k", DeleteIf::Equal(b"new")).await, Ok(true));
    assert_eq!(store.add("n", 2, MINUTE).await, Ok(2));
}

#[tokio::test]
async fn a_frozen_server_costs_the_timeout_and_no_connections() {
    const TIMEOUT: Duration = Duration::from_millis(200);
    const MARGIN: Duration = Duration::from_millis(300);
    let server = RedisServer::start(Product::Redis);
    let store = Redis::new(settings(&server.url(), TIMEOUT)).expect("a store");
    let mut direct = connect(&server).await;
    await_answer(&store).await;
    let connections = info(&mut direct, "total_connections_received").await;
    let (sender, mut reports) = unbounded_channel();
    store.watch(Arc::new(move |change| {
        let _ = sender.send(change == Change::Key("k"));
    }));

    server.pause();
    for _ in 0..5 {
        let begun = Instant::now();
        assert_unavailable(get(&store, "k").await, "no answer in time");
        let taken = begun.elapsed();
        assert!(taken >= TIMEOUT && taken < TIMEOUT + MARGIN, "{taken:?}");
    }
    let put = store.put("k", b"v", PutIf::Always, None).await;
    assert_unavailable(put, "no answer in time");
    assert_eq!(reports.recv().await, Some(true), "it may have been written");

    server.resume();
    assert_eq!(get(&store, "k").await, Ok(Some(b"v".to_vec())), "at once");
    let now = info(&mut direct, "total_connections_received").await;
    assert_eq!(now, connections, "the connection is the same");
}

#[tokio::test]
async fn so_many_wait_for_a_frozen_server_at_once_and_then_it_is_given_up_for_a_moment() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let server = RedisServer::start(Product::Redis);
    let store = Redis::new(settings(&server.url(), TIMEOUT)).expect("a store");
    let store = Arc::new(store);
    await_answer(&store).await;
    server.pause();
    let mut all = JoinSet::new();
    for number in 0..4172 {
        let store = Arc::clone(&store);
        all.spawn(async move { get(&store, &number.to_string()).await });
    }
    let begun = Instant::now();
    for _ in 4096..4172 {
        let first = all.join_next().await.expect("one").expect("no panic");
        assert_unavailable(first, "too many commands await its answers");
    }
    assert!(begun.elapsed() < TIMEOUT);
    while let Some(late) = all.join_next().await {
        assert_unavailable(late.expect("no panic"), "no answer in time");
    }
    let begun = Instant::now();
    assert_unavailable(get(&store, "k").await, "given up for a moment");
    let put = store.put("k", b"v", PutIf::Always, None).await;
    assert_unavailable(put, "given up for a moment");
    assert!(begun.elapsed() < TIMEOUT);
    server.resume();
    await_answer(&store).await;
    assert_eq!(get(&store, "k").await, Ok(None), "it was not written");
}

#[tokio::test]
async fn a_dropped_store_leaves_no_connection() {
    let server = RedisServer::start(Product::Redis);
    let store = open(&server);
    let mut direct = connect(&server).await;
    await_answer(&store).await;
    assert_eq!(info(&mut direct, "connected_clients").await, 2);
    drop(store);
    let mut tick = interval(Duration::from_millis(10));
    let gone = timeout(PATIENCE, async {
        while info(&mut direct, "connected_clients").await != 1 {
            tick.tick().await;
        }
    });
    gone.await.expect("the connection ends");
}

#[tokio::test]
async fn an_unwilling_server_is_a_fault_with_its_reason() {
    let orphan = ["--replicaof", "127.0.0.1", "1"];
    let mute = [&orphan[..], &["--replica-serve-stale-data", "no"]].concat();
    let get = None;
    let put = Some("hidden-value");
    for (name, options, asked, want) in [
        (
            "full",
            &["--maxmemory", "1"][..],
            put,
            "no memory left for writes (OOM)",
        ),
        ("full", &["--maxmemory", "1"], get, ""),
        (
            "replica",
            &orphan,
            put,
            "it is a replica, which may lag behind its primary",
        ),
        (
            "replica",
            &orphan,
            get,
            "it is a replica, which may lag behind its primary",
        ),
        (
            "orphan",
            &mute,
            get,
            "it is a replica, which may lag behind its primary",
        ),
        // The server's own message repeats what was to be written.
        (
            "crippled",
            &["--rename-command", "SET", ""],
            put,
            "it does not know a command (ERR)",
        ),
        (
            "locked",
            &["--requirepass", "hidden-value"],
            get,
            "it wants a password (NOAUTH)",
        ),
    ] {
        let server = RedisServer::start_with(Product::Redis, options);
        let store = open(&server);
        let answer = match asked {
            None => store.get(&["k".to_owned()]).await.map(|_| ()),
            Some(value) => {
                let put = store.put("k", value.as_bytes(), PutIf::Always, None);
                put.await.map(|_| ())
            }
        };
        if want.is_empty() {
            assert_eq!(answer, Ok(()), "{name}");
            continue;
        }
        assert!(
            !format!("{answer:?}").contains("hidden"),
            "{name}: {answer:?}"
        );
        assert_unavailable(answer, want);
    }
}

#[tokio::test]
async fn as_many_who_read_together_in_vain_as_one_by_one_have_a_frozen_server_given_up() {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let server = RedisServer::start(Product::Redis);
    let store = Redis::new(settings(&server.url(), TIMEOUT)).expect("a store");
    await_answer(&store).await;
    server.pause();
    let asked: Vec<_> = (0..20).map(|it| [it.to_string()]).collect();
    for answer in join_all(asked.iter().map(|it| store.get(it))).await {
        assert_unavailable(answer, "no answer in time");
    }
    assert_unavailable(get(&store, "k").await, "given up for a moment");
}

/// How often the server was asked for a value.
async fn reads(connection: &mut MultiplexedConnection) -> u64 {
    let told: String = ask(connection, &[b"INFO", b"commandstats"]).await;
    let mut lines = told.lines();
    let calls = lines.find_map(|it| it.strip_prefix("cmdstat_get:calls="));
    let calls = calls.and_then(|it| it.split_once(','));
    calls.map_or(0, |(calls, _)| calls.parse().expect("a number"))
}

#[tokio::test]
async fn who_reads_at_one_time_has_its_own_answers_and_what_many_want_is_read_once() {
    let server = RedisServer::start(Product::Redis);
    let store = open(&server);
    let mut direct = connect(&server).await;
    await_answer(&store).await;
    for key in ["k0", "k1", "k2", "common"] {
        let _: () = ask(&mut direct, &[b"SET", key.as_bytes(), key.as_bytes()]).await;
    }
    let _: u64 = ask(&mut direct, &[b"LPUSH", b"list", b"hidden"]).await;
    let asked = ["k0", "k1", "absent", "list", "k2"].map(|own| {
        // Twice, as a record that two ways lead to.
        [own, own, "common"].map(str::to_owned)
    });

    let before = reads(&mut direct).await;
    let answers = join_all(asked.iter().map(|it| store.get(it))).await;
    assert_eq!(reads(&mut direct).await - before, 6);
    for (asked, answer) in asked.iter().zip(answers) {
        let value = |key: &String| (key != "absent").then(|| key.clone().into());
        match asked[0].as_str() {
            "list" => assert_corrupt(answer, "a list"),
            _ => assert_eq!(answer, Ok(asked.iter().map(value).collect())),
        }
    }

    // More than go together, and some who want more than that.
    let asked: Vec<Vec<_>> = (0..100)
        .map(|reader| {
            let number = if reader % 10 == 0 { 30 } else { 3 };
            (0..number).map(|it| format!("of {reader}: {it}")).collect()
        })
        .collect();
    for key in asked.iter().flatten() {
        let _: () = ask(&mut direct, &[b"SET", key.as_bytes(), key.as_bytes()]).await;
    }
    let answers = join_all(asked.iter().map(|it| store.get(it))).await;
    for (asked, answer) in asked.iter().zip(answers) {
        let values = asked.iter().map(|it| Some(it.clone().into()));
        assert_eq!(answer, Ok(values.collect()));
    }
}

/// What is read last tells whether the store was whole while all before it was read.
#[tokio::test]
async fn what_one_wants_last_is_read_after_all_else_that_it_wants_whoever_wants_it_too() {
    let server = RedisServer::start(Product::Redis);
    let store = open(&server);
    await_answer(&store).await;
    let mut heard = TcpStream::connect(server.address()).expect("a Redis that listens");
    heard.set_read_timeout(Some(PATIENCE)).expect("a socket");
    heard.write_all(b"MONITOR\r\n").expect("a socket");
    let mut heard = BufReader::new(heard).lines().map_while(Result::ok);
    assert_eq!(heard.next().as_deref(), Some("+OK"));

    let asked = [&["a", "check"][..], &["b", "check"], &["c", "a"], &["b"]];
    let asked = asked.map(|it| it.iter().copied().map(str::to_owned).collect::<Vec<_>>());
    let answers = join_all(asked.iter().map(|it| store.get(it))).await;
    assert!(answers.iter().all(Result::is_ok));
    let read = heard.filter_map(|line| Some(line.split_once("\"GET\" ")?.1.to_owned()));
    let read: Vec<_> = read.take(6).collect();
    let place = |key: &str, from: usize| {
        let mut rest = read[from..].iter();
        let found = rest.position(|it| it.trim_matches('"') == key);
        from + 1 + found.unwrap_or_else(|| panic!("{key} after {from} in {read:?}"))
    };
    for keys in asked {
        keys.iter().fold(0, |from, key| place(key, from));
    }
}

#[test]
fn who_reads_on_a_runtime_that_ends_keeps_nobody_from_reading() {
    let server = RedisServer::start(Product::Redis);
    let runtime = || {
        Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (lasting, ending) = (runtime(), runtime());
    let store = lasting.block_on(async {
        let store = open(&server);
        await_answer(&store).await;
        store
    });
    let keys = ["k".to_owned()];
    let mut cut_off = store.get(&keys);
    let begun = poll_fn(|context| Poll::Ready(cut_off.as_mut().poll(context).is_pending()));
    assert!(ending.block_on(begun));
    drop(ending);
    lasting.block_on(async {
        let cut_off = timeout(PATIENCE, cut_off).await.expect("an end");
        assert_unavailable(cut_off, "a read was cut off");
        let next = timeout(PATIENCE, get(&store, "k")).await;
        assert_eq!(next.expect("an answer"), Ok(None));
    });
}

#[tokio::test]
async fn what_portcullis_did_not_write_is_corrupt() {
    let server = RedisServer::start(Product::Redis);
    let store = open(&server);
    let mut direct = connect(&server).await;
    let _: u64 = ask(&mut direct, &[b"LPUSH", b"list", b"hidden"]).await;
    let large = "v".repeat(VALUE_BYTES_MAX + 1);
    let _: () = ask(&mut direct, &[b"SET", b"large", large.as_bytes()]).await;

    assert_corrupt(get(&store, "list").await, "get");
    let put = store.put("list", b"v", PutIf::Equal(b"hidden"), None);
    assert_corrupt(put.await, "put if equal");
    let delete = store.delete("list", DeleteIf::Equal(b"hidden"));
    assert_corrupt(delete.await, "delete if equal");
    assert_corrupt(store.add("list", 1, MINUTE).await, "add");
    assert_corrupt(get(&store, "large").await, "a large value");
    let both = ["large".to_owned(), "absent".to_owned()];
    assert_corrupt(store.get(&both).await, "one of several");
    assert_eq!(
        get(&store, "absent").await,
        Ok(None),
        "the connection is whole"
    );

    let _: () = ask(&mut direct, &[b"SET", b"\xff", b"v"]).await;
    assert_corrupt(store.scan("", None).await, "a name that is no text");
}

#[tokio::test]
async fn the_access_rules_of_who_issues_allow_what_the_store_does_and_nothing_else() {
    // Their words for what a script may not do differ.
    for product in [Product::Redis, Product::Valkey] {
        obey_access_rules(product).await;
    }
}

/// Waits until a replica has what is written: until it is connected nobody is waited for, and at first it loads.
async fn await_replica(store: &Redis) {
    let mut tick = interval(Duration::from_millis(10));
    let confirmed = timeout(PATIENCE, async {
        while store.confirm("pcw:w").await.expect("an answer").confirmed == 0 {
            tick.tick().await;
        }
    });
    confirmed.await.expect("a replica that is connected");
}

async fn obey_access_rules(product: Product) {
    let server = RedisServer::start_with_roles(product, &AT_ONCE);
    let admin = redis::Client::open(server.url_of(ADMIN)).expect("a client");
    let admin = admin.get_multiplexed_async_connection().await;
    let mut admin = admin.expect("a connection");
    let reader = "ACL SETUSER reader on >right ~pc:* +get +evalsha +eval";
    let reader: Vec<_> = reader.split(' ').map(str::as_bytes).collect();
    let _: () = ask(&mut admin, &reader).await;
    let login_at = |url: &str, username: &str, password: &str| {
        let login = Settings {
            password: Some(Secret::new(password.as_bytes())),
            username: Some(username.to_owned()),
            ..settings(url, AMPLE)
        };
        Redis::new(login).expect("a store")
    };
    let login = |username: &str, password: &str| login_at(&server.url(), username, password);

    let port = server.address().port().to_string();
    let mut options = vec!["--replicaof", "127.0.0.1", &port];
    options.extend(["--masteruser", ADMIN, "--masterauth", PASSWORD]);
    let _replica = RedisServer::start_with(product, &options);
    let clerk = login_at(&format!("{}/1", server.url()), ISSUER, PASSWORD);
    await_replica(&clerk).await;
    for prefix in ["pc:", "pcu:"] {
        use_everything(&clerk, prefix).await;
    }
    let refused: Vec<redis::Value> = ask(&mut admin, &[b"ACL", b"LOG"]).await;
    assert_eq!(refused, [], "everything that was sent is allowed");
    let key = "access rules forbid the key (NOPERM)";
    assert_forbidden(get(&clerk, "other").await, &[key]);

    let reader = login("reader", "right");
    assert_eq!(get(&reader, "pc:k").await, Ok(None));
    assert_forbidden(get(&reader, "pcu:k").await, &[key]);
    let delete = reader.delete("pc:k", DeleteIf::Always).await;
    assert_forbidden(delete, &["forbid the command DEL (NOPERM)"]);
    // Redis 7.0 does not say which.
    let add = reader.add("pc:n", 1, MINUTE).await;
    assert_forbidden(
        add,
        &[
            "forbid a command of a script (NOPERM)",
            "forbid the command EXISTS (NOPERM)",
        ],
    );

    let refused = "does not accept the user name or the password (WRONGPASS)";
    for (username, password) in [(ISSUER, "hidden-wrong"), ("nobody", "hidden-wrong")] {
        let answer = get(&login(username, password), "pc:k").await;
        assert!(!format!("{answer:?}").contains("hidden"), "{answer:?}");
        assert_unavailable(answer, refused);
    }
}

/// Sends every command and script there is, in each of its forms.
async fn use_everything(store: &Redis, prefix: &str) {
    let (key, counter) = (format!("{prefix}k"), format!("{prefix}n"));
    for (condition, ttl) in [
        (PutIf::Absent, None),
        (PutIf::Always, Some(MINUTE)),
        (PutIf::Equal(b"1"), Some(MINUTE)),
        (PutIf::Equal(b"1"), None),
    ] {
        let put = store.put(&key, b"1", condition, ttl).await;
        assert_eq!(put, Ok(true), "{condition:?} {ttl:?}");
    }
    assert_eq!(get(store, &key).await, Ok(Some(b"1".to_vec())));
    assert_eq!(store.touch(&key, MINUTE).await, Ok(true));
    for sum in [1, 2] {
        assert_eq!(store.add(&counter, 1, MINUTE).await, Ok(sum));
    }
    let page = store.scan(prefix, None).await.map(|it| it.keys.len());
    assert_eq!(page, Ok(2));
    assert_eq!(store.delete(&key, DeleteIf::Equal(b"1")).await, Ok(true));
    assert_eq!(store.delete(&counter, DeleteIf::Always).await, Ok(true));
}

#[tokio::test]
async fn replicas_are_waited_for_a_moment_while_everything_else_is_answered() {
    let server = RedisServer::start_with(Product::Redis, &AT_ONCE);
    let store = open(&server);
    assert_eq!(store.confirm("w").await, Ok(Replicas::default()));
    assert_eq!(
        get(&store, "w").await,
        Ok(None),
        "nothing is written for nobody"
    );
    let port = server.address().port().to_string();
    let replica = RedisServer::start_with(Product::Redis, &["--replicaof", "127.0.0.1", &port]);
    await_replica(&store).await;
    let both = Replicas {
        connected: 1,
        confirmed: 1,
    };
    assert_eq!(store.confirm("w").await, Ok(both));

    replica.pause();
    let neither = Replicas {
        confirmed: 0,
        ..both
    };
    let waits = store.confirm("w");
    tokio::pin!(waits);
    let mut answered = 0;
    let waited = loop {
        tokio::select! {
            waited = &mut waits => break waited,
            read = get(&store, "k") => {
                assert_eq!(read, Ok(None));
                answered += 1;
            }
        }
    };
    assert_eq!(waited, Ok(neither));
    assert!(answered > 10, "{answered} reads in half a second");
}

/// Makes an authority, and a certificate of it for `localhost` with its key, all in PEM.
fn certificates() -> (String, String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    (authority.pem(), certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn tls_takes_only_the_server_that_its_authority_vouches_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let (authority, certificate, key) = certificates();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a path").to_owned()
    };
    let (certificate, key) = (file("certificate", &certificate), file("key", &key));
    let mut options = vec![
        "--port",
        "0",
        "--tls-port",
        "{port}",
        "--tls-auth-clients",
        "no",
    ];
    options.extend(["--tls-cert-file", &certificate, "--tls-key-file", &key]);
    let ca = file("ca", &authority);
    options.extend(["--tls-ca-cert-file", &ca]);
    let server = RedisServer::start_with(Product::Redis, &options);

    let port = server.address().port();
    let right = Some(authority.into_bytes());
    let other = Some(certificates().0.into_bytes());
    for (name, scheme, host, ca, want) in [
        ("right", "rediss", "localhost", right.clone(), None),
        (
            "another authority",
            "rediss",
            "localhost",
            other,
            Some("certificate"),
        ),
        (
            "authorities of the system",
            "rediss",
            "localhost",
            None,
            Some("certificate"),
        ),
        (
            "another name",
            "rediss",
            "127.0.0.1",
            right,
            Some("certificate"),
        ),
        ("without TLS", "redis", "localhost", None, Some("localhost")),
    ] {
        let settings = Settings {
            ca,
            ..settings(&format!("{scheme}://{host}:{port}"), AMPLE)
        };
        let store = Redis::new(settings).expect("a store");
        let answer = get(&store, "k").await;
        match want {
            None => assert_eq!(answer, Ok(None), "{name}"),
            Some(want) => assert_unavailable(answer, want),
        }
        assert_eq!(store.was_reached(), want.is_none(), "{name}");
    }
}
