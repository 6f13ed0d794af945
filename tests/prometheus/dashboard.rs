//! The dashboard: what Grafana needs of it is there, and every query of it shows something of a server that is in use.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::scene::start_in_tls;
use crate::asking::Ask;
use crate::support::check::CheckClient;
use crate::support::client::{Request, exchange};
use crate::support::envoy::Envoy;
use crate::support::google::{GOOGLE, claims};
use crate::support::http::fetch;
use crate::support::prometheus::{ALERTS, NAMESPACE, Prometheus};
use crate::support::redis::{Product, RedisServer};
use crate::support::sample::{self, CROSSBAR, MINE, MY_KEY, OPENTACT};
use crate::support::server::Server;
use crate::support::upstream::Upstream;

const DASHBOARD: &str = include_str!("../../deploy/helm/portcullis/files/dashboard.json");

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).expect("JSON")
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    let list = of[name].as_array();
    list.unwrap_or_else(|| panic!("no list {name}: {of}"))
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    let text = of[name].as_str().filter(|it| !it.is_empty());
    text.unwrap_or_else(|| panic!("no {name}: {of}"))
}

/// Gives the queries of the panels, as Grafana would send them of everything, over five seconds.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = list(dashboard, "panels").iter();
    let targets = panels.flat_map(|it| list(it, "targets"));
    let sent = targets.map(|it| {
        let query = text(it, "expr")
            .replace("$namespace", ".*")
            .replace("$pod", ".*")
            .replace("$__rate_interval", "5s");
        assert!(!query.contains('$'), "{query}");
        query
    });
    sent.collect()
}

/// Gives the names in a text that may be those of metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let ours = words.filter(|it| it.starts_with("portcullis_") || it.starts_with("envoy_"));
    ours.collect()
}

#[test]
fn grafana_finds_all_that_a_panel_needs() {
    let dashboard = dashboard();
    // By it, links stay good over versions.
    assert_eq!(dashboard["uid"], "portcullis");
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let variables = list(&dashboard["templating"], "list");
    let kinds = variables
        .iter()
        .map(|it| (text(it, "name"), text(it, "type")));
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [
            ("datasource", "datasource"),
            ("namespace", "query"),
            ("pod", "query")
        ]
    );
    assert_eq!(variables[0]["query"], "prometheus");
    let panels = list(&dashboard, "panels");
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = text(panel, "title");
        assert!(titles.insert(title), "{title} twice");
        assert!(
            ids.insert(panel["id"].as_u64().expect("a number")),
            "{title}"
        );
        assert!(
            ["stat", "timeseries"].contains(&text(panel, "type")),
            "{title}"
        );
        assert!(text(panel, "description").ends_with('.'), "{title}");
        text(&panel["fieldConfig"]["defaults"], "unit");
        assert_eq!(panel["datasource"], source, "{title}");
        let mut letters = BTreeSet::new();
        for target in list(panel, "targets") {
            assert_eq!(target["datasource"], source, "{title}");
            assert!(letters.insert(text(target, "refId")), "{title}");
            text(target, "legendFormat");
        }
    }
    for variable in &variables[1..] {
        assert_eq!(variable["datasource"], source);
        let query = text(&variable["query"], "query");
        let asked = format!(", {})", text(variable, "name"));
        assert!(
            query.starts_with("label_values(") && query.ends_with(&asked),
            "{query}"
        );
    }
}

/// A server that is in use, by an Envoy and without, and one that only listens, in TLS.
struct InUse {
    server: Server,
    envoy: Envoy,
    client: CheckClient,
    asked: usize,
    in_tls: Server,
    _upstream: Upstream,
    _redis: RedisServer,
}

impl InUse {
    async fn begin() -> Self {
        let redis = RedisServer::start(Product::Redis);
        let server = sample::start(&sample::on_store(&redis.url()));
        server.command("import -", sample::DIRECTORY);
        let upstream = Upstream::start();
        let envoy = Envoy::builder(server.grpc(), upstream.address())
            .check_timeout(Duration::from_secs(20))
            .issue(server.issue())
            .start();
        let client = CheckClient::connect(server.grpc()).await;
        server.signal("HUP");
        Self {
            server,
            envoy,
            client,
            asked: 0,
            in_tls: start_in_tls(30),
            _upstream: upstream,
            _redis: redis,
        }
    }

    /// One of each: a hit, a miss that is denied, a fault, a token of an issuer, and a login.
    async fn use_it(&mut self) {
        self.asked += 1;
        let guess = format!("a-key-of-nobody-{}", self.asked);
        let rest = || Ask::new(OPENTACT, "GET", "/rest/user").header("x-forwarded-proto", "https");
        let token = GOOGLE.token(&claims());
        for presents in [
            Ask::new(MINE, "GET", "/orders/7").header("x-my-key", MY_KEY),
            Ask::new(MINE, "GET", "/orders/7").header("x-my-key", guess),
            rest().header("x-auth-google-token", token),
            rest().header("x-auth-facebook-token", "EAABdown"),
        ] {
            let answer = self.client.check(presents.mapped()).await;
            answer.expect("an RPC that is OK");
        }
        let john = json!({ "data": {
            "credentials": "82a2dc91686ec828a67152d45a5c5ef7", "account_id": "4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b",
        } });
        let login = Request::new("PUT", "/v2/user_auth")
            .header("host", CROSSBAR)
            .header("content-type", "application/json")
            .body(john.to_string());
        exchange(self.envoy.plain(), &login).await;
    }

    /// What can be asked for of each, as it tells.
    fn told(&self) -> [String; 3] {
        let ours = [&self.server, &self.in_tls].map(|it| fetch(it.admin(), "/metrics"));
        let envoys = fetch(self.envoy.admin(), "/stats/prometheus");
        let [first, second] = ours;
        [first, second, envoys].map(|it| it.expect("metrics").text().to_owned())
    }
}

#[tokio::test]
async fn every_query_shows_something_of_a_server_in_use_and_none_asks_for_what_there_is_not() {
    let mut in_use = InUse::begin().await;
    let prometheus = Prometheus::watch(&[
        ("one", in_use.server.admin(), "/metrics"),
        ("two", in_use.in_tls.admin(), "/metrics"),
        ("envoy", in_use.envoy.admin(), "/stats/prometheus"),
    ]);
    let dashboard = dashboard();
    for query in queries(&dashboard) {
        // No number is what a share of nothing is.
        let number = format!("({query}) >= 0");
        let mut used = async || in_use.use_it().await;
        prometheus.await_samples(&number, &mut used).await;
    }
    // What variables offer.
    let build = format!("portcullis_build_info{{namespace=\"{NAMESPACE}\",pod=\"one\"}}");
    assert_eq!(prometheus.query(&build).len(), 1);

    let told = in_use.told();
    let there: BTreeSet<_> = told.iter().flat_map(|it| names(it)).collect();
    let asked = names(DASHBOARD);
    let asked: BTreeSet<_> = asked.union(&names(ALERTS)).copied().collect();
    assert!(asked.len() > 20, "{asked:?}");
    let missing: Vec<_> = asked.difference(&there).collect();
    assert!(missing.is_empty(), "no such metric: {missing:?}");
}
