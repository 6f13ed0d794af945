//! Two servers on one Redis, each behind an Envoy of its own: what one answers, the other answers.
//!
//! It is one test in steps, since its last step looks at what all the others have left in the Redis.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use portcullis::clock::Clock;
use portcullis::credential::{Fingerprinter, Secret};
use portcullis::directory::Directory;
use portcullis::directory::pepper::Peppers;
use portcullis::directory::sessions::NewSession;
use portcullis::proof::Prover;
use portcullis::store::redis::{Redis, Settings};

use crate::envoy::bad_logins::write_nothing;
use crate::envoy::key_names::{KeyNames, dump};
use crate::envoy::table::{Row, World, reached, row, to};
use crate::envoy::tables::{TABLES, check_all};
use crate::envoy::tokens::dead;
use crate::envoy::{flows, infobip};
use crate::support::client::Request;
use crate::support::issuers::{self, changed, dd2020s, johns};
use crate::support::redis::{ADMIN, ISSUER, PASSWORD, Product, RedisServer};
use crate::support::sample::{
    AS_DD2020, AS_JOHN_BY_TOKEN, CROSSBAR, DIRECTORY, INFOBIP, INFOBIP_LENIENT, PEPPER, files,
    on_store,
};
use crate::support::server::Server;

const PATIENCE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

const SEND: &str = "/sms/3/messages";
const USERS: &str = "/v2/accounts/4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b/users";

/// Tokens of sessions: the published one, and one on the twin of its platform.
const SESSION: &str = "2f9b4d31-2d0d-49a8-85f0-9b862bdca394";
const TWIN_SESSION: &str = "773b4d31-2d0d-49a8-85f0-9b862bdca394";

/// What is added by commands: a password, a key, and the key that takes its place.
const ABUS_PASSWORD: &str = "a-password-on-standard-input";
const ADDED_KEY: &str = "a-key-that-was-added-by-a-command";
const ROTATED_KEY: &str = "a-key-that-took-the-place-of-another";

#[tokio::test]
async fn two_servers_on_one_redis_agree_on_every_credential_and_no_key_names_anybody() {
    let redis = RedisServer::start_with_roles(Product::Redis, &[]);
    let login = format!("timeout_ms: 10000, username: {ISSUER}, password_file: redis.password");
    let config = on_store(&redis.url()).replace("timeout_ms: 10000", &login);
    let files = [&files()[..], &[("redis.password", PASSWORD)]].concat();
    let servers = [(); 2].map(|()| Server::start_with(&config, &files));
    let world = World::of("a Redis", servers.into());
    world.server().command("import -", DIRECTORY);
    let directory = open(&redis).await;
    write_nothing(&world, &redis.url_of(ADMIN)).await;
    check_all(&world).await;
    flows::all(&world).await;
    sessions(&world, &directory).await;
    revocations(&world, &directory).await;
    let generated = commands(&world).await;

    let verified = world.server().command("store verify", "");
    assert!(
        verified.contains(" 0 orphaned, 0 unindexed, 0 unreadable"),
        "{verified}"
    );
    let listed = world
        .server()
        .command("key list --platform infobip --json", "");
    let made = listed.lines().map(|it| {
        let key: Value = serde_json::from_str(it).expect("a row");
        key["id"].as_str().expect("an id").to_owned()
    });
    let made: Vec<_> = made.collect();
    let mut names = KeyNames::of(DIRECTORY, &["u-9", "a-9", "k-8", "k-9"]);
    names.know(made);
    names.forbid([
        SESSION,
        TWIN_SESSION,
        ABUS_PASSWORD,
        ADDED_KEY,
        ROTATED_KEY,
        PEPPER,
        &generated,
    ]);
    names.forbid([
        "abu@example.com",
        "Agrabah",
        "agrabah.sip.example.com",
        "+14155550109",
    ]);
    names.forbid(["109800000000000000009"]);
    for (_, rows) in TABLES {
        names.forbid_presented(&rows());
    }
    names.check(&dump(&redis.url_of(ADMIN)).await);
    assert_eq!(
        refusals(&redis).await,
        [],
        "the role has every right for all that"
    );
}

/// What the Redis has refused, to anybody.
async fn refusals(redis: &RedisServer) -> Vec<redis::Value> {
    let admin = redis::Client::open(redis.url_of(ADMIN)).expect("a client");
    let admin = admin.get_multiplexed_async_connection().await;
    let mut admin = admin.expect("a connection");
    let mut log = redis::cmd("ACL");
    let log = log.arg("LOG").query_async(&mut admin);
    log.await.expect("an answer")
}

/// Opens the directory of the servers from outside of them, where tokens can be chosen. Its clock stands still.
async fn open(redis: &RedisServer) -> Directory {
    let settings = Settings {
        password: Some(Secret::new(PASSWORD.as_bytes())),
        timeout: PATIENCE,
        url: redis.url(),
        username: Some(ISSUER.to_owned()),
        ..Settings::default()
    };
    let store = Redis::new(settings).expect("a store");
    let now = UNIX_EPOCH + Duration::from_secs(Clock::system().unix_seconds());
    let fingerprinter = Fingerprinter::random().expect("randomness");
    let directory = Directory::new(
        Arc::new(store),
        Peppers::new(vec![Secret::new(PEPPER.as_bytes())]).expect("a pepper"),
        Prover::new(fingerprinter, 1, 1).expect("randomness"),
        Clock::from_fn(move || now),
    );
    let mut tick = interval(Duration::from_millis(10));
    let reached = timeout(PATIENCE, async {
        while directory.check_peppers().await.is_err() {
            tick.tick().await;
        }
    });
    reached.await.expect("the store, under the servers' pepper");
    directory
}

/// Sessions, of one user on a platform and on its twin: good from their address, good nowhere else, and ended by a
/// command on both servers.
async fn sessions(world: &World, directory: &Directory) {
    let create = async |platform, token: &str, address: Option<&str>| {
        let new = NewSession {
            user: "u-1",
            generations: [0; 3],
            address: address.map(|it| it.parse().expect("an address")),
            idle: Some(HOUR),
            cap: DAY,
        };
        let token = Secret::new(token.as_bytes());
        let created = directory.create_session(platform, &token, &new).await;
        assert!(created.expect("a session"), "there was one");
    };
    let ends = directory.clock().unix_seconds() + DAY.as_secs();
    let passed = |account: &str, platform: &str, roles: &str| {
        let identity = format!(
            "
{account}x-auth-expires: {ends}
x-auth-platform: {platform}
x-auth-roles: {roles}
x-auth-scheme: session
x-auth-user: u-1
x-auth-username: Aladdin"
        );
        reached(&format!("POST {SEND}"), &identity)
    };
    let passed_there = || {
        passed(
            "x-auth-account: acc-1\n",
            "infobip",
            "Communication Manager,Account Manager",
        )
    };
    let passed_at_twin = || passed("", "infobip-lenient", "Communication Manager");
    let refused_at_twin =
        || infobip::refused(401).replace("realm=\"infobip\"", "realm=\"infobip-lenient\"");
    let sends = |host: &str, word: &str, token: &str| {
        to(host, "POST", SEND).header("authorization", format!("{word} {token}"))
    };
    let there = |word: &str, token: &str| sends(INFOBIP, word, token);
    let at_twin = |token: &str| sends(INFOBIP_LENIENT, "IBSSO", token);
    let refused = || infobip::refused(401);
    let (here, elsewhere) = ([127, 0, 0, 2], [127, 0, 0, 3]);

    create("infobip", SESSION, Some("127.0.0.2/32")).await;
    create("infobip-lenient", TWIN_SESSION, None).await;
    let rows = vec![
        row(
            "I14 from its address",
            there("IBSSO", SESSION),
            passed_there(),
        )
        .from(here),
        row("I15 from another", there("IBSSO", SESSION), refused()).from(elsewhere),
        row(
            "from its address again",
            there("IBSSO", SESSION),
            passed_there(),
        )
        .from(here),
        row("in lower case", there("ibsso", SESSION), passed_there()).from(here),
        row("I14 the word misspelt", there("IBBSO", SESSION), refused()).from(here),
        row(
            "in upper case",
            there("IBSSO", &SESSION.to_uppercase()),
            refused(),
        )
        .from(here),
        row(
            "with something behind",
            there("IBSSO", &format!("{SESSION} a")),
            refused(),
        )
        .from(here),
        row("at the twin", at_twin(SESSION), refused_at_twin()).from(here),
        row("the twin's there", there("IBSSO", TWIN_SESSION), refused()).from(here),
        row(
            "the twin's at the twin, from anywhere",
            at_twin(TWIN_SESSION),
            passed_at_twin(),
        ),
        row(
            "the twin's there again",
            there("IBSSO", TWIN_SESSION),
            refused(),
        ),
        row("at the twin again", at_twin(SESSION), refused_at_twin()).from(here),
        row("as a key", there("App", SESSION), refused()).from(here),
        row("as a token", there("Bearer", SESSION), refused()).from(here),
    ];
    world.check("sessions", rows).await;

    let told = world
        .server()
        .command("session revoke --platform infobip --token-stdin", SESSION);
    assert!(
        told.starts_with("the session is ended; refused by "),
        "{told}"
    );
    world
        .await_check(row("ended by its token", there("IBSSO", SESSION), refused()).from(here))
        .await;
    let twins = row(
        "the twin's lives on",
        at_twin(TWIN_SESSION),
        passed_at_twin(),
    );
    world.check("sessions", vec![twins]).await;

    let again = "3a9b4d31-2d0d-49a8-85f0-9b862bdca394";
    create("infobip", again, Some("127.0.0.2/32")).await;
    world
        .await_check(row("one after it", there("IBSSO", again), passed_there()).from(here))
        .await;
    world
        .server()
        .command("session revoke --platform infobip --user u-1", "");
    world
        .await_check(row("ended by its user", there("IBSSO", again), refused()).from(here))
        .await;
}

/// Tokens that are revoked, one by its name and one, which has none, by what it is.
async fn revocations(world: &World, directory: &Directory) {
    let of = |id: &str| issuers::INFOBIP.token(&changed(dd2020s(), json!({ "jti": id })));
    let users = |token: &str| to(CROSSBAR, "GET", USERS).header("x-auth-token", token);
    let sends =
        |token: &str| to(INFOBIP, "POST", SEND).header("authorization", format!("Bearer {token}"));
    let nameless = issuers::CROSSBAR.token(&changed(johns(), json!({ "method": "revoked" })));
    let pass = |name: &str, request: Request, line: &str, identity: &str| {
        row(name, request, reached(line, identity))
    };
    let (post, get) = (format!("POST {SEND}"), format!("GET {USERS}"));
    let alive = |name: &str, id: &str| pass(name, sends(&of(id)), &post, AS_DD2020);
    let rows = vec![
        alive("before", "one"),
        alive("another before", "two"),
        pass("nameless before", users(&nameless), &get, AS_JOHN_BY_TOKEN),
    ];
    world.check("revocations", rows).await;

    let revoke = async |platform, parts: &[&[u8]]| {
        let revoked = directory.revoke(platform, parts, issuers::END).await;
        revoked.expect("an entry");
    };
    revoke("infobip", &[b"jti", b"infobip.com", b"one"]).await;
    // What is signed, under whatever signature.
    let (signed, _) = nameless.rsplit_once('.').expect("a signature");
    revoke("crossbar", &[b"token", signed.as_bytes()]).await;
    world
        .await_check(row("revoked", sends(&of("one")), infobip::refused(401)))
        .await;
    world
        .await_check(row("K19 nameless, revoked", users(&nameless), dead()))
        .await;
    world
        .check("revocations", vec![alive("another after", "two")])
        .await;
}

/// What commands add and change, which gives the secret that one of them made.
async fn commands(world: &World) -> String {
    let run = |words: &str, input: &str| world.server().command(words, input);
    run(
        "account add a-9 --platform infobip --name Agrabah --realm agrabah.sip.example.com --phone-number +14155550109",
        "",
    );
    run(
        "user add u-9 --platform infobip --account a-9 --email abu@example.com --role Analyst --password-stdin",
        ABUS_PASSWORD,
    );
    run(
        "user link u-9 --platform infobip --issuer google --subject 109800000000000000009",
        "",
    );
    run(
        "key add k-8 --platform infobip --account a-9 --scope sms:message:send --secret-stdin",
        ADDED_KEY,
    );
    let sends = |key: &str| to(INFOBIP, "POST", SEND).header("authorization", format!("App {key}"));
    let identity = "
x-auth-account: a-9
x-auth-platform: infobip
x-auth-scheme: api_key
x-auth-scopes: sms:message:send";
    let passed = || reached(&format!("POST {SEND}"), identity);
    world
        .await_check(row("a key that was added", sends(ADDED_KEY), passed()))
        .await;
    run(
        "key rotate k-8 --platform infobip --secret-stdin --overlap 1h",
        ROTATED_KEY,
    );
    world
        .await_check(row("the key in its place", sends(ROTATED_KEY), passed()))
        .await;
    for side in 0..=world.last() {
        // It has an end now, an hour from now.
        let old = world.ask(side, &sends(ADDED_KEY)).await;
        assert_eq!(old.status, 200, "the old key, for a while");
    }

    let made = run(
        "key add k-9 --platform infobip --account a-9 --scope sms:message:send",
        "",
    );
    let secret = made.trim().to_owned();
    world
        .await_check(row("a key that was made", sends(&secret), passed()))
        .await;
    run("account disable a-9 --platform infobip", "");
    let rows: [Row; 2] = [
        row(
            "a key of an account that was disabled",
            sends(&secret),
            infobip::refused(401),
        ),
        row("its other key", sends(ROTATED_KEY), infobip::refused(401)),
    ];
    for row in rows {
        world.await_check(row).await;
    }
    secret
}
