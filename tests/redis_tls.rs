//! A Redis that takes over TLS only whom its authority vouches for.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::clock::Clock;
use portcullis::credential::Secret;
use portcullis::store::redis::{ClientCertificate, Redis, Settings, Watched};
use portcullis::store::{PutIf, Store, StoreError};
use rcgen::{CertificateParams, DistinguishedName, DnType};
use redis::{ClientTlsConfig, TlsCertificates, cmd};
use support::client::{Request, exchange};
use support::cluster::Cluster;
use support::envoy::Envoy;
use support::redis::{Product, RedisServer};
use support::sample;
use support::sentinel::Sentinels;
use support::server::Server;
use support::tls::{Authority, Certificate};
use support::upstream::Upstream;
use tempfile::TempDir;
use tokio::time::{interval, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

/// Two authorities, what the first vouches for, and what the second does.
struct Files {
    dir: TempDir,
    authority: Authority,
    client: Certificate,
    other_authority: Authority,
    other_client: Certificate,
}

impl Files {
    fn new() -> Self {
        let (authority, other_authority) = (Authority::called("one"), Authority::called("another"));
        // OpenSSL takes a certificate for its own issuer's that is called the same.
        let called = |name: &str, names: &[&str]| {
            let names = names.iter().map(ToString::to_string);
            let mut params = CertificateParams::new(names.collect::<Vec<_>>()).expect("names");
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let server = authority.certify(&called("redis", &["localhost", "127.0.0.1"]));
        let client = || called("portcullis", &[]);
        let files = Self {
            dir: tempfile::tempdir().expect("a directory"),
            client: authority.certify(&client()),
            other_client: other_authority.certify(&client()),
            authority,
            other_authority,
        };
        let (certificate, key) = server.pem();
        for (name, text) in [
            ("certificate", certificate),
            ("key", key),
            ("ca", files.authority.pem()),
            ("other-ca", files.other_authority.pem()),
        ] {
            std::fs::write(files.dir.path().join(name), text).expect("a file");
        }
        files
    }

    fn path(&self, name: &str) -> String {
        let path: &Path = self.dir.path();
        path.join(name).to_str().expect("a path").to_owned()
    }

    /// Starts a server that wants a certificate of its clients.
    fn server(&self) -> RedisServer {
        let mut options = vec!["--port", "0", "--tls-port", "{port}"];
        options.extend(["--tls-auth-clients", "yes"]);
        let [certificate, key, ca] = ["certificate", "key", "ca"].map(|it| self.path(it));
        options.extend(["--tls-cert-file", &certificate, "--tls-key-file", &key]);
        options.extend(["--tls-ca-cert-file", &ca]);
        RedisServer::start_with(Product::Redis, &options)
    }

    fn settings(&self, url: String, own: Option<&Certificate>) -> Settings {
        let own = own.map(|it| {
            let (certificate, key) = it.pem();
            ClientCertificate::new(certificate.into_bytes(), Secret::new(key.into_bytes()))
        });
        let watched = Watched {
            prefix: "pc:",
            canary_prefix: "pcw:",
            call_prefix: "pc:n:",
            grace: PATIENCE,
            stale: Duration::ZERO,
            clock: Clock::system(),
            lag: Arc::new(|_| ()),
        };
        Settings {
            ca: Some(self.authority.pem().into_bytes()),
            certificate: own.transpose().expect("a certificate"),
            timeout: Duration::from_secs(10),
            url,
            watched: Some(watched),
            ..Settings::default()
        }
    }

    /// What the tests themselves present.
    fn own(&self) -> TlsCertificates {
        let (certificate, key) = self.client.pem();
        TlsCertificates {
            client_tls: Some(ClientTlsConfig {
                client_cert: certificate.into_bytes(),
                client_key: key.into_bytes(),
            }),
            root_cert: Some(self.authority.pem().into_bytes()),
        }
    }
}

/// Writes until it is taken: a busy machine may be too late with a first connection.
async fn takes(store: &Redis, key: &str) {
    let mut tick = interval(Duration::from_millis(5));
    let comes = timeout(PATIENCE, async {
        while store.put(key, b"1", PutIf::Always, None).await != Ok(true) {
            tick.tick().await;
        }
    });
    comes.await.unwrap_or_else(|_| panic!("{key} is not taken"));
}

/// Reads, writes and waits until it is told of changes.
async fn works(store: &Redis) {
    takes(store, "pc:a").await;
    let swap = store.put("pc:a", b"2", PutIf::Equal(b"1"), None);
    assert_eq!(swap.await, Ok(true));
    let found = store.get(&["pc:a".to_owned()]).await.expect("an answer");
    assert_eq!(found[0].as_deref(), Some(&b"2"[..]));
    let mut tick = interval(Duration::from_millis(5));
    let comes = timeout(PATIENCE, async {
        while !store.lease().holds(Clock::system().unix_milliseconds()) {
            tick.tick().await;
        }
    });
    comes
        .await
        .unwrap_or_else(|_| panic!("{:?}", store.lease()));
}

#[tokio::test]
async fn who_has_a_certificate_of_its_authority_is_served_and_nobody_else() {
    let files = Files::new();
    let server = files.server();
    let url = format!("rediss://{}", server.address());
    let store = files.settings(url.clone(), Some(&files.client));
    let store = Redis::new(store).expect("a store");
    works(&store).await;
    let confirmed = store.confirm("pc:n:1").await;
    assert_eq!(confirmed.map(|it| it.connected), Ok(0));
    for (own, want) in [
        (None, "it wants a certificate of its clients"),
        (
            Some(&files.other_client),
            "it does not accept the client certificate",
        ),
    ] {
        let store = Redis::new(files.settings(url.clone(), own)).expect("a store");
        let read = store.get(&["pc:a".to_owned()]).await;
        let Err(StoreError::Unavailable(why)) = read else {
            panic!("{read:?}");
        };
        assert!(why.contains(want), "{why}");
        assert!(!store.was_reached());
    }
}

#[tokio::test]
async fn sentinels_and_those_whom_they_name_are_asked_over_tls_alike() {
    let files = Files::new();
    let group = Sentinels::builder(Product::Redis);
    let paths = ["certificate", "key", "ca"].map(|it| files.path(it));
    let group = group.tls(paths.each_ref().map(String::as_str), files.own());
    let group = group.start().await;
    assert!(group.url().starts_with("rediss-sentinel://"));
    let store = Redis::new(files.settings(group.url(), Some(&files.client))).expect("a store");
    works(&store).await;
    let mut tick = interval(Duration::from_millis(5));
    let comes = timeout(PATIENCE, async {
        // One that was made a replica a moment ago may be told so twice, and be none in between.
        while store.confirm("pc:n:1").await.map(|it| it.confirmed) != Ok(1) {
            tick.tick().await;
        }
    });
    comes.await.expect("a replica that has what was written");
    group.failover().await;
    let comes = timeout(PATIENCE, async {
        while store.put("pc:a", b"", PutIf::Always, None).await.is_err() {
            tick.tick().await;
        }
    });
    comes.await.expect("the new primary");
    works(&store).await;

    for own in [None, Some(&files.other_client)] {
        let store = Redis::new(files.settings(group.url(), own)).expect("a store");
        let deadline = Instant::now() + PATIENCE;
        let mut why = String::new();
        // A busy machine may be too late with its refusal.
        while !(why.contains("no sentinel answers") && why.contains("certificate")) {
            assert!(Instant::now() < deadline, "{why}");
            tick.tick().await;
            let read = store.get(&["pc:a".to_owned()]).await;
            why = read.expect_err("a refusal").to_string();
        }
    }
}

#[tokio::test]
async fn every_server_of_a_cluster_is_asked_and_followed_over_tls() {
    let files = Files::new();
    let paths = ["certificate", "key", "ca"].map(|it| files.path(it));
    let paths = paths.each_ref().map(String::as_str);
    let cluster = Cluster::start_tls(paths, files.own()).await;
    assert!(cluster.url().starts_with("rediss-cluster://"));
    let store = files.settings(cluster.url(), Some(&files.client));
    let store = Redis::new(store).expect("a store");
    for node in cluster.primaries(0).await {
        takes(&store, &cluster.key_on(node, "pc:").await).await;
    }
    works(&store).await;
    let new = cluster.failover(0).await;
    takes(&store, &cluster.key_on(new, "pc:").await).await;
    works(&store).await;

    let stranger = files.settings(cluster.url(), Some(&files.other_client));
    let stranger = Redis::new(stranger).expect("a store");
    let read = stranger.get(&["pc:a".to_owned()]).await;
    let Err(StoreError::Unavailable(why)) = read else {
        panic!("{read:?}");
    };
    // A busy machine may be too late with its refusal.
    assert!(
        why.contains("certificate") || why.contains("in time"),
        "{why}"
    );
    assert!(!stranger.was_reached());
}

#[tokio::test]
async fn a_certificate_that_changed_counts_from_the_next_connection_on_without_a_restart() {
    let files = Files::new();
    let redis = files.server();
    let config = sample::on_store(&format!("rediss://{}", redis.address())).replace(
        "timeout_ms: 10000",
        "timeout_ms: 10000, ca_file: ca.pem, client_cert_file: own.pem, client_key_file: own.key",
    );
    let ((certificate, key), ca) = (files.client.pem(), files.authority.pem());
    let own: [(&str, &str); 3] = [
        ("ca.pem", &ca),
        ("own.pem", &certificate),
        ("own.key", &key),
    ];
    let server = Server::start_with(&config, &[&sample::files()[..], &own].concat());
    server.command("import -", sample::DIRECTORY);
    let upstream = Upstream::start();
    let envoy = Envoy::builder(server.grpc(), upstream.address()).start();

    let url = format!("rediss://{}", redis.address());
    let client = redis::Client::build_with_tls(url, files.own()).expect("a client");
    let mut admin = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let mut tell = async |words: &[&str]| {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        let told = command.query_async::<redis::Value>(&mut admin).await;
        told.unwrap_or_else(|it| panic!("{words:?}: {it}"));
    };
    tell(&["CONFIG", "SET", "tls-ca-cert-file", &files.path("other-ca")]).await;
    let (certificate, key) = files.other_client.pem();
    // One of them alone is another's.
    server.write("own.pem", &certificate);
    server.await_log("the key is not that of the certificate", PATIENCE);
    server.write("own.key", &key);
    server.await_log("another configuration is in force", PATIENCE);
    tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;

    let unknown = Request::new("GET", "/orders/7")
        .header("host", sample::MINE)
        .header("x-my-key", sample::MY_BARE_KEY);
    let deadline = Instant::now() + PATIENCE;
    let mut answer = exchange(envoy.plain(), &unknown).await;
    while answer.status != 200 && Instant::now() < deadline {
        answer = exchange(envoy.plain(), &unknown).await;
    }
    assert_eq!(answer.status, 200, "{}", server.log());
}
