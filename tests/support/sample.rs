//! The configuration and the directory that most tests run on, and the credentials in it.
//!
//! Accounts, names, secrets and their encodings are the published examples and test vectors of the three platforms
//! where there are any. They are written out here, never computed by the code under test; so are tokens, in
//! [`super::issuers`].

use std::sync::LazyLock;

use super::facebook::{APP_SECRET, GRAPH};
use super::google::GOOGLE;
use super::issuers;
use super::server::Server;

/// Of [`super::server`]'s kind, with [`files`] beside it.
pub const CONFIG: &str = include_str!("sample/portcullis.yaml");

/// The directory, one of [`files`].
pub const DIRECTORY: &str = include_str!("sample/directory.yaml");

/// What every store but `memory:` is written under; one of [`files`].
pub const PEPPER: &str = "an example of a pepper that is long enough";

/// The setting of [`CONFIG`] that [`on_store`] replaces.
const MEMORY: &str = "store: { directory_file: directory.yaml }";

/// Starts a server with a configuration like [`CONFIG`].
pub fn start(config: &str) -> Server {
    Server::start_with(&with_standins(config), &files())
}

/// Gives [`CONFIG`] on another store, which begins empty; operations on it are never late. Servers on one store sign
/// tokens with one key.
pub fn on_store(url: &str) -> String {
    assert!(CONFIG.contains(MEMORY));
    let store = format!(
        "store: {{ url: \"{url}\", pepper_files: [pepper], timeout_ms: 10000 }}\nsigning: {{ key_files: [signing.pem] }}"
    );
    with_standins(&CONFIG.replace(MEMORY, &store))
}

/// Puts in who plays the servers on the internet.
fn with_standins(config: &str) -> String {
    config
        .replace("{graph}", &GRAPH.url())
        .replace("{google}", &GOOGLE.keys_url())
}

/// What stands beside [`CONFIG`]: the directory, and the issuers' keys as far as a verifier has them.
pub fn files() -> [(&'static str, &'static str); 9] {
    static PEMS: LazyLock<[String; 2]> =
        LazyLock::new(|| [&issuers::CROSSBAR, &issuers::CROSSBAR_TWIN].map(|it| it.public_pem()));
    let [crossbar, twin] = &*PEMS;
    [
        ("directory.yaml", DIRECTORY),
        ("pepper", PEPPER),
        ("crossbar.pem", crossbar),
        ("crossbar-twin.pem", twin),
        ("opentact.secret", issuers::OPENTACT_SECRET),
        ("facebook.secret", APP_SECRET),
        ("signing.pem", &issuers::SIGNING_PEM),
        ("infobip.secret", issuers::INFOBIP_SECRET),
        ("twin.secret", issuers::TWIN_SECRET),
    ]
}

/// Hosts of the platforms.
pub const CROSSBAR: &str = "crossbar.example.com";
pub const CROSSBAR_SHA: &str = "crossbar-sha.example.com";
pub const CROSSBAR_TWIN: &str = "crossbar-twin.example.com";
pub const OPENTACT: &str = "opentact.example.com";
pub const OPENTACT_TWIN: &str = "opentact-twin.example.com";
pub const INFOBIP: &str = "infobip.example.com";
pub const INFOBIP_LENIENT: &str = "infobip-lenient.example.com";
pub const MINE: &str = "api.mine.example";

/// Crossbar, john@example.com with m32c6NfqYEt: `account:md5(username:password)` and the same with SHA-1.
pub const JOHN_MD5: &str = "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6ODJhMmRjOTE2ODZlYzgyOGE2NzE1MmQ0NWE1YzVlZjc=";
pub const JOHN_SHA1: &str = "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6MDU1Y2Y4ODZjYjliNWM1ODY3MDgzNDYzODY3YzUyN2FjZTBmOGVjYw==";
/// The same login at the twin, with twin-m32c6NfqYEt: `account:md5(username:password)`.
pub const JOHN_TWIN_MD5: &str = "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6N2M0NzEzMDg3NmYwNTk4MmYyOWIxODY1ODE0ZmI5MDE=";

/// Opentact, opentact@callify.io with 12345678, and at the twin with twin-12345678.
pub const CALLIFY: &str = "Basic b3BlbnRhY3RAY2FsbGlmeS5pbzoxMjM0NTY3OA==";
pub const CALLIFY_TWIN: &str = "Basic b3BlbnRhY3RAY2FsbGlmeS5pbzp0d2luLTEyMzQ1Njc4";

/// Opentact, the same user's HA1B: `md5(1000@mydomain.com:mydomain.com:123456)`, and at the twin with twin-123456.
pub const CALLIFY_HA1B: &str = "4e704e98102feb915109fe2ff0cef5da";
pub const CALLIFY_TWIN_HA1B: &str = "4e06e73c7ede93e0581d1618279cba2f";

/// Infobip, Aladdin with openSesame (RFC 7617 §2), and at the lenient twin with openSesame1.
pub const ALADDIN: &str = "Basic QWxhZGRpbjpvcGVuU2VzYW1l";
pub const ALADDIN_LENIENT: &str = "Basic QWxhZGRpbjpvcGVuU2VzYW1lMQ==";

/// Infobip, the token of the published vector.
pub const DD2020: &str = "Bearer eyJraWQiOiI5d29rWGRoSSIsInR5cCI6IkpXVCIsImFsZyI6IkhTMjU2In0.eyJzdWIiOiJERDIwMjAiLCJpc3MiOiJpbmZvYmlwLmNvbSIsImV4cCI6NDEwMjQ0NDgwMCwiaWF0IjoxNjMzMDAwODA2LCJqdGkiOiJiMmJmODgyMS01OTcxLTRiOTMtYWVmNy0zM2QwMDNkMjIxNjcifQ.NGE0-OkNCfrEzIcgeoux0HqN1Ejjcptvjoq86foTs80";

/// Infobip, the key of the published example.
pub const SENDER_KEY: &str =
    "003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9";
/// The key of the same id at the lenient twin.
pub const LENIENT_KEY: &str =
    "773026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9";

/// A platform of one's own: its keys, with scopes and without, and admin with admin-password.
pub const MY_KEY: &str = "my-own-key-0000001";
pub const MY_BARE_KEY: &str = "my-own-key-0000002";
pub const MY_ADMIN: &str = "Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ=";

/// Crossbar, root@example.com with root-password, who has a role that few have.
pub const ROOT_MD5: &str = "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6NDU2NWQ2MDk4ZTkwNDIzYjQ2MzVhOTNmYjlkOTcyZDY=";

/// What the upstream is told of them, by the header's name.
pub const AS_JOHN: &str = "
x-auth-account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b
x-auth-platform: crossbar
x-auth-roles: admin
x-auth-scheme: basic
x-auth-user: 8e248327b85591955749e53ea45b6baa
x-auth-username: john@example.com";
pub const AS_CALLIFY: &str = "
x-auth-account: f2cb79fb-6bf8-4484-8034-debf95aac73b
x-auth-platform: opentact
x-auth-roles: User
x-auth-scheme: basic
x-auth-user: 0116f6d1-1280-44b2-9134-da48509ec575
x-auth-username: opentact@callify.io";
pub const AS_CALLIFY_BY_HA1B: &str = "
x-auth-account: f2cb79fb-6bf8-4484-8034-debf95aac73b
x-auth-platform: opentact
x-auth-roles: User
x-auth-scheme: ha1b
x-auth-user: 0116f6d1-1280-44b2-9134-da48509ec575
x-auth-username: opentact@callify.io";
pub const AS_CALLIFY_BY_FACEBOOK: &str = "
x-auth-account: f2cb79fb-6bf8-4484-8034-debf95aac73b
x-auth-expires: 4102444800
x-auth-platform: opentact
x-auth-roles: User
x-auth-scheme: facebook
x-auth-user: 0116f6d1-1280-44b2-9134-da48509ec575
x-auth-username: opentact@callify.io";
pub const AS_CALLIFY_BY_GOOGLE: &str = "
x-auth-account: f2cb79fb-6bf8-4484-8034-debf95aac73b
x-auth-expires: 4102444800
x-auth-platform: opentact
x-auth-roles: User
x-auth-scheme: google
x-auth-user: 0116f6d1-1280-44b2-9134-da48509ec575
x-auth-username: opentact@callify.io";
pub const AS_ALADDIN: &str = "
x-auth-account: acc-1
x-auth-platform: infobip
x-auth-roles: Communication Manager,Account Manager
x-auth-scheme: basic
x-auth-user: u-1
x-auth-username: Aladdin";
pub const AS_SENDER: &str = "
x-auth-account: acc-1
x-auth-platform: infobip
x-auth-scheme: api_key
x-auth-scopes: sms:message:send";
pub const AS_MY_KEY: &str = "
x-auth-account: a-1
x-auth-platform: mine
x-auth-scheme: key
x-auth-scopes: orders:write orders:read";
pub const AS_MY_ADMIN: &str = "
x-auth-account: a-1
x-auth-platform: mine
x-auth-roles: admin
x-auth-scheme: login
x-auth-username: admin
x-caller: u-1";
pub const AS_JOHN_BY_TOKEN: &str = "
x-auth-account: 4b8f0e2c1d3a4f5e6a7b8c9d0e1f2a3b
x-auth-expires: 4102444800
x-auth-platform: crossbar
x-auth-roles: admin
x-auth-scheme: jwt
x-auth-user: 8e248327b85591955749e53ea45b6baa
x-auth-username: john@example.com";
pub const AS_CALLIFY_BY_TOKEN: &str = "
x-auth-account: f2cb79fb-6bf8-4484-8034-debf95aac73b
x-auth-expires: 4102444800
x-auth-platform: opentact
x-auth-roles: User
x-auth-scheme: jwt
x-auth-user: 0116f6d1-1280-44b2-9134-da48509ec575
x-auth-username: opentact@callify.io";
pub const AS_DD2020: &str = "
x-auth-account: acc-1
x-auth-expires: 4102444800
x-auth-platform: infobip
x-auth-roles: Communication Manager
x-auth-scheme: oauth2
x-auth-user: u-dd2020
x-auth-username: DD2020";
