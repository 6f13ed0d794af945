//! How the server is reached and logged in to, which may change while it is in use: a password that was
//! changed counts from the next connection on.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::{Client, ConnectionAddr, RedisError};
use tokio::sync::watch;
use tokio::time;

use super::Settings;
use crate::store::StoreError;

/// How a server is logged in to. Clones share it.
#[derive(Clone)]
pub struct Login {
    client: Arc<RwLock<Client>>,
    /// How often it was changed.
    changes: Arc<watch::Sender<u64>>,
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
            changes: Arc::default(),
            place: None,
        }
    }

    /// The same login to another server; it changes along with this one.
    #[must_use]
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        Self {
            client: Arc::clone(&self.client),
            changes: Arc::clone(&self.changes),
            place: Some((host.into(), port)),
        }
    }

    /// Has every further connection made so; those that there are stay. Whoever pauses between attempts tries at once.
    pub fn change(&self, next: NextLogin) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = next.0;
        self.changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Gives how often it was changed, to be asked before an attempt.
    pub(super) fn changes(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Waits so long before the next attempt, but no longer where the login was changed since the last one began.
    pub(super) async fn pause(&self, tried: u64, pause: Duration) {
        let mut changes = self.changes.subscribe();
        let changed = changes.wait_for(|it| *it != tried);
        // Either says that it is time.
        let _ = time::timeout(pause, changed).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_login_that_was_changed_since_the_last_attempt_is_tried_at_once() {
        let client = || Client::open("redis://127.0.0.1:1").expect("a client");
        let login = Login::new(client());
        let tried = login.changes();
        login.change(NextLogin(client()));
        // One that came during the attempt.
        login.pause(tried, Duration::MAX).await;
        let tried = login.changes();
        let elsewhere = login.at("localhost", 2);
        let paused = elsewhere.pause(tried, Duration::MAX);
        let changed = async { login.change(NextLogin(client())) };
        tokio::join!(paused, changed);
        // None came.
        login.pause(login.changes(), Duration::from_millis(1)).await;
    }
}
