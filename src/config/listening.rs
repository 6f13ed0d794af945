//! Where listeners stand.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a listener stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddress {
    /// An address and port; port 0 is any free one.
    Tcp(SocketAddr),
    /// A Unix socket, by its path.
    Unix(PathBuf),
}

impl ListenAddress {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        match text.strip_prefix("unix:") {
            Some("") => Err("name the socket's path behind `unix:`"),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "an address is `IP:PORT` or `unix:PATH`"),
        }
    }
}
