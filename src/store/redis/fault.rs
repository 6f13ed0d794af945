//! What went wrong, in words for operators.
//!
//! Servers repeat the arguments of a command in some of their messages, and with them values and
//! the password, so nothing but the code of a message is ever shown.

use redis::{ErrorKind, RedisError, ServerError, Value};

use crate::store::StoreError;

/// What to do where a server does not answer.
pub(super) const REACH_IT: &str = "check that it runs and can be reached";

/// The same where a server says nothing, as it does too where one side speaks TLS and the other does not.
pub(super) const REACH_IT_ALIKE: &str = "check that it runs, can be reached, and takes TLS if `store.url` begins with `rediss`, else none";

/// What to do where it is a replica.
pub(super) const NAME_PRIMARY: &str =
    "let `store.url`, or the sentinels in it, lead to its primary";

/// Says why there is no connection to `address`, or why it broke.
pub(super) fn of_connection(address: &str, error: &RedisError) -> StoreError {
    StoreError::Unavailable(cause(address, error))
}

/// The same, to be a part of what is told.
pub(super) fn cause(address: &str, error: &RedisError) -> String {
    let cause = match error.kind() {
        _ if error.is_timeout() => format!("no connection in time; {REACH_IT_ALIKE}"),
        ErrorKind::Extension | ErrorKind::Server(_) => meaning(
            error.code().unwrap_or_default(),
            error.detail().unwrap_or_default(),
        ),
        ErrorKind::Io if !error.is_connection_refusal() && error.is_connection_dropped() => {
            format!("the connection was closed; {REACH_IT_ALIKE}")
        }
        // What the system or TLS says; nobody's data.
        ErrorKind::Client | ErrorKind::InvalidClientConfig | ErrorKind::Io => {
            of_system(&error.to_string())
        }
        // In our words.
        ErrorKind::MasterNameNotFoundBySentinel => error.detail().unwrap_or_default().to_owned(),
        _ => "it does not speak RESP3 (Redis 6 or later, Valkey)".to_owned(),
    };
    format!("{address}: {cause}")
}

/// Says why no primary is known, in these words.
pub(super) fn of_sentinels(why: String) -> RedisError {
    let kind = ErrorKind::MasterNameNotFoundBySentinel;
    RedisError::from((kind, "no primary is known", why))
}

/// Says of a sentinel what is said of a server: it is logged in to with settings of its own.
pub(super) fn of_sentinel(cause: &str) -> String {
    let cause = cause.replace("`store.username`", "`store.sentinel_username`");
    cause.replace("`store.password_file`", "`store.sentinel_password_file`")
}

/// Says what the system or TLS says, more of what it says of certificates, and what to do.
fn of_system(said: &str) -> String {
    if let Some(why) = said.strip_prefix("invalid peer certificate: ") {
        let advice = match why {
            "UnknownIssuer" => "check `store.ca_file`, which must vouch for it",
            _ => "check that, and what it is called in `store.url`",
        };
        return format!("its certificate is not valid ({why}); {advice}");
    }
    let meaning = match said.strip_prefix("received fatal alert: ") {
        Some("CertificateRequired") => {
            return format!(
                "it wants a certificate of its clients ({said}); set `store.client_cert_file`"
            );
        }
        Some(
            "BadCertificate"
            | "CertificateExpired"
            | "CertificateRevoked"
            | "CertificateUnknown"
            | "UnknownCA"
            | "UnsupportedCertificate",
        ) => "it does not accept the client certificate",
        _ => return format!("{said}; {REACH_IT}"),
    };
    format!("{meaning} ({said}); check `store.client_cert_file`")
}

/// Says why the answer to a command on `key` is not one of those that it has.
pub(super) fn of_answer(key: &str, answer: &Value) -> StoreError {
    match answer {
        Value::ServerError(error) if error.code() != "WRONGTYPE" => match code_of(error) {
            "NOPERM" => StoreError::Forbidden(of_server(error)),
            _ => StoreError::Unavailable(of_server(error)),
        },
        _ => StoreError::Corrupt(format!("{key} holds something else than a record")),
    }
}

/// Says what an error means, and what to do.
pub(super) fn of_server(error: &ServerError) -> String {
    meaning(code_of(error), error.details().unwrap_or_default())
}

/// Tells whether the server takes the key for no number, or the sum for too large.
pub(super) fn is_of_number(error: &ServerError) -> bool {
    let details = error.details().unwrap_or_default();
    error.code() == "ERR"
        && (details.contains("not an integer") || details.contains("would overflow"))
}

/// Tells whether the server does not know us, which does not end by asking again.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS"))
}

/// Gives the code of an error. What a script may not do comes under a code that says nothing, in
/// the words of Redis 7.0 or of later ones and Valkey.
fn code_of(error: &ServerError) -> &str {
    let details = error.details().unwrap_or_default();
    let forbidden = [
        "The user executing the script can't",
        "ACL failure in script",
    ];
    if error.code() == "ERR" && forbidden.iter().any(|begin| details.starts_with(begin)) {
        return "NOPERM";
    }
    error.code()
}

fn meaning(code: &str, details: &str) -> String {
    let (meaning, advice) = match code {
        "ASK" | "CROSSSLOT" | "MOVED" | "TRYAGAIN" => (
            "it is one node of a cluster",
            "let `store.url` be `redis-cluster://…`, or lead to a server of its own",
        ),
        "BUSY" => ("it is busy with a script", "wait, or end that"),
        "CLUSTERDOWN" => ("its cluster is down", "see its own log"),
        // Their words, of which nothing is shown.
        "ERR" if details.starts_with("DB index is out of range") => {
            ("it has no such database", "check that in `store.url`")
        }
        "ERR" if details.starts_with("unknown command") => (
            "it does not know a command",
            "it must be a Redis from 6 on or a Valkey, with none renamed",
        ),
        "LOADING" => ("it is still loading its data", "wait"),
        "MASTERDOWN" => ("it is a replica that has lost its primary", NAME_PRIMARY),
        "MISCONF" => (
            "it takes no writes because it cannot save them to its disk",
            "see its own log",
        ),
        "NOAUTH" => ("it wants a password", "set `store.password_file`"),
        "NOPERM" => return format!("its access rules forbid {} (NOPERM)", forbidden(details)),
        "NOREPLICAS" => (
            "it takes no writes because it lacks replicas",
            "see to those",
        ),
        "OOM" => ("it has no memory left for writes", "raise its `maxmemory`"),
        "READONLY" => ("it is a replica, which takes no writes", NAME_PRIMARY),
        "WRONGPASS" => (
            "it does not accept the user name or the password",
            "check `store.username` and `store.password_file`",
        ),
        _ => ("it answered with an error", "see its own log"),
    };
    // A code is a word in capitals; anything else may be somebody's data.
    if (1..=32).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        format!("{meaning} ({code}); {advice}")
    } else {
        format!("{meaning}; {advice}")
    }
}

/// Names what is forbidden: a command by the name that the server has for it, which is nobody's data.
fn forbidden(details: &str) -> String {
    let quoted = details.rsplit_once("' command").map(|(before, _)| before);
    let command = quoted.and_then(|it| it.rsplit_once('\'')).map(|(_, it)| it);
    let is_name = |it: &&str| {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'|' | b'-' | b'_');
        (1..=32).contains(&it.len()) && it.bytes().all(is_part)
    };
    match command.filter(is_name) {
        Some(name) => format!("the command {}", name.to_uppercase().replace('|', " ")),
        None if details.contains("command or subcommand") => "a command of a script".to_owned(),
        None if details.contains(" key") => "the key".to_owned(),
        None => "this command or key".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// What the client makes of the server's message.
    fn answer(message: &str) -> Value {
        redis::parse_redis_value(format!("-{message}\r\n").as_bytes()).expect("a message")
    }

    #[test]
    fn an_error_of_the_server_is_told_by_its_code_alone() {
        for (message, want) in [
            (
                "BUSY Redis is busy running a script.",
                "it is busy with a script (BUSY); wait, or end that",
            ),
            (
                "CLUSTERDOWN The cluster is down",
                "its cluster is down (CLUSTERDOWN); see its own log",
            ),
            (
                "ERR DB index is out of range",
                "it has no such database (ERR); check that in `store.url`",
            ),
            (
                "ERR invalid secret",
                "it answered with an error (ERR); see its own log",
            ),
            (
                "LOADING Redis is loading",
                "it is still loading its data (LOADING); wait",
            ),
            (
                "MASTERDOWN Link with MASTER is down",
                "it is a replica that has lost its primary (MASTERDOWN); let `store.url`, or the sentinels in it, lead to its primary",
            ),
            (
                "MOVED 3999 127.0.0.1:6381",
                "it is one node of a cluster (MOVED); let `store.url` be `redis-cluster://…`, or lead to a server of its own",
            ),
            (
                "NEW secret",
                "it answered with an error (NEW); see its own log",
            ),
            (
                "OOM command not allowed",
                "it has no memory left for writes (OOM); raise its `maxmemory`",
            ),
            (
                "READONLY You can't",
                "it is a replica, which takes no writes (READONLY); let `store.url`, or the sentinels in it, lead to its primary",
            ),
            ("secret", "it answered with an error; see its own log"),
        ] {
            let want = StoreError::Unavailable(want.to_owned());
            assert_eq!(of_answer("k", &answer(message)), want, "{message}");
        }
    }

    #[test]
    fn what_is_forbidden_is_told_by_the_name_of_the_command_and_never_by_the_key() {
        for (message, want) in [
            (
                "NOPERM this user has no permissions to run the 'client|tracking' command",
                "the command CLIENT TRACKING",
            ),
            (
                "NOPERM User the 'key' has no permissions to run the 'del' command",
                "the command DEL",
            ),
            (
                "ERR ACL failure in script: User u has no permissions to run the 'incrby' command script: on @user_script:1.",
                "the command INCRBY",
            ),
            (
                "ERR The user executing the script can't run this command or subcommand script: 36",
                "a command of a script",
            ),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                "the key",
            ),
            ("NOPERM No permissions to access a key", "the key"),
            (
                "ERR ACL failure in script: No permissions to access a key script: on @user_script:1.",
                "the key",
            ),
            (
                "NOPERM User u has no permissions to run the 'SECRET 1' command",
                "this command or key",
            ),
            ("NOPERM secret", "this command or key"),
        ] {
            let want = format!("its access rules forbid {want} (NOPERM)");
            let told = of_answer("k", &answer(message));
            assert_eq!(told, StoreError::Forbidden(want), "{message}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_damage() {
        let held = StoreError::Corrupt("k holds something else than a record".to_owned());
        assert_eq!(of_answer("k", &answer("WRONGTYPE Operation")), held);
        assert_eq!(of_answer("k", &Value::Int(7)), held);
    }

    #[test]
    fn a_lost_connection_is_told_without_what_was_sent() {
        let server = |message| match answer(message) {
            Value::ServerError(error) => RedisError::from(error),
            other => panic!("{other:?}"),
        };
        let unknown =
            "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' 'secret'";
        for (error, want) in [
            (
                server(unknown),
                "it does not know a command (ERR); it must be a Redis from 6 on or a Valkey, with none renamed",
            ),
            (
                server("NOAUTH HELLO must be called with the client already authenticated"),
                "it wants a password (NOAUTH); set `store.password_file`",
            ),
            (
                io(io::ErrorKind::BrokenPipe),
                "the connection was closed; check that it runs, can be reached, and takes TLS if `store.url` begins \
                 with `rediss`, else none",
            ),
            (
                io(io::ErrorKind::TimedOut),
                "no connection in time; check that it runs, can be reached, and takes TLS if `store.url` begins \
                 with `rediss`, else none",
            ),
            (
                io(io::ErrorKind::ConnectionRefused),
                "connection refused; check that it runs and can be reached",
            ),
            (
                RedisError::from(io::Error::other(
                    "received fatal alert: CertificateRequired",
                )),
                "it wants a certificate of its clients (received fatal alert: CertificateRequired); \
                 set `store.client_cert_file`",
            ),
            (
                RedisError::from(io::Error::other("received fatal alert: UnknownCA")),
                "it does not accept the client certificate (received fatal alert: UnknownCA); \
                 check `store.client_cert_file`",
            ),
            (
                RedisError::from(io::Error::other("invalid peer certificate: UnknownIssuer")),
                "its certificate is not valid (UnknownIssuer); check `store.ca_file`, which must vouch for it",
            ),
            (
                RedisError::from(io::Error::other("invalid peer certificate: Expired")),
                "its certificate is not valid (Expired); check that, and what it is called in `store.url`",
            ),
            (
                of_sentinels("no sentinel answers".to_owned()),
                "no sentinel answers",
            ),
            (
                RedisError::from((ErrorKind::Parse, "secret")),
                "it does not speak RESP3 (Redis 6 or later, Valkey)",
            ),
        ] {
            let want = StoreError::Unavailable(format!("host:1: {want}"));
            assert_eq!(of_connection("host:1", &error), want);
        }
    }

    #[test]
    fn a_sentinel_that_refuses_a_login_names_the_settings_for_sentinels() {
        for (message, want) in [
            (
                "NOAUTH Authentication required.",
                "it wants a password (NOAUTH); set `store.sentinel_password_file`",
            ),
            (
                "WRONGPASS invalid",
                "it does not accept the user name or the password (WRONGPASS); \
                 check `store.sentinel_username` and `store.sentinel_password_file`",
            ),
        ] {
            let Value::ServerError(error) = answer(message) else {
                panic!("{message}");
            };
            assert_eq!(of_sentinel(&of_server(&error)), want);
        }
    }

    fn io(kind: io::ErrorKind) -> RedisError {
        RedisError::from(io::Error::from(kind))
    }
}
