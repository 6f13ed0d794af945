//! The listeners: bound first, served later, ended together.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Router;

use crate::config::tls::ListenerTls;
use crate::config::{Config, ListenAddress};
use crate::control::{ControlSocket, Served};
use crate::current::Current;
use crate::serve::StartError;
use crate::serve::accept::{Accepted, Guarded, HTTP2_PREFACE, Source, accept};
use crate::serve::cores::{Core, Cores};
use crate::serve::http::{self, ended};
use crate::serve::tls::Opening;

/// Bound sockets, not yet served.
#[derive(Debug)]
pub struct Listeners {
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
    admin: Option<TcpListener>,
    issue: Option<TcpListener>,
    control: Option<ControlSocket>,
}

impl Listeners {
    /// Binds every address of the configuration.
    ///
    /// # Errors
    /// The first one that cannot be bound.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let (mut tcp, mut unix) = (Vec::new(), Vec::new());
        for address in &config.grpc {
            match address {
                ListenAddress::Tcp(address) => tcp.push(bind_tcp(*address).await?),
                ListenAddress::Unix(path) => unix.push(bind_unix(path).await?),
            }
        }
        let admin = match config.admin {
            Some(address) => Some(bind_tcp(address).await?),
            None => None,
        };
        let issue = match config.issue {
            Some(address) => Some(bind_tcp(address).await?),
            None => None,
        };
        let control = match &config.control {
            Some(path) => Some(bind_control(path).await?),
            None => None,
        };
        Ok(Self {
            tcp,
            unix,
            admin,
            issue,
            control,
        })
    }

    /// Where gRPC is answered over TCP, ports as bound.
    #[must_use]
    pub fn grpc_addresses(&self) -> Vec<SocketAddr> {
        self.tcp
            .iter()
            .filter_map(|it| it.local_addr().ok())
            .collect()
    }

    /// Where operators look, port as bound.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|it| it.local_addr().ok())
    }

    /// Where endpoints that issue tokens are, port as bound.
    #[must_use]
    pub fn issue_address(&self) -> Option<SocketAddr> {
        self.issue.as_ref().and_then(|it| it.local_addr().ok())
    }

    /// Names every listener, for the log.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        let tcp = self
            .grpc_addresses()
            .into_iter()
            .map(|it| format!("grpc {it}"));
        let path =
            |it: &UnixListener| Some(it.local_addr().ok()?.as_pathname()?.display().to_string());
        let unix = self
            .unix
            .iter()
            .filter_map(path)
            .map(|it| format!("grpc unix:{it}"));
        let admin = self.admin_address().map(|it| format!("admin http://{it}"));
        let issue = self.issue_address().map(|it| format!("issue http://{it}"));
        tcp.chain(unix).chain(admin).chain(issue).collect()
    }

    /// Serves on each listener until `stopped` says so; gRPC on the cores.
    #[must_use]
    pub fn serve(
        self,
        (routes, cores): (&Router, &Cores),
        routers: HttpRouters,
        served: Current<Served>,
        tls: Option<&Current<ListenerTls>>,
        stopped: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let end = || ended(stopped.clone());
        let opening = |name, of| match tls {
            Some(tls) => Opening::in_tls(name, tls.clone(), of),
            None => Opening::default(),
        };
        let mut tasks = JoinSet::new();
        for listener in self.tcp {
            let name = listener
                .local_addr()
                .map_or_else(|it| it.to_string(), |it| it.to_string());
            let opening = opening(format!("grpc {name}"), |it| &it.grpc);
            serve_grpc(&mut tasks, (listener, &opening), (routes, cores), stopped);
        }
        for listener in self.unix {
            let plain = Opening::default();
            serve_grpc(&mut tasks, (listener, &plain), (routes, cores), stopped);
        }
        if let Some(listener) = self.admin {
            let plain = Opening::default();
            tasks.spawn(http::serve(listener, plain, routers.admin, stopped.clone()));
        }
        if let Some(listener) = self.issue {
            let opening = opening("issue".to_owned(), |it| &it.issue);
            tasks.spawn(http::serve(
                listener,
                opening,
                routers.issue,
                stopped.clone(),
            ));
        }
        if let Some(control) = self.control {
            tasks.spawn(control.serve(served, end()));
        }
        tasks
    }
}

/// What is answered over HTTP.
#[derive(Debug)]
pub struct HttpRouters {
    /// To operators.
    pub admin: axum::Router,
    /// To clients, behind Envoy and a Check.
    pub issue: axum::Router,
}

/// Serves gRPC on all cores: each has its share of the connections.
fn serve_grpc<S: Source>(
    tasks: &mut JoinSet<()>,
    (source, opening): (S, &Opening),
    (routes, cores): (&Router, &Cores),
    stopped: &watch::Receiver<bool>,
) {
    let mut shares = Vec::new();
    for core in cores.iter() {
        let (share, accepted) = mpsc::channel(1);
        let (opened, incoming) = mpsc::channel(1);
        tasks.spawn_on(open_all(accepted, opening.clone(), opened), core.runtime());
        let incoming = ReceiverStream::new(incoming).map(Ok::<_, Infallible>);
        let routes = routes.clone();
        let end = ended(stopped.clone());
        tasks.spawn_on(
            async {
                let served = routes.serve_with_incoming_shutdown(incoming, end);
                if let Err(error) = served.await {
                    tracing::error!("a listener ended: {error}");
                }
            },
            core.runtime(),
        );
        shares.push((Arc::clone(core), share));
    }
    let (accepted, incoming) = mpsc::channel(1);
    tasks.spawn(accept(source, accepted, ended(stopped.clone())));
    tasks.spawn(share_out(incoming, shares));
}

/// Opens connections, each in its own time.
async fn open_all<S: Source>(
    mut accepted: mpsc::Receiver<Accepted<S>>,
    opening: Opening,
    opened: mpsc::Sender<Guarded<S::Stream>>,
) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            connection = accepted.recv() => {
                let Some(connection) = connection else {
                    return;
                };
                let (opening, opened) = (opening.clone(), opened.clone());
                under_way.spawn(async move {
                    if let Some(connection) = connection.open(&opening, HTTP2_PREFACE).await {
                        let _ = opened.send(connection).await;
                    }
                });
            }
            Some(_) = under_way.join_next() => {}
        }
    }
}

/// Gives each connection to the core that has the fewest. An Envoy has one for each of its workers, and one
/// that comes anew is to take the place of the one that went.
async fn share_out<S: Source>(
    mut incoming: mpsc::Receiver<Accepted<S>>,
    shares: Vec<(Arc<Core>, mpsc::Sender<Accepted<S>>)>,
) {
    while let Some(mut connection) = incoming.recv().await {
        let Some((core, share)) = shares.iter().min_by_key(|(core, _)| core.connections()) else {
            return;
        };
        connection.hold(core.load());
        if share.send(connection).await.is_err() {
            return;
        }
    }
}

async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Bind {
        address: address.to_string(),
        source,
    };
    TcpListener::bind(address).await.map_err(failed)
}

async fn bind_control(path: &Path) -> Result<ControlSocket, StartError> {
    let failed = |source| StartError::Bind {
        address: format!("unix:{}", path.display()),
        source,
    };
    ControlSocket::bind(path).await.map_err(failed)
}

/// Binds a Unix socket. One that a dead process left behind is removed; one that answers is not.
async fn bind_unix(path: &PathBuf) -> Result<UnixListener, StartError> {
    let failed = |source| StartError::Bind {
        address: format!("unix:{}", path.display()),
        source,
    };
    let left = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if left && UnixStream::connect(path).await.is_err() {
        std::fs::remove_file(path).map_err(failed)?;
    }
    UnixListener::bind(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_connection_goes_to_the_core_that_has_the_fewest() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("socket");
        let listener = bind_unix(&path).await.expect("a free path");
        let cores = Cores::of(2).expect("threads");
        let (accepted, incoming) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, accepted, std::future::pending()));
        let (shares, mut cores): (Vec<_>, Vec<_>) = cores
            .iter()
            .map(|core| {
                let (share, incoming) = mpsc::channel(1);
                ((Arc::clone(core), share), (incoming, Vec::new()))
            })
            .unzip();
        tasks.spawn(share_out::<UnixListener>(incoming, shares));
        let mut peers = Vec::new();
        let mut connect = async |cores: &mut [(mpsc::Receiver<_>, Vec<_>)]| {
            peers.push(UnixStream::connect(&path).await.expect("a listener"));
            let [(first, ours), (second, theirs)] = cores else {
                panic!("two cores");
            };
            tokio::select! {
                it = first.recv() => ours.push(it.expect("a connection")),
                it = second.recv() => theirs.push(it.expect("a connection")),
            }
            [ours.len(), theirs.len()]
        };
        for want in [[1, 0], [1, 1], [2, 1], [2, 2]] {
            assert_eq!(connect(&mut cores).await, want);
        }
        cores[1].1.clear();
        for want in [[2, 1], [2, 2], [3, 2]] {
            assert_eq!(connect(&mut cores).await, want);
        }
    }
}
