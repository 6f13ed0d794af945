//! The configuration and the directory that most tests run on, and the credentials in it.
//!
//! Accounts, names, secrets and their encodings are the published examples and test vectors of the three platforms
//! where there are any. They are written out here, never computed by the code under test.

/// Of [`super::server`]'s kind, with [`DIRECTORY`] beside it.
pub const CONFIG: &str = include_str!("sample/portcullis.yaml");

/// Goes beside [`CONFIG`] as `directory.yaml`.
pub const DIRECTORY: &str = include_str!("sample/directory.yaml");

/// Hosts of the platforms.
pub const CROSSBAR: &str = "crossbar.example.com";
pub const CROSSBAR_SHA: &str = "crossbar-sha.example.com";
pub const OPENTACT: &str = "opentact.example.com";
pub const INFOBIP: &str = "infobip.example.com";
pub const INFOBIP_LENIENT: &str = "infobip-lenient.example.com";
pub const MINE: &str = "api.mine.example";

/// Crossbar, john@example.com with m32c6NfqYEt: `account:md5(username:password)` and the same with SHA-1.
pub const JOHN_MD5: &str = "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6ODJhMmRjOTE2ODZlYzgyOGE2NzE1MmQ0NWE1YzVlZjc=";
pub const JOHN_SHA1: &str = "Basic NGI4ZjBlMmMxZDNhNGY1ZTZhN2I4YzlkMGUxZjJhM2I6MDU1Y2Y4ODZjYjliNWM1ODY3MDgzNDYzODY3YzUyN2FjZTBmOGVjYw==";

/// Opentact, opentact@callify.io with 12345678.
pub const CALLIFY: &str = "Basic b3BlbnRhY3RAY2FsbGlmeS5pbzoxMjM0NTY3OA==";

/// Opentact, the same user's HA1B: `md5(1000@mydomain.com:mydomain.com:123456)`.
pub const CALLIFY_HA1B: &str = "4e704e98102feb915109fe2ff0cef5da";

/// Infobip, Aladdin with openSesame (RFC 7617 §2).
pub const ALADDIN: &str = "Basic QWxhZGRpbjpvcGVuU2VzYW1l";

/// Infobip, the key of the published example.
pub const SENDER_KEY: &str =
    "003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9";

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
