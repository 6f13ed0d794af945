//! The URL of a cluster: some servers of it, of which one that answers tells of all.

use redis::{ConnectionAddr, ConnectionInfo};

use super::Settings;

/// How the URL of a cluster begins, and how that of one server of it would.
const SCHEMES: [(&str, &str); 2] = [
    ("redis-cluster://", "redis://"),
    ("rediss-cluster://", "rediss://"),
];

impl Settings {
    /// Tells whether the way to the server is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.url.starts_with("rediss")
    }

    /// Gives the URL of each server of a cluster that the settings name; `None` where they name one server.
    fn urls(&self) -> Option<Vec<String>> {
        let found = SCHEMES
            .iter()
            .find_map(|(scheme, one)| Some((self.url.strip_prefix(scheme)?, one)));
        let (servers, one) = found?;
        Some(servers.split(',').map(|it| format!("{one}{it}")).collect())
    }

    /// Reads the URL, of a cluster as that of its first server; `None` where it is none. The user and password are not
    /// looked at, and whatever is wrong may hold them.
    pub(super) fn read_url(&self) -> Option<ConnectionInfo> {
        match self.urls() {
            None => self.url.parse().ok(),
            Some(_) if self.url.matches('/').count() > 2 => None,
            Some(urls) => {
                let infos = urls.iter().map(|it| it.parse::<ConnectionInfo>().ok());
                infos.collect::<Option<Vec<_>>>()?.into_iter().next()
            }
        }
    }

    /// Gives the host and port of each server of a cluster that the settings name; `None` where they name one server.
    pub(super) fn seeds(&self) -> Option<Vec<(String, u16)>> {
        let infos = self.urls()?;
        let infos = infos
            .iter()
            .filter_map(|it| it.parse::<ConnectionInfo>().ok());
        let seeds = infos.filter_map(|it| match it.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some((host.clone(), *port))
            }
            _ => None,
        });
        Some(seeds.collect())
    }
}
