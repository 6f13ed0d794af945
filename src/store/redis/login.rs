//! How the server is reached and logged in to, which may change while it is in use: a password or a certificate that
//! was changed counts from the next connection on, and so does what sentinels say of where the primary is.

use std::fmt;
use std::future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::{Client, ConnectionAddr, RedisError};
use tokio::sync::watch;
use tokio::time;

use super::Settings;
use super::sentinel::{Group, Sentinels};
use crate::store::StoreError;

/// How a server is logged in to. Clones share it.
#[derive(Clone)]
pub struct Login {
    client: Arc<RwLock<Client>>,
    /// How often it was changed.
    changes: Arc<watch::Sender<u64>>,
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
            changes: Arc::default(),
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
            changes: Arc::clone(&self.changes),
            server: Server::At(host.into(), port),
        }
    }

    /// Has every further connection made so; those that there are stay. Whoever pauses between attempts tries at once.
    pub fn change(&self, next: NextLogin) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = next.client;
        if let (Server::Primary(sentinels), Some(group)) = (&self.server, next.sentinels) {
            sentinels.change(group);
        }
        self.changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Gives how often it was changed, to be asked before an attempt.
    pub(super) fn changes(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Waits so long before the next attempt, but no longer where the login was changed since the last one, at `address`,
    /// began, or where the server is elsewhere by now.
    pub(super) async fn pause(&self, tried: u64, pause: Duration, address: &str) {
        let mut changes = self.changes.subscribe();
        tokio::select! {
            () = time::sleep(pause) => {}
            () = self.left(address) => {}
            // It fails only with this value.
            _ = changes.wait_for(|it| *it != tried) => {}
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
            // Not by a copy: every refusal while the store is given up has it.
            Server::Named => {
                let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
                client.get_connection_info().addr().to_string()
            }
            Server::At(host, port) => format!("{host}:{port}"),
            Server::Primary(sentinels) => {
                let named = sentinels.named().map(|it| it.address());
                named.unwrap_or_else(|| sentinels.service().to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_login_that_was_changed_since_the_last_attempt_is_tried_at_once() {
        let client = || Client::open("redis://127.0.0.1:1").expect("a client");
        let login = Login::new(client());
        let tried = login.changes();
        login.change(NextLogin {
            client: client(),
            sentinels: None,
        });
        // One that came during the attempt.
        login.pause(tried, Duration::MAX, "").await;
        let tried = login.changes();
        let elsewhere = login.at("localhost", 2);
        let paused = elsewhere.pause(tried, Duration::MAX, "");
        let changed = async {
            login.change(NextLogin {
                client: client(),
                sentinels: None,
            })
        };
        tokio::join!(paused, changed);
        // None came.
        login
            .pause(login.changes(), Duration::from_millis(1), "")
            .await;
    }
}
