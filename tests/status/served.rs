//! What the page says as it is loaded, without a script, and to whom.

use std::time::Duration;

use serde_json::Value;

use crate::status::site::{allowed, configure, denied, misconfigure, start};
use crate::support::check::CheckClient;
use crate::support::client::{Request, exchange};
use crate::support::http::{Response, fetch};
use crate::support::server::Server;

const PATIENCE: Duration = Duration::from_secs(60);

fn page(server: &Server) -> String {
    let answer = fetch(server.admin(), "/").expect("an answer");
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

fn values(server: &Server) -> Value {
    fetch(server.admin(), "/status.json")
        .expect("an answer")
        .json()
}

/// The rows of a table, each cell behind the other.
fn rows(values: &Value, table: &str) -> Vec<String> {
    let rows = values["tables"][table].as_array().expect("rows");
    let cells = rows.iter().map(|it| it["cells"].as_array().expect("cells"));
    let text = cells.map(|it| {
        let cells = it.iter().map(|it| it.as_str().expect("a text"));
        cells.collect::<Vec<_>>().join(" | ")
    });
    text.collect()
}

#[tokio::test]
async fn the_page_says_without_a_script_what_was_decided_and_why_and_no_secret() {
    let server = start();
    let mut client = CheckClient::connect(server.grpc()).await;
    allowed(&mut client).await;
    allowed(&mut client).await;
    let [answer, _] = denied(&mut client).await;
    let id = &answer.metadata["decision_id"];
    let page = page(&server);
    for shown in [
        "<b data-text=\"standing\">Ready</b>",
        "2 since the start",
        "2 since the start, ",
        "192.0.2.7",
        id,
        "/orders/&lt;script&gt;hacked(&#39;3&#39;)&lt;/script&gt;",
        "portcullis.yaml",
        "directory.yaml",
        "<td role=\"cell\" data-head=\"Schemes\">key, login</td>",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(page.contains(shown), "{shown} in\n{page}");
    }
    for hidden in [
        "<img",
        "<svg onload",
        "secret-of-a-query",
        "an-example-key",
        "a-password",
        "PHN2Z",
    ] {
        assert!(!page.contains(hidden), "{hidden} in\n{page}");
    }
    let values = values(&server);
    let refused = rows(&values, "refused");
    let [second, first] = &*refused else {
        panic!("{refused:?}");
    };
    assert!(
        first.contains(&format!("denied: {}", answer.metadata["reason"])),
        "{first}"
    );
    assert!(first.contains(id), "{first}");
    let want = "denied: scheme_not_accepted | mine / login / <b>orders</b>\"'&{{script}} | GET /orders/2 | 192.0.2.7 | \
                account shop, user u-bo | ";
    assert!(second.contains(want), "{second}");
    assert_eq!(values["values"]["summary"], "Nothing needs attention");
}

#[tokio::test]
async fn nobody_changes_anything_and_no_other_site_reads_it_or_shows_it() {
    let server = start();
    let admin = server.admin();
    for path in ["/", "/status.json"] {
        let ask = |method: &'static str, host: &str| {
            let request = Request::new(method, path).header("host", host);
            let request = request.header("origin", "https://attacker.example");
            async move { exchange(admin, &request).await }
        };
        let here = admin.to_string();
        let answer: Response = ask("GET", &here).await;
        assert_eq!(answer.status, 200);
        for (name, want) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(want), "{name}");
        }
        let names = answer.headers.iter().map(|it| it.0.to_ascii_lowercase());
        assert!(
            !names
                .into_iter()
                .any(|it| it.starts_with("access-control-"))
        );
        assert_eq!(ask("HEAD", &here).await.status, 200);
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            assert_eq!(ask(method, &here).await.status, 405, "{method}");
        }
        for host in ["attacker.example", "192.0.2.1", "attacker.example:80"] {
            let answer = ask("GET", host).await;
            assert_eq!(answer.status, 403, "{host}");
            assert!(answer.text().contains("kubectl port-forward"));
        }
        assert_eq!(ask("GET", "localhost").await.status, 200);
    }
    let policy = fetch(server.admin(), "/").expect("an answer");
    let policy = policy
        .header("content-security-policy")
        .expect("a policy")
        .to_owned();
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "script-src 'sha256-",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
}

#[tokio::test]
async fn a_configuration_that_was_refused_is_told_until_one_fits() {
    let server = start();
    let health = |server: &Server| rows(&values(server), "health").join("\n");
    assert!(
        health(&server).contains("Configuration | In force"),
        "{}",
        health(&server)
    );
    misconfigure(&server);
    server.signal("HUP");
    server.await_log("the configuration stays as it was", PATIENCE);
    let said = health(&server);
    assert!(
        said.contains("Configuration | Refused | another was not fit"),
        "{said}"
    );
    assert_eq!(
        values(&server)["values"]["summary"],
        "Needs attention: Configuration"
    );
    let readyz = || fetch(server.admin(), "/readyz").expect("a listener");
    assert_eq!(readyz().status, 200, "the one before is in force");
    let answer = readyz();
    let text = answer.text();
    let (first, rest) = text.split_once('\n').expect("lines");
    assert_eq!(first, "ready");
    assert!(
        rest.starts_with("a new configuration was refused at 2")
            && rest.contains("Z with 1 problem, "),
        "{text}"
    );
    configure(&server);
    server.signal("HUP");
    server.await_log("another configuration is in force", PATIENCE);
    let said = health(&server);
    assert!(said.contains("Configuration | In force"), "{said}");
    assert_eq!(readyz().text(), "ready\n");
}

#[tokio::test]
async fn metrics_are_written_for_whoever_reads_only_what_was_before_open_metrics() {
    let server = start();
    for (accept, content_type, counter) in [
        (
            "text/plain",
            "text/plain; version=0.0.4; charset=utf-8",
            "# TYPE portcullis_attempts_forgotten_total counter",
        ),
        (
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# TYPE portcullis_attempts_forgotten counter",
        ),
        (
            "*/*",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# TYPE portcullis_attempts_forgotten counter",
        ),
    ] {
        let request = Request::new("GET", "/metrics")
            .header("host", "localhost")
            .header("accept", accept);
        let answer = exchange(server.admin(), &request).await;
        assert_eq!(answer.header("content-type"), Some(content_type));
        let text = answer.text();
        assert!(text.lines().any(|it| it == counter), "{accept}: {text}");
        let is_plain = content_type.starts_with("text/plain");
        assert_eq!(text.contains("# EOF"), !is_plain, "{accept}: {text}");
        assert!(text.contains("\nportcullis_attempts_forgotten_total 0\n"));
    }
}
