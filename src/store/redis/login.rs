//! How the server is reached and logged in to, which may change while it is in use: a password or a certificate that
//! was changed counts from the next connection on, and so does what sentinels say of where the primary is.

use std::fmt;
use std::future;
use std::sync::{Arc, PoisonError, RwLock};

use redis::{Client, ConnectionAddr, RedisError};

use super::Settings;
use super::sentinel::{Group, Sentinels};
use crate::store::StoreError;

/// How a server is logged in to. Clones share it.
#[derive(Clone)]
pub struct Login {
    client: Arc<RwLock<Client>>,
    server: Server,
}

/// Which server.
#[derive(Clone)]
enum Server {
    /// The one that the settings name.
    Named,
    /// This one.
    At(Arc<str>, u16),
    /// The one that the sentinels name.
    Primary(Arc<Sentinels>),
}

/// Another login, ready to be used.
pub struct NextLogin {
    client: Client,
    sentinels: Option<Group>,
}

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
        Ok(Self {
            sentinels: settings.sentinels()?,
            client: settings.into_client()?,
        })
    }
}

impl Login {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client: Arc::new(RwLock::new(client)),
            server: Server::Named,
        }
    }

    /// Begins with this one.
    pub(super) fn first(next: NextLogin) -> Self {
        let login = Self::new(next.client);
        let sentinels = next.sentinels.map(|it| Arc::new(Sentinels::new(it)));
        Self {
            server: sentinels.map_or(Server::Named, Server::Primary),
            ..login
        }
    }

    /// The same login to another server; it changes along with this one.
    #[must_use]
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        Self {
            client: Arc::clone(&self.client),
            server: Server::At(host.into(), port),
        }
    }

    /// Has every further connection made so; those that there are stay.
    pub fn change(&self, next: NextLogin) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = next.client;
        if let (Server::Primary(sentinels), Some(group)) = (&self.server, next.sentinels) {
            sentinels.change(group);
        }
    }

    /// Those who say where the server is, where there are any.
    pub(super) fn sentinels(&self) -> Option<Arc<Sentinels>> {
        match &self.server {
            Server::Primary(sentinels) => Some(Arc::clone(sentinels)),
            Server::Named | Server::At(..) => None,
        }
    }

    /// Gives what makes connections to the server, where it is now.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) async fn client(&self) -> Result<Client, RedisError> {
        match &self.server {
            Server::Named => Ok(self.shared()),
            Server::At(host, port) => self.client_at(host, *port),
            Server::Primary(sentinels) => {
                let primary = sentinels.ask().await?;
                self.client_at(&primary.host, primary.port)
            }
        }
    }

    fn client_at(&self, host: &str, port: u16) -> Result<Client, RedisError> {
        let info = self.shared().get_connection_info().clone();
        let host = host.to_owned();
        let addr = match info.addr().clone() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure,
                tls_params,
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Client::open(info.set_addr(addr))
    }

    fn shared(&self) -> Client {
        let client = self.client.read();
        client.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the server is known to be at another address than this one, which may be never.
    pub(super) async fn left(&self, address: &str) {
        match &self.server {
            Server::Primary(sentinels) => sentinels.replaced(address).await,
            Server::Named | Server::At(..) => future::pending().await,
        }
    }

    /// Gives the server's host and port, for operators; of a primary that was not found yet, how it is called.
    pub(super) fn address(&self) -> String {
        match &self.server {
            Server::Named => self.shared().get_connection_info().addr().to_string(),
            Server::At(host, port) => format!("{host}:{port}"),
            Server::Primary(sentinels) => {
                let named = sentinels.named().map(|it| it.address());
                named.unwrap_or_else(|| sentinels.service().to_owned())
            }
        }
    }
}
