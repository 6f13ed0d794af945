//! How the server is reached and logged in to, which may change while it is in use: a password that was
//! changed counts from the next connection on.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use redis::Client;

use super::Settings;
use crate::store::StoreError;

/// How a server is logged in to. Clones share it.
#[derive(Clone)]
pub struct Login(Arc<RwLock<Client>>);

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
        Self(Arc::new(RwLock::new(client)))
    }

    /// Has every further connection made so; those that there are stay.
    pub fn change(&self, next: NextLogin) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next.0;
    }

    pub(super) fn client(&self) -> Client {
        let client = self.0.read().unwrap_or_else(PoisonError::into_inner);
        client.clone()
    }
}
