//! How to reach the server, and what of that cannot be right.

use std::fmt;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{Client, ConnectionInfo, ProtocolVersion, RedisConnectionInfo, TlsCertificates};
use rustls::crypto::aws_lc_rs;

use super::certificate::ClientCertificate;
use super::place::Place;
use super::sentinel::Group;
use super::watch::Watched;
use crate::certificate::certificates as read_certificates;
use crate::credential::Secret;
use crate::store::StoreError;

/// How to reach a Redis or Valkey server.
#[derive(Clone, Default)]
pub struct Settings {
    /// Certificates in PEM that vouch for the server's; `None` leaves that to those of the system.
    pub ca: Option<Vec<u8>>,
    /// What a server is shown that wants to know over TLS who we are.
    pub certificate: Option<ClientCertificate>,
    /// The password, if the server wants one.
    pub password: Option<Secret>,
    /// The password of the sentinels, if they want one.
    pub sentinel_password: Option<Secret>,
    /// The user of the sentinels' access rules; `None` stands for their default user.
    pub sentinel_username: Option<String>,
    /// How long a command may take; what takes longer fails.
    pub timeout: Duration,
    /// `redis://HOST[:PORT][/DATABASE]`, `redis-sentinel://HOST[:PORT][,HOST…]/SERVICE[/DATABASE]`, or
    /// `redis-cluster://HOST[:PORT][,HOST…]`; with `rediss` for TLS.
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
    /// Checks that the URL names servers.
    ///
    /// # Errors
    /// What it must be instead.
    pub fn check_url(&self) -> Result<(), String> {
        match Place::read(&self.url) {
            Ok(_) => Ok(()),
            Err(StoreError::Refused(why)) => Err(why),
            Err(other) => Err(other.to_string()),
        }
    }

    /// Checks that the certificates that vouch for the server's are some, and of use with this URL.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check_ca(&self) -> Result<(), String> {
        if self.ca.is_none() {
            return Ok(());
        }
        let client = self.clone().into_client();
        client.map(|_| ()).map_err(|error| match error {
            StoreError::Refused(why) => why,
            other => other.to_string(),
        })
    }

    /// Gives what makes connections to the server, or with sentinels to no server yet. Checks what can be checked
    /// without it.
    pub(super) fn into_client(self) -> Result<Client, StoreError> {
        let place = Place::read(&self.url)?;
        let login = (self.username.as_ref(), self.password.as_ref());
        let redis = redis_settings(login)?.set_db(place.database());
        self.client_of(place.server, redis)
    }

    /// Gives the host and port of some servers of a cluster; `None` where it is none.
    pub(super) fn seeds(&self) -> Result<Option<Vec<(String, u16)>>, StoreError> {
        Ok(Place::read(&self.url)?.seeds)
    }

    /// Tells whether the way to the server is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.url.starts_with("rediss")
    }

    /// Gives what makes connections to the sentinels, where they are to be asked.
    pub(super) fn sentinels(&self) -> Result<Option<Group>, StoreError> {
        let Some((service, all)) = Place::read(&self.url)?.sentinels else {
            return Ok(None);
        };
        let login = (
            self.sentinel_username.as_ref(),
            self.sentinel_password.as_ref(),
        );
        let redis = redis_settings(login)?;
        let clients = all
            .into_iter()
            .map(|it| self.client_of(it, redis.clone()))
            .collect::<Result<_, _>>()?;
        let service = service.into();
        Ok(Some(Group { service, clients }))
    }

    fn client_of(
        &self,
        server: ConnectionInfo,
        redis: RedisConnectionInfo,
    ) -> Result<Client, StoreError> {
        let info = server
            .set_redis_settings(redis)
            .set_tcp_settings(tcp_settings());
        let tls = self.is_encrypted();
        let client = match (tls, &self.ca, &self.certificate) {
            (false, None, None) => Client::open(info),
            (false, Some(_), _) => {
                return refused("a CA file is for rediss:// only; redis:// is not encrypted");
            }
            (false, None, Some(_)) => {
                let why = "a client certificate is for rediss:// only; redis:// is not encrypted";
                return refused(why);
            }
            (true, ca, own) => {
                // Without any in it every server would be one that nobody vouches for.
                if ca
                    .as_ref()
                    .is_some_and(|it| read_certificates(it).is_none())
                {
                    return refused("the store's CA file holds no certificates in PEM");
                }
                // Does nothing where one is installed already.
                let _ = aws_lc_rs::default_provider().install_default();
                let certificates = TlsCertificates {
                    client_tls: own.clone().map(ClientCertificate::into_config),
                    root_cert: ca.clone(),
                };
                Client::build_with_tls(info, certificates)
            }
        };
        client.or_else(|error| refused(&format!("the store cannot be set up: {error}")))
    }
}

fn redis_settings(
    (username, password): (Option<&String>, Option<&Secret>),
) -> Result<RedisConnectionInfo, StoreError> {
    let mut redis = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        // Access rules rarely allow it, and every attempt would stand in the server's ACL LOG.
        .set_skip_set_lib_name();
    if let Some(username) = username {
        redis = redis.set_username(username);
    }
    if let Some(password) = password {
        let password = password.expose_str();
        let password = password.map_or_else(|| refused("the store's password is not UTF-8"), Ok)?;
        redis = redis.set_password(password);
    }
    Ok(redis)
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

pub(super) fn refused<T>(why: &str) -> Result<T, StoreError> {
    Err(StoreError::Refused(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn settings(url: &str) -> Settings {
        Settings {
            timeout: Duration::from_millis(50),
            url: url.to_owned(),
            ..Settings::default()
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
            ("redis://store:0", None),
            ("redis://store/-1", None),
            ("redis://store,other", None),
            ("redis://store;other", None),
            ("redis://hidden@store", None),
            ("redis://user:hidden@store", None),
            ("rediss://store#insecure", None),
            ("redis://store?protocol=2", None),
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
    fn authorities_are_certificates_and_for_tls_only() {
        for (url, ca, want) in [
            ("redis://store", CERTIFICATE, "for rediss:// only"),
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
