//! Collectors that are away, slow or will not, and those that want to know who tells: no Check feels any of it.

use std::process::Command;
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::Metric;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::Code;

use super::series::{Series, shown, told};
use super::site::{Asker, allowed, config, start};
use crate::support::collector::{Collector, Manner};
use crate::support::http::fetch;
use crate::support::sample;
use crate::support::server::Server;
use crate::support::tls::{Authority, SERVER};
use crate::support::{free_port, loopback};

/// More than may wait to be told.
const FLOOD: usize = 5000;

fn count(series: &Series, name: &str) -> f64 {
    let found = series.iter().filter(|(key, _)| key.starts_with(name));
    found.map(|(_, value)| value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_slow_or_refuses_delays_no_check() {
    let silent = Collector::start();
    silent.set(Manner::Silent);
    let refusing = Collector::start();
    refusing.set(Manner::Refusing(Code::InvalidArgument));
    let away = format!("http://{}", loopback(free_port()));
    for (name, url) in [
        ("away", &away),
        ("slow", &silent.url()),
        ("refusing", &refusing.url()),
    ] {
        let settings = "otlp: { metrics_seconds: 1 }, traces: { sampled: 1 }";
        let mut server = start(url, settings);
        let mut asker = Asker::of(&server).await;
        assert_eq!(asker.ask(&allowed()).await.status, 200);
        // Each is answered long before a collector is given up, also where no more spans may wait.
        asker
            .for_each(0..FLOOD, move |mut asker, _| async move {
                assert_eq!(asker.ask(&allowed()).await.status, 200, "{name}");
            })
            .await;
        let lost = || {
            let series = shown(&server);
            (
                count(&series, "portcullis_spans_dropped_total"),
                count(&series, "portcullis_otlp_failures_total"),
            )
        };
        let mut seen = (0.0, 0.0);
        let counted = async {
            while seen.0 == 0.0 || seen.1 == 0.0 {
                assert_eq!(asker.ask(&allowed()).await.status, 200, "{name}");
                seen = lost();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), counted)
            .await
            .unwrap_or_else(|_| panic!("{name}: what is lost is counted"));
        let ready = fetch(server.admin(), "/readyz").expect("an answer");
        assert_eq!(ready.status, 200, "{name}");
        server.await_log("the collector at ", Duration::from_secs(30));
        drop(asker);
        assert!(server.stop().success(), "{name}");
        let log = server.log();
        let told = log.matches("the collector at ").count();
        // Once for each signal in a minute, however often it happens.
        assert!((1..=4).contains(&told), "{name}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_does_not_take_for_a_while_it_is_told_later() {
    let collector = Collector::start();
    collector.set(Manner::Refusing(Code::Unavailable));
    let server = start(&collector.url(), "traces: { sampled: 1 }");
    let mut asker = Asker::of(&server).await;
    for _ in 0..50 {
        assert_eq!(asker.ask(&allowed()).await.status, 200);
    }
    // The metrics, and spans at least once.
    collector.await_calls(3).await;
    assert!(collector.spans().is_empty());
    collector.set(Manner::Taking);
    assert_eq!(collector.await_spans(50).await.len(), 50);
    let dropped = count(&shown(&server), "portcullis_spans_dropped_total");
    assert_eq!(dropped, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_metrics_are_told_before_the_end() {
    let collector = Collector::start();
    let mut server = start(&collector.url(), "otlp: { metrics_seconds: 3600 }");
    let checks = |it: &[Metric]| count(&told(it), "portcullis_checks_total");
    let first = collector.await_metrics("the first metrics", |it| Some(checks(it)));
    assert_eq!(first.await, 0.0);
    let mut asker = Asker::of(&server).await;
    assert_eq!(asker.ask(&allowed()).await.status, 200);
    drop(asker);
    assert!(server.stop().success());
    let last = collector.await_metrics("the last metrics", |it| Some(checks(it)));
    assert_eq!(last.await, 1.0);
}

/// A way to a collector over TLS, by the name of [`SERVER`].
async fn over_tls(authority: &Authority, to: &Collector) -> String {
    let (certificate, key) = authority.certify_server().pem();
    let config = certified(&certificate, &key);
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("the port just bound").port();
    let to = to.address();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut onward = TcpStream::connect(to).await?;
                copy_bidirectional(&mut stream, &mut onward).await
            });
        }
    });
    format!("https://{SERVER}:{port}")
}

fn certified(certificate: &str, key: &str) -> rustls::ServerConfig {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// As [`sample::start`], with two files more.
fn start_with(config: &str, ca: &str, headers: &str) -> Server {
    let graph = crate::support::facebook::GRAPH.url();
    let google = crate::support::google::GOOGLE.keys_url();
    let config = config
        .replace("{graph}", &graph)
        .replace("{google}", &google);
    let mut files = sample::files().to_vec();
    files.extend([("ca.pem", ca), ("headers", headers)]);
    Server::start_with(&config, &files)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_told_over_tls_with_headers_that_may_be_replaced() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let collector = Collector::start();
    let url = over_tls(&ours, &collector).await;
    let settings = "otlp: { ca_file: ca.pem, headers_file: headers, metrics_seconds: 1 }";
    let server = start_with(
        &config(&url, settings),
        &theirs.pem(),
        "Authorization: Bearer MARKED-one\n",
    );
    // To one that nobody vouches for, nothing is said.
    server.await_log("the collector at ", Duration::from_secs(30));
    assert!(collector.metadata().is_empty());
    server.write("ca.pem", &ours.pem());
    let has = |value: &'static str| {
        move |it: &tonic::metadata::MetadataMap| {
            it.get("authorization").is_some_and(|it| it == value)
        }
    };
    collector
        .await_metadata("the headers", has("Bearer MARKED-one"))
        .await;
    server.write("headers", "authorization: Bearer MARKED-two\n");
    collector
        .await_metadata("other headers", has("Bearer MARKED-two"))
        .await;
    let metrics = fetch(server.admin(), "/metrics").expect("metrics");
    let resolved = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["config", "show"])
        .arg(server.path("portcullis.yaml"))
        .output()
        .expect("the binary that was built");
    assert!(resolved.status.success(), "{resolved:?}");
    let resolved = String::from_utf8_lossy(&resolved.stdout).into_owned();
    let shown = [server.log(), metrics.text().to_owned(), resolved].concat();
    assert!(!shown.contains("MARKED"), "{shown}");
}
