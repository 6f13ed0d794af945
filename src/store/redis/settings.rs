//! How to reach the server, and what of that cannot be right.

use std::fmt;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{Client, ConnectionInfo, ProtocolVersion, RedisConnectionInfo, TlsCertificates};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::watch::Watched;
use crate::credential::Secret;
use crate::store::StoreError;

/// How to reach a Redis or Valkey server.
#[derive(Clone)]
pub struct Settings {
    /// Certificates in PEM that vouch for the server's; `None` leaves that to those of the system.
    pub ca: Option<Vec<u8>>,
    /// The password, if the server wants one.
    pub password: Option<Secret>,
    /// How long a command may take; what takes longer fails.
    pub timeout: Duration,
    /// `redis://HOST[:PORT][/DATABASE]`, or `redis-cluster://HOST[:PORT][,HOST[:PORT]…]`; `rediss://` and
    /// `rediss-cluster://` for TLS.
    pub url: String,
    /// The user of the server's access rules; `None` stands for its default user.
    pub username: Option<String>,
    /// What changes are to be heard of; `None`: only those that are made here.
    pub watched: Option<Watched>,
}

impl fmt::Debug for Settings {
    /// Leaves out the URL, which may carry a password though it must not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("timeout", &self.timeout)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Checks what can be checked without the server.
    pub(super) fn into_client(self) -> Result<Client, StoreError> {
        let tls = self.is_encrypted();
        let info = self.connection_info()?;
        let client = match (tls, self.ca) {
            (false, None) => Client::open(info),
            (false, Some(_)) => {
                return refused("a CA file is for rediss:// only; redis:// is not encrypted");
            }
            (true, ca) => {
                check_certificates(ca.as_deref())?;
                // Does nothing where one is installed already.
                let _ = aws_lc_rs::default_provider().install_default();
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: ca,
                };
                Client::build_with_tls(info, certificates)
            }
        };
        client.or_else(|error| refused(&format!("the store cannot be set up: {error}")))
    }

    fn connection_info(&self) -> Result<ConnectionInfo, StoreError> {
        const FORM: &str = "the store's URL must be redis://HOST[:PORT][/DATABASE], rediss://…, \
            redis-cluster://HOST[:PORT][,HOST[:PORT]…] or rediss-cluster://…; user name and password \
            have settings of their own";
        let scheme = [
            "redis://",
            "rediss://",
            "redis-cluster://",
            "rediss-cluster://",
        ];
        let known = scheme.iter().any(|scheme| self.url.starts_with(scheme));
        if !known || self.url.contains(['@', '?', '#']) {
            return refused(FORM);
        }
        // The error is not shown: it may repeat the URL.
        let Some(info) = self.read_url() else {
            return refused(FORM);
        };
        let Some(redis) = self.redis_settings(info.redis_settings().db()) else {
            return refused("the store's password is not UTF-8");
        };
        Ok(info
            .set_redis_settings(redis)
            .set_tcp_settings(tcp_settings()))
    }

    fn redis_settings(&self, database: i64) -> Option<RedisConnectionInfo> {
        let mut redis = RedisConnectionInfo::default()
            .set_db(database)
            .set_protocol(ProtocolVersion::RESP3)
            // Access rules rarely allow it, and every attempt would stand in the server's ACL LOG.
            .set_skip_set_lib_name();
        if let Some(username) = &self.username {
            redis = redis.set_username(username);
        }
        if let Some(password) = &self.password {
            redis = redis.set_password(password.expose_str()?);
        }
        Some(redis)
    }
}

/// Lets the kernel find out within seconds that the server, or the way to it, has gone.
fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(3))
        .with_retries(3);
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(Duration::from_secs(5))
}

/// Refuses a file without certificates, which would make every server one that nobody vouches for.
fn check_certificates(ca: Option<&[u8]>) -> Result<(), StoreError> {
    let Some(ca) = ca else { return Ok(()) };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        _ => refused("the store's CA file holds no certificates in PEM"),
    }
}

fn refused<T>(why: &str) -> Result<T, StoreError> {
    Err(StoreError::Refused(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn settings(url: &str) -> Settings {
        Settings {
            ca: None,
            password: None,
            timeout: Duration::from_millis(50),
            url: url.to_owned(),
            username: None,
            watched: None,
        }
    }

    #[test]
    fn a_url_names_a_server_and_nothing_else() {
        for (url, want) in [
            ("redis://store", Some("store:6379 0")),
            ("redis://store:7000/3", Some("store:7000 3")),
            ("redis://[::1]:7000", Some("::1:7000 0")),
            ("rediss://store/0", Some("store:6379 0")),
            ("", None),
            ("store:6379", None),
            ("http://store", None),
            ("redis+unix:///run/redis.sock", None),
            ("redis://", None),
            ("redis://store/three", None),
            ("redis://store:port", None),
            ("redis://hidden@store", None),
            ("redis://user:hidden@store", None),
            ("rediss://store#insecure", None),
            ("redis://store?protocol=2", None),
            ("redis-cluster://a", Some("a:6379 0")),
            ("rediss-cluster://a:7000,b", Some("a:7000 0")),
            ("redis-cluster://[::1]:7000,b:7001", Some("::1:7000 0")),
            ("redis-cluster://", None),
            ("redis-cluster://a,", None),
            ("redis-cluster://a,,b", None),
            ("redis-cluster://a,b:port", None),
            ("redis-cluster://a,b/3", None),
            ("redis-cluster://a/3,b", None),
            ("redis-cluster://user:hidden@a", None),
            ("redis+cluster://a", None),
        ] {
            let client = settings(url).into_client();
            if let Err(error) = &client {
                assert!(matches!(error, StoreError::Refused(_)), "{url}: {error}");
                assert!(!error.to_string().contains("hidden"), "{error}");
            }
            let found = client.ok().map(|client| {
                let info = client.get_connection_info();
                format!("{} {}", info.addr(), info.redis_settings().db())
            });
            assert_eq!(found.as_deref(), want, "{url}");
        }
    }

    #[test]
    fn a_cluster_is_found_by_any_server_of_it_that_the_url_names() {
        let seeds = |url| settings(url).seeds();
        assert_eq!(seeds("redis://store"), None);
        for url in [
            "redis-cluster://a,b:7000,[::1]:7001",
            "rediss-cluster://a,b:7000,[::1]:7001",
        ] {
            let want = [("a", 6379), ("b", 7000), ("::1", 7001)];
            let want = want.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(seeds(url), Some(want.to_vec()), "{url}");
        }
    }

    #[test]
    fn authorities_are_certificates_and_for_tls_only() {
        for (url, ca, want) in [
            ("redis://store", CERTIFICATE, "for rediss:// only"),
            ("redis-cluster://store", CERTIFICATE, "for rediss:// only"),
            ("rediss-cluster://store", b"text", "no certificates"),
            ("rediss://store", b"".as_slice(), "no certificates"),
            ("rediss://store", b"text", "no certificates"),
            ("rediss://store", CERTIFICATE, "trust anchors"),
        ] {
            let settings = Settings {
                ca: Some(ca.to_vec()),
                ..settings(url)
            };
            let error = settings.into_client().expect_err(want);
            assert!(error.to_string().contains(want), "{error}");
        }
    }

    #[test]
    fn debug_shows_neither_password_nor_url() {
        let settings = Settings {
            password: Some(Secret::new(*b"hidden")),
            ..settings("redis://user:hidden@store")
        };
        assert!(!format!("{settings:?}").contains("hidden"));
    }
}
