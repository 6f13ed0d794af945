//! Each alert, its fault caused for real, and mended.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use redis::cmd;
use serde_json::json;

use super::scene::{
    Caller, FILES, HOST, KNOWN, LASTING, MEMORY, PATIENCE, Trial, certificate, config, config_at,
    on_redis, start, start_by, start_in_tls, start_on,
};
use crate::asking::{Ask, ask};
use crate::support::check::CheckClient;
use crate::support::client::{Request, exchange};
use crate::support::envoy::Envoy;
use crate::support::issuers::END;
use crate::support::prometheus::Prometheus;
use crate::support::provider::Provider;
use crate::support::proxy::{Proxy, Way};
use crate::support::redis::{Product, RedisServer};
use crate::support::sample::{self, CROSSBAR, INFOBIP};
use crate::support::server::Server;
use crate::support::upstream::Upstream;
use crate::support::{free_port, loopback};

/// Makes a test of each cause, which is given the alerts that it is to fire, and the list of all of them.
macro_rules! alerts_fire {
    ($($cause:ident => $($alert:literal),+;)+) => {
        /// The alerts that are caused here.
        pub(crate) const CAUSED: &[&str] = &[$($($alert),+),+];

        $(
            #[tokio::test]
            async fn $cause() {
                causes::$cause(&[$($alert),+]).await;
            }
        )+
    };
}

alerts_fire! {
    a_server_that_is_gone_behind_an_envoy_that_fails_open => "PortcullisUnanswered", "PortcullisBypassed";
    a_redis_that_is_not_there_at_the_start => "PortcullisNotReady";
    a_redis_that_is_killed => "PortcullisStoreUnwatched", "PortcullisFaults";
    a_redis_that_is_slow => "PortcullisSlow", "PortcullisRevocationSlow";
    a_redis_that_deletes_records => "PortcullisStoreEvicts";
    a_redis_that_takes_no_writes => "PortcullisAttemptsForgotten", "PortcullisIssuingFails";
    a_certificate_that_ends_in_three_days => "PortcullisCertificateExpires";
    an_issuer_that_is_away => "PortcullisKeysNotFetched";
    a_configuration_with_a_problem => "PortcullisConfigRefused";
    a_configuration_that_one_of_two_has => "PortcullisConfigsDiffer";
    an_audit_on_a_disk_that_is_full => "PortcullisAuditLost";
    a_flood_of_guesses => "PortcullisGuessed", "PortcullisThrottled";
}

mod causes {
    use super::*;

    pub(super) async fn a_server_that_is_gone_behind_an_envoy_that_fails_open(alerts: &[&str]) {
        let port = free_port();
        let listen = format!(
            "grpc: [\"127.0.0.1:{port}\"], admin: \"127.0.0.1:{{admin}}\", control: \"unix:control.sock\""
        );
        let begin = || Server::start_with(&config_at(&listen, MEMORY), &FILES);
        let mut server = begin();
        let upstream = Upstream::start();
        let envoy = Envoy::builder(loopback(port), upstream.address())
            .failure_mode_allow()
            .start();
        let guess = Request::new("GET", "/orders/7")
            .header("host", HOST)
            .header("x-my-key", "a-key-of-nobody");
        let asks = async || exchange(envoy.plain(), &guess).await.status;
        assert_eq!(asks().await, 401);
        let pods = [("envoy", envoy.admin(), "/stats/prometheus")];
        let trial = Trial::by(alerts, Prometheus::watch(&pods));
        trial.begin_quiet("envoy_http_ext_authz_error").await;

        server.kill();
        // Nobody's, and let in: what the alert is about.
        trial.fire(async || assert_eq!(asks().await, 200)).await;
        let _server = begin();
        let mut tries = 0..;
        // Envoy takes a moment to connect again.
        while asks().await != 401 {
            assert!(tries.next() < Some(1000), "it is asked no more");
        }
        trial.end(async || assert_eq!(asks().await, 401)).await;
    }

    pub(super) async fn a_redis_that_is_not_there_at_the_start(alerts: &[&str]) {
        let port = free_port();
        let url = format!("redis://127.0.0.1:{port}");
        let server = Server::launch(&config(&on_redis(&url)), &FILES);
        server.await_log("listening", PATIENCE);
        let trial = Trial::begun(alerts, &[("one", &server)]);
        trial.fire(async || {}).await;
        let _redis = RedisServer::start_at(Product::Redis, port, &[]);
        trial.end(async || {}).await;
    }

    pub(super) async fn a_redis_that_is_killed(alerts: &[&str]) {
        let mut redis = RedisServer::start_with(Product::Redis, &LASTING);
        let server = start_on(&redis);
        let mut caller = Caller::of(&server).await;
        let trial = Trial::of(alerts, &server).await;
        assert_eq!(caller.guess().await, 401);
        redis.kill();
        let fails = async || {
            caller.guess().await;
        };
        trial.fire(fails).await;
        redis.restart();
        let asks = async || {
            caller.guess().await;
        };
        trial.end(asks).await;
        assert_eq!(caller.guess().await, 401);
    }

    pub(super) async fn a_redis_that_is_slow(alerts: &[&str]) {
        let redis = RedisServer::start(Product::Redis);
        let proxy = Proxy::to(redis.address());
        let server = start_by(&proxy.url());
        let mut caller = Caller::of(&server).await;
        assert_eq!(caller.present(KNOWN).await, 200);
        let trial = Trial::begun(alerts, &[("one", &server)]);
        // Longer than alerts bear, and shorter than it takes to be taken for lost.
        proxy.set(Way::Slow(Duration::from_millis(120)));
        let misses = async || {
            assert_eq!(caller.guess().await, 401);
        };
        trial.fire(misses).await;
        proxy.set(Way::Open);
        // A busy machine may hold up a miss, but hardly a hit.
        let hits = async || {
            for _ in 0..20 {
                assert_eq!(caller.present(KNOWN).await, 200);
            }
        };
        trial.end(hits).await;
    }

    pub(super) async fn a_redis_that_deletes_records(alerts: &[&str]) {
        let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
        let redis = RedisServer::start_with(Product::Redis, &options);
        let server = start_on(&redis);
        let trial = Trial::begun(alerts, &[("one", &server)]);
        trial.fire(async || {}).await;
        tell(&redis, "CONFIG SET maxmemory-policy noeviction").await;
        // It is looked at within a minute, and at once where a connection is new.
        tell(&redis, "CLIENT KILL TYPE normal SKIPME yes").await;
        trial.end(async || {}).await;
    }

    pub(super) async fn a_redis_that_takes_no_writes(alerts: &[&str]) {
        let redis = RedisServer::start(Product::Redis);
        let hosts = "    hosts: [crossbar.example.com]\n";
        let unlimited = "    throttle: { failures: 1000000, bucket: null, scheme: null }\n";
        let config = sample::on_store(&redis.url());
        assert!(config.contains(hosts));
        let server = sample::start(&config.replace(hosts, &format!("{hosts}{unlimited}")));
        server.command("import -", sample::DIRECTORY);
        let upstream = Upstream::start();
        let envoy = Envoy::builder(server.grpc(), upstream.address())
            .check_timeout(Duration::from_secs(20))
            .issue(server.issue())
            .start();
        let wrong = json!({ "data": { "credentials": "0".repeat(32), "account_id": "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b" } });
        let login = Request::new("PUT", "/v2/user_auth")
            .header("host", CROSSBAR)
            .header("content-type", "application/json")
            .body(wrong.to_string());
        let aladdin = json!({ "username": "Aladdin", "password": "openSesame" });
        let session = Request::new("POST", "/auth/1/session")
            .header("host", INFOBIP)
            .header("content-type", "application/json")
            .body(aladdin.to_string());
        let status = async |request: &Request| exchange(envoy.plain(), request).await.status;
        let trial = Trial::of(alerts, &server).await;
        tell(&redis, "CONFIG SET min-replicas-to-write 1").await;
        let fails = async || {
            assert_eq!(status(&session).await, 503);
            // An account's attempts wait, a hundred at most, for a write that comes to nothing.
            for _ in 0..20 {
                assert_eq!(status(&login).await, 401);
            }
        };
        trial.fire(fails).await;
        tell(&redis, "CONFIG SET min-replicas-to-write 0").await;
        trial
            .end(async || assert_eq!(status(&login).await, 401))
            .await;
        assert_eq!(status(&session).await, 200);
    }

    pub(super) async fn a_certificate_that_ends_in_three_days(alerts: &[&str]) {
        let server = start_in_tls(3);
        let trial = Trial::begun(alerts, &[("one", &server)]);
        trial.fire(async || {}).await;
        for (name, text) in certificate(30) {
            server.write(name, &text);
        }
        trial.end(async || {}).await;
    }

    pub(super) async fn an_issuer_that_is_away(alerts: &[&str]) {
        let issuer = "https://idp.example.com";
        let provider = Provider::start(issuer, "k1");
        let config = format!(
            "listen: {{ grpc: [\"127.0.0.1:{{grpc}}\"], admin: \"127.0.0.1:{{admin}}\" }}\ncheck: {{ deadline_ms: 20000 }}\n\
             platforms:\n  - name: mine\n    hosts: [{HOST}]\n    schemes:\n      oidc: {{ kind: jwt, issuer: \"{issuer}\", \
             audience: [api], jwks_url: \"{}\", algorithms: [RS256], directory: none, from: [{{ authorization: Bearer }}] }}\n    \
             rules: [{{ paths: [/**] }}]\n",
            provider.keys_url()
        );
        let server = Server::start(&config);
        let mut client = CheckClient::connect(server.grpc()).await;
        let mut bears = async |kid: &str| {
            let claims = json!({ "iss": issuer, "aud": "api", "sub": "user-1", "exp": END });
            let token = provider.token_named(kid, &claims);
            let bearing =
                Ask::new(HOST, "GET", "/things").header("authorization", format!("Bearer {token}"));
            ask(&mut client, bearing.mapped()).await.status
        };
        assert_eq!(bears("k1").await, 200);
        let trial = Trial::of(alerts, &server).await;
        let age = "portcullis_key_set_age_seconds{platform=\"mine\",scheme=\"oidc\"}";
        assert_eq!(trial.prometheus.query(age).len(), 1);

        provider.server.set_away(true);
        // The name of a key that is not in the set has it fetched anew.
        assert_eq!(bears("k2").await, 503);
        trial
            .fire(async || assert_eq!(bears("k1").await, 200))
            .await;
        provider.server.set_away(false);
        trial.end(async || assert_eq!(bears("k1").await, 200)).await;
        // Of an issuer that is in the configuration no more, nothing is told: an alert on it would have no end.
        server.configure(&config.replace("oidc:", "other:"));
        let gone = "absent(portcullis_key_set_failing{scheme=\"oidc\"})";
        trial.prometheus.await_samples(gone, &mut async || {}).await;
    }

    pub(super) async fn a_configuration_with_a_problem(alerts: &[&str]) {
        let server = start(MEMORY);
        let trial = Trial::of(alerts, &server).await;
        server.configure(&config(&format!("{MEMORY}\nplatfroms: []")));
        trial.fire(async || {}).await;
        server.configure(&config(&format!("{MEMORY}\n# mended")));
        let taken = "portcullis_config_reloads_total{outcome=\"ok\"}";
        trial
            .prometheus
            .await_samples(taken, &mut async || {})
            .await;
        trial.end(async || {}).await;
    }

    pub(super) async fn a_configuration_that_one_of_two_has(alerts: &[&str]) {
        // The same text, so no port that is only one's.
        let listen =
            "grpc: [\"127.0.0.1:0\"], admin: \"127.0.0.1:0\", control: \"unix:control.sock\"";
        let one = config_at(listen, MEMORY);
        let servers = [(); 2].map(|()| Server::launch(&one, &FILES));
        let admins = servers.each_ref().map(|it| {
            it.await_log("admin http://", PATIENCE);
            let log = it.log();
            let (_, from) = log.split_once("admin http://").expect("just awaited");
            let length = from.find(|it: char| !it.is_ascii_digit() && !".:".contains(it));
            let address = &from[..length.unwrap_or(from.len())];
            address.parse().expect("an address")
        });
        let pods = [
            ("one", admins[0], "/metrics"),
            ("two", admins[1], "/metrics"),
        ];
        let trial = Trial::by(alerts, Prometheus::watch(&pods));
        trial
            .begin_quiet("portcullis_config_hash{pod=\"two\"}")
            .await;

        servers[1].configure(&format!("{one}# another\n"));
        trial.fire(async || {}).await;
        servers[1].configure(&one);
        trial.end(async || {}).await;
    }

    pub(super) async fn an_audit_on_a_disk_that_is_full(alerts: &[&str]) {
        let server = start(&format!(
            "{MEMORY}\ntelemetry: {{ audit: {{ to: audit.jsonl }} }}"
        ));
        let mut caller = Caller::of(&server).await;
        let trial = Trial::of(alerts, &server).await;
        let path = server.path("audit.jsonl");
        let mut guesses = async || assert_eq!(caller.guess().await, 401);
        guesses().await;
        // Every write to it fails for want of space.
        fs::remove_file(&path).expect("an audit");
        symlink("/dev/full", &path).expect("a link");
        server.signal("HUP");
        trial.fire(&mut guesses).await;
        fs::remove_file(&path).expect("the link");
        server.signal("HUP");
        trial.end(&mut guesses).await;
    }

    pub(super) async fn a_flood_of_guesses(alerts: &[&str]) {
        let server = start(MEMORY);
        let mut caller = Caller::of(&server).await;
        assert_eq!(caller.present(KNOWN).await, 200);
        let trial = Trial::of(alerts, &server).await;
        trial
            .fire(async || {
                for _ in 0..20 {
                    let refused = caller.guess_on().await;
                    assert!([401, 429].contains(&refused), "{refused}");
                }
            })
            .await;
        trial
            .end(async || assert_eq!(caller.present(KNOWN).await, 200))
            .await;
    }

    /// Sends words that are divided by spaces, on a connection of its own.
    async fn tell(server: &RedisServer, words: &str) {
        let client = redis::Client::open(server.url()).expect("a client");
        let connection = client.get_multiplexed_async_connection().await;
        let mut command = cmd("");
        command.clear();
        command.arg(words.split(' ').collect::<Vec<_>>());
        let told = command
            .query_async::<redis::Value>(&mut connection.expect("a connection"))
            .await;
        told.unwrap_or_else(|error| panic!("{words}: {error}"));
    }
}
