//! How the server is reached and logged in to, which may change while it is in use: a password that was
//! changed counts from the next connection on.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use redis::{Client, ConnectionAddr, RedisError};

use super::Settings;
use crate::store::StoreError;

/// How a server is logged in to. Clones share it.
#[derive(Clone)]
pub struct Login {
    client: Arc<RwLock<Client>>,
    /// Which server; `None`: the one that the settings name.
    place: Option<(Arc<str>, u16)>,
}

/// Another login, ready to be used.
pub struct NextLogin(Client);

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

impl fmt::Debug for NextLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextLogin(..)")
    }
}

impl NextLogin {
    /// Checks what can be checked without the server.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the settings cannot be right.
    pub fn new(settings: Settings) -> Result<Self, StoreError> {
        settings.into_client().map(Self)
    }
}

impl Login {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client: Arc::new(RwLock::new(client)),
            place: None,
        }
    }

    /// The same login to another server; it changes along with this one.
    #[must_use]
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        Self {
            client: Arc::clone(&self.client),
            place: Some((host.into(), port)),
        }
    }

    /// Has every further connection made so; those that there are stay.
    pub fn change(&self, next: NextLogin) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = next.0;
    }

    /// Gives what makes connections to the server, where it is now.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) fn client(&self) -> Result<Client, RedisError> {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        let client = client.clone();
        let Some((host, port)) = &self.place else {
            return Ok(client);
        };
        let info = client.get_connection_info().clone();
        let addr = match info.addr().clone() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host: host.to_string(),
                port: *port,
                insecure,
                tls_params,
            },
            _ => ConnectionAddr::Tcp(host.to_string(), *port),
        };
        Client::open(info.set_addr(addr))
    }

    /// Gives the server's host and port, for operators.
    pub(super) fn address(&self) -> String {
        match &self.place {
            Some((host, port)) => format!("{host}:{port}"),
            None => {
                let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
                client.get_connection_info().addr().to_string()
            }
        }
    }
}
