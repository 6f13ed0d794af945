//! Everything that a server with marked secrets lets out, right and wrong credentials and faults among it, at the log's
//! finest level: no mark is in it.

use std::fs;
use std::process::Command;

use bytes::Bytes;
use redis::Value;
use redis::aio::MultiplexedConnection;
use serde_json::json;

use super::marks::Marks;
use super::site::{
    ACME, ACMES_KEY, ALADDIN, Asker, CALLIFY, CROSSBAR, INFOBIP_HOST, JOHN, OPENTACT_HOST,
    Presented, REDIS, basic, directory, given, marks, md5, presented, start, told,
};
use crate::support::http::fetch;
use crate::support::redis::{Product, RedisServer};
use crate::support::server::Server;
use crate::support::standin::{Reply, StandIn};

/// What came out, by where.
#[derive(Default)]
struct Out(Vec<(String, String)>);

impl Out {
    fn add(&mut self, from: impl Into<String>, text: impl Into<String>) {
        self.0.push((from.into(), text.into()));
    }

    #[track_caller]
    fn expect_none_of(&self, marks: &Marks) {
        let found: Vec<_> = self
            .0
            .iter()
            .flat_map(|(from, text)| {
                marks
                    .found_in(text)
                    .into_iter()
                    .map(move |it| format!("{from}: {it}"))
            })
            .collect();
        assert!(
            found.is_empty(),
            "{} secrets came out:\n{}",
            found.len(),
            found.join("\n")
        );
    }
}

fn introspection() -> StandIn {
    StandIn::start_with(|asked| {
        let known = asked.body.starts_with("token=MARKED-opaque-token&");
        Reply::ok(json!({ "active": known, "sub": "u-1", "exp": 4_102_444_800_u64 }).to_string())
            .header("content-type", "application/json")
    })
}

fn json_to(host: &'static str, method: &'static str, path: &str) -> Presented {
    (
        host,
        method,
        path.into(),
        vec![("content-type", "application/json".into())],
    )
}

/// Logs in everywhere, rightly and wrongly, and uses what was given. What is given is marked.
async fn log_in_everywhere(asker: &mut Asker, marks: &mut Marks, out: &mut Out) {
    let john = md5(&format!("john@example.com:{JOHN}"));
    let wrong = md5("john@example.com:MARKED-wrong");
    marks.add("a wrong MD5", &wrong);
    let user_auth = json_to(CROSSBAR, "PUT", "/v2/user_auth");
    let data = |data: serde_json::Value| json!({ "data": data }).to_string();
    let (_, response) = asker
        .endpoint(
            &user_auth,
            &data(json!({ "credentials": john, "account_id": ACME })),
        )
        .await;
    let token = given(&response, "/auth_token");
    marks.add(
        "a given token",
        token.rsplit('.').next().expect("a signature"),
    );
    let api_auth = json_to(CROSSBAR, "PUT", "/v2/api_auth");
    let (_, response) = asker
        .endpoint(&api_auth, &data(json!({ "api_key": ACMES_KEY })))
        .await;
    let accounts = given(&response, "/auth_token");
    marks.add(
        "an account's token",
        accounts.rsplit('.').next().expect("a signature"),
    );

    let session = json_to(INFOBIP_HOST, "POST", "/auth/1/session");
    let login = |password: &str| json!({ "username": "Aladdin", "password": password }).to_string();
    let (_, response) = asker.endpoint(&session, &login(ALADDIN)).await;
    let ibsso = given(&response, "/token");
    marks.add("a session", &ibsso);
    let oauth = (
        INFOBIP_HOST,
        "POST",
        "/auth/1/oauth2/token".to_owned(),
        vec![("content-type", "application/x-www-form-urlencoded".into())],
    );
    let form = |secret: &str| {
        format!("grant_type=client_credentials&client_id=Aladdin&client_secret={secret}")
    };
    let (_, response) = asker.endpoint(&oauth, &form(ALADDIN)).await;
    let access = given(&response, "/access_token");
    marks.add(
        "an access token",
        access.rsplit('.').next().expect("a signature"),
    );
    let rest = (
        OPENTACT_HOST,
        "GET",
        "/rest/auth".to_owned(),
        vec![("authorization", basic("opentact@callify.io", CALLIFY))],
    );
    let (_, response) = asker.endpoint(&rest, "").await;
    assert_eq!(response.status, 200, "{}", response.text());

    // What was given is used, and told of to its owner.
    let with = |token: &str| vec![("x-auth-token", token.to_owned())];
    for asked in [
        (
            CROSSBAR,
            "GET",
            format!("/v2/user_auth/{token}"),
            with(&token),
        ),
        (CROSSBAR, "GET", "/v2/token_auth".into(), with(&token)),
        (CROSSBAR, "DELETE", "/v2/token_auth".into(), with(&accounts)),
        (
            INFOBIP_HOST,
            "DELETE",
            "/auth/1/session".into(),
            vec![("authorization", format!("IBSSO {ibsso}"))],
        ),
    ] {
        let (admitted, response) = asker.endpoint(&asked, "").await;
        assert_eq!(response.status, 200, "{asked:?}: {}", response.text());
        out.add("an allow", told(&admitted));
    }
    let over = (
        CROSSBAR,
        "GET",
        "/v2/token_auth".to_owned(),
        with(&accounts),
    );
    let answer = asker.check(&over).await;
    assert_eq!(answer.status, 401);
    out.add("what a token that was ended got", told(&answer));

    let broken = format!("{{\"data\":{{\"credentials\":\"{john}\",");
    let twice = format!("{{\"data\":{{\"credentials\":\"{john}\",\"credentials\":\"{john}\"}}}}");
    for (asked, body) in [
        (
            &user_auth,
            data(json!({ "credentials": wrong, "account_id": ACME })),
        ),
        (
            &user_auth,
            data(json!({ "credentials": [john], "account_id": ACME })),
        ),
        (&user_auth, data(json!({ "credentials": john }))),
        (
            &user_auth,
            data(
                json!({ "credentials": john, "account_id": ACME, "multi_factor_response": [ACMES_KEY] }),
            ),
        ),
        (&user_auth, broken),
        (&user_auth, twice),
        (
            &api_auth,
            data(json!({ "api_key": ACMES_KEY.replace('c', "d") })),
        ),
        (
            &api_auth,
            data(json!({ "api_key": ACMES_KEY, "more": ACMES_KEY })),
        ),
        (
            &api_auth,
            data(json!({ "api_key": format!("{ACMES_KEY}0") })),
        ),
        (&session, login(&format!("{ALADDIN}-wrong"))),
        (&session, login(ALADDIN).replace('}', "")),
        (&oauth, form(&format!("{ALADDIN}-wrong"))),
        (&oauth, format!("{}&{}", form(ALADDIN), form(ALADDIN))),
    ] {
        let (_, response) = asker.endpoint(asked, &body).await;
        assert!(response.status >= 400, "{body}: {}", response.text());
        out.add(
            format!("the answer to {:?}", asked.2),
            format!("{:?} {}", response.headers, response.text()),
        );
    }
}

/// What commands print; `export` and those that make a secret are for whoever owns it.
fn command(server: &Server, out: &mut Out) {
    for words in [
        "key list --platform mine",
        "key show k-1 --platform mine",
        "user show 8e248327b85591955749e53ea45b6baa --platform crossbar",
        "account show 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b --platform crossbar",
        "session list --platform infobip",
        "throttle list --platform infobip",
        "store verify",
        "export",
    ] {
        let (status, told, error) = server.try_command(words, "");
        assert!(status.success(), "{words}: {told}{error}");
        out.add(words, told + &error);
    }
    for (at, (host, method, path, headers)) in presented("")
        .iter()
        .chain(&presented("-wrong!"))
        .enumerate()
    {
        // Arguments are seen by everyone, so a URL of an operator holds no secret.
        if path.contains('?') || path.contains("user_auth") {
            continue;
        }
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        let file = server.path(&format!("headers-{at}"));
        fs::write(&file, lines).expect("a writable directory");
        let words = format!(
            "explain -X {method} -H @{} http://{host}{path} --peer 192.0.2.1",
            file.display()
        );
        let (_, told, error) = server.try_command(&words, "");
        out.add(words, told + &error);
    }
    for words in ["show", "check"] {
        let run = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["config", words])
            .arg(server.path("portcullis.yaml"))
            .output();
        let run = run.expect("the binary that was built");
        assert!(run.status.success(), "{run:?}");
        let told = [run.stdout, run.stderr].concat();
        out.add(format!("config {words}"), String::from_utf8_lossy(&told));
    }
}

/// Everything that the store holds, keys and values.
async fn dump(redis: &RedisServer) -> String {
    let url = format!("redis://:{REDIS}@{}", redis.address());
    let client = redis::Client::open(url).expect("a client");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let ask = async |connection: &mut MultiplexedConnection, words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let answer: Value = command.query_async(connection).await.expect("an answer");
        answer
    };
    let keys = ask(&mut connection, &["KEYS", "*"]).await;
    let keys: Vec<String> = redis::from_redis_value(keys).expect("keys that are text");
    assert!(keys.len() > 20, "{keys:?}");
    let mut all = String::new();
    for key in &keys {
        let kind = ask(&mut connection, &["TYPE", key]).await;
        let kind: String = redis::from_redis_value(kind).expect("a word");
        let value = match kind.as_str() {
            "string" => ask(&mut connection, &["GET", key]).await,
            "hash" => ask(&mut connection, &["HGETALL", key]).await,
            "set" => ask(&mut connection, &["SMEMBERS", key]).await,
            "zset" => ask(&mut connection, &["ZRANGE", key, "0", "-1", "WITHSCORES"]).await,
            "list" => ask(&mut connection, &["LRANGE", key, "0", "-1"]).await,
            other => panic!("{key} is a {other}"),
        };
        all.push_str(&format!("{key} {}\n", text(&value)));
    }
    all
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(items) | Value::Set(items) => items.iter().map(|it| text(it) + " ").collect(),
        Value::Map(pairs) => pairs
            .iter()
            .map(|(key, it)| format!("{} {} ", text(key), text(it)))
            .collect(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn no_secret_comes_out_of_a_server_whatever_is_asked_of_it() {
    let mut redis = RedisServer::start_with(Product::Redis, &["--requirepass", REDIS]);
    let introspection = introspection();
    let server = start(&redis.url(), &introspection.url("/introspect"));
    server.command("import -", &directory());
    let (mut marks, mut out) = (marks(), Out::default());
    let mut asker = Asker::of(&server).await;
    // Twice: verified, and remembered.
    for again in ["", " again"] {
        for (wrong, right) in [("", true), ("-wrong!", false)] {
            for asked in presented(wrong) {
                let answer = asker.check(&asked).await;
                assert_eq!(answer.status == 200, right, "{asked:?}: {answer:?}");
                out.add(
                    format!("the answer to {} {}{again}", asked.0, asked.2),
                    told(&answer),
                );
            }
        }
    }
    log_in_everywhere(&mut asker, &mut marks, &mut out).await;
    for message in [
        &b"MARKED-johns-password"[..],
        b"\x0a\xffMARKED-johns-password",
        b"",
    ] {
        let answer = asker.raw(Bytes::from_static(message)).await;
        out.add("the answer to no message", told(&answer));
    }
    command(&server, &mut out);
    out.add("the store", dump(&redis).await);

    introspection.set_away(true);
    redis.stop();
    for asked in presented("-unseen!") {
        let answer = asker.check(&asked).await;
        assert!(answer.status >= 400, "{asked:?}: {answer:?}");
        out.add("an answer without a store", told(&answer));
    }
    for path in ["/metrics", "/readyz", "/healthz", "/", "/status.json"] {
        out.add(
            path,
            fetch(server.admin(), path)
                .expect("an admin listener")
                .text(),
        );
    }
    out.add("the arguments", server.arguments());
    let (log, audit) = (
        server.log(),
        fs::read_to_string(server.path("audit.jsonl")).expect("an audit"),
    );
    assert!(log.contains("\"TRACE\""), "at the finest level");
    assert!(audit.lines().count() > 60, "{audit}");
    out.add("the log", log);
    out.add("the audit", audit);
    out.expect_none_of(&marks);
}
