//! What a store's URL names.

use redis::{ConnectionAddr, ConnectionInfo};

use super::settings::refused;
use crate::store::StoreError;

/// Where sentinels listen unless said otherwise.
const SENTINEL_PORT: u16 = 26379;

/// What to connect to.
pub(super) struct Place {
    /// The server; with sentinels the first of them, to be replaced by the one that they name.
    pub(super) server: ConnectionInfo,
    /// What the sentinels call the servers, and the sentinels, where there are any.
    pub(super) sentinels: Option<(String, Vec<ConnectionInfo>)>,
    /// Some servers of a cluster, of which one that answers tells of all; `None` where it is none.
    pub(super) seeds: Option<Vec<(String, u16)>>,
}

impl Place {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`StoreError::Refused`], which does not repeat it: it may carry a password though it must not.
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        const FORM: &str = "the store's URL must be redis://HOST[:PORT][/DATABASE] or rediss://…, for one server \
            (several are redis-sentinel://… or redis-cluster://…); user name and password have settings of their own";
        const SENTINEL_FORM: &str = "the store's URL must be \
            redis-sentinel://HOST[:PORT][,HOST[:PORT]…]/SERVICE[/DATABASE] or rediss-sentinel://…; \
            user names and passwords have settings of their own";
        const CLUSTER_FORM: &str = "the store's URL must be redis-cluster://HOST[:PORT][,HOST[:PORT]…] or \
            rediss-cluster://…; user name and password have settings of their own";
        let scheme = url.split_once("://");
        let (read, form) = match scheme {
            Some((scheme @ ("redis" | "rediss"), rest)) => (Self::of_one(scheme, rest), FORM),
            Some((scheme @ ("redis-sentinel" | "rediss-sentinel"), rest)) => {
                let scheme = scheme.trim_end_matches("-sentinel");
                (Self::of_sentinels(scheme, rest), SENTINEL_FORM)
            }
            Some((scheme @ ("redis-cluster" | "rediss-cluster"), rest)) => {
                let scheme = scheme.trim_end_matches("-cluster");
                (Self::of_cluster(scheme, rest), CLUSTER_FORM)
            }
            _ => (None, FORM),
        };
        let read = read.filter(|it| it.can_be() && !url.contains(['@', '?', '#']));
        read.map_or_else(|| refused(form), Ok)
    }

    /// Tells whether such servers and such a database can be.
    fn can_be(&self) -> bool {
        let sentinels = self.sentinels.iter().flat_map(|(_, all)| all);
        let all = sentinels.chain([&self.server]).map(ConnectionInfo::addr);
        let seeds = self
            .seeds
            .iter()
            .flatten()
            .map(|(host, port)| (host, *port));
        let mut all = seeds.chain(all.filter_map(tcp));
        all.all(|(host, port)| port > 0 && host.bytes().all(is_of_host)) && self.database() >= 0
    }

    fn of_one(scheme: &str, rest: &str) -> Option<Self> {
        Some(Self {
            server: format!("{scheme}://{rest}").parse().ok()?,
            sentinels: None,
            seeds: None,
        })
    }

    fn of_sentinels(scheme: &str, rest: &str) -> Option<Self> {
        let (hosts, path) = rest.split_once('/')?;
        let (service, database) = path.split_once('/').unwrap_or((path, ""));
        // What sentinels take for a name.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if service.is_empty() || !service.bytes().all(is_name) {
            return None;
        }
        let all = hosts.split(',').map(|host| {
            let port = host.rsplit_once(':').map(|(_, port)| port);
            let host = match port {
                Some("") => return None,
                Some(port) if !port.ends_with(']') => host.to_owned(),
                _ => format!("{host}:{SENTINEL_PORT}"),
            };
            format!("{scheme}://{host}/{database}").parse().ok()
        });
        let all = all.collect::<Option<Vec<ConnectionInfo>>>()?;
        Some(Self {
            server: all.first()?.clone(),
            sentinels: Some((service.to_owned(), all)),
            seeds: None,
        })
    }

    fn of_cluster(scheme: &str, rest: &str) -> Option<Self> {
        let all = rest.split(',').filter(|_| !rest.contains('/'));
        let all = all.map(|host| format!("{scheme}://{host}").parse().ok());
        let all = all.collect::<Option<Vec<ConnectionInfo>>>()?;
        let seeds = all.iter().filter_map(|it| tcp(it.addr()));
        let seeds = Some(seeds.map(|(host, port)| (host.clone(), port)).collect());
        Some(Self {
            server: all.into_iter().next()?,
            sentinels: None,
            seeds,
        })
    }

    /// The number of the database.
    pub(super) fn database(&self) -> i64 {
        self.server.redis_settings().db()
    }
}

fn tcp(address: &ConnectionAddr) -> Option<(&String, u16)> {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some((host, *port))
        }
        _ => None,
    }
}

/// Whether names of hosts and addresses have it; those of IPv6 without their brackets.
fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_:".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_sentinels_names_them_and_the_service() {
        for (url, want) in [
            ("redis-sentinel://a/m", Some("a:26379 m 0")),
            (
                "rediss-sentinel://a:1,b,[::1],[::2]:2/m/3",
                Some("a:1 b:26379 ::1:26379 ::2:2 m 3"),
            ),
            (
                "redis-sentinel://a,b/a.name-of_1/",
                Some("a:26379 b:26379 a.name-of_1 0"),
            ),
            ("redis-sentinel://", None),
            ("redis-sentinel://a", None),
            ("redis-sentinel://a/", None),
            ("redis-sentinel:///m", None),
            ("redis-sentinel://a,/m", None),
            ("redis-sentinel://,a/m", None),
            ("redis-sentinel://a:/m", None),
            ("redis-sentinel://a:0x1/m", None),
            ("redis-sentinel://a,b:0/m", None),
            ("redis-sentinel://a,b;c/m", None),
            ("redis-sentinel://a/m/-1", None),
            ("redis-sentinel://a/m/three", None),
            ("redis-sentinel://a/m/1/2", None),
            ("redis-sentinel://a/m m", None),
            ("redis-sentinel://a/m%20m", None),
            ("redis-sentinel://user:hidden@a/m", None),
            ("redis-sentinel://a,user:hidden@b/m", None),
            ("redis-sentinel://a/m?password=hidden", None),
            ("redis-sentinel://a/m#insecure", None),
            ("redis-sentinels://a/m", None),
        ] {
            let place = Place::read(url);
            if let Err(error) = &place {
                assert!(matches!(error, StoreError::Refused(_)), "{url}: {error}");
                assert!(!error.to_string().contains("hidden"), "{error}");
            }
            let found = place.ok().map(|place| {
                let database = place.database();
                let (service, all) = place.sentinels.expect("sentinels");
                let all = all.iter().map(|it| it.addr().to_string());
                let all = all.chain([service, database.to_string()]);
                all.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(found.as_deref(), want, "{url}");
        }
    }

    #[test]
    fn a_url_of_a_cluster_names_some_servers_of_it_and_nothing_else() {
        for (url, want) in [
            ("redis-cluster://a", Some("a:6379")),
            ("rediss-cluster://a,b:1,[::1]:2", Some("a:6379 b:1 ::1:2")),
            ("redis-cluster://", None),
            ("redis-cluster://a,", None),
            ("redis-cluster://a,,b", None),
            ("redis-cluster://a,b:port", None),
            ("redis-cluster://a,b:0", None),
            ("redis-cluster://a,b;c", None),
            ("redis-cluster://a,b/3", None),
            ("redis-cluster://a/3,b", None),
            ("redis-cluster://user:hidden@a", None),
            ("redis+cluster://a", None),
        ] {
            let place = Place::read(url);
            if let Err(error) = &place {
                assert!(!error.to_string().contains("hidden"), "{error}");
            }
            let found = place.ok().map(|it| {
                let seeds = it.seeds.expect("servers of a cluster").into_iter();
                let seeds = seeds.map(|(host, port)| format!("{host}:{port}"));
                seeds.collect::<Vec<_>>().join(" ")
            });
            assert_eq!(found.as_deref(), want, "{url}");
        }
    }
}
