//! The listeners: bound first, served later, ended together.

use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::tls::ListenerTls;
use crate::config::{Config, ListenAddress};
use crate::control::{ControlSocket, Served};
use crate::current::Current;
use crate::serve::StartError;
use crate::serve::accept::ended;
use crate::serve::checks::Front;
use crate::serve::cores::Cores;
use crate::serve::grpc;
use crate::serve::http;
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
        on_cores: &(Front, Arc<Cores>),
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
            tasks.spawn(grpc::serve(
                (listener, opening),
                on_cores.clone(),
                stopped.clone(),
            ));
        }
        for listener in self.unix {
            let plain = Opening::default();
            tasks.spawn(grpc::serve(
                (listener, plain),
                on_cores.clone(),
                stopped.clone(),
            ));
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

/// What to look at where an address cannot be listened on.
pub(super) fn bind_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "the folder that the socket is to be in must be there",
        ErrorKind::PermissionDenied => "may this user do so there?",
        _ => "is it in use, or not this machine's?",
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

/// Who may connect to the Unix sockets of gRPC: the owner, and the group, which an Envoy that is another user has in
/// common with this process (in Kubernetes by `fsGroup`).
const SOCKET_MODE: u32 = 0o660;

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
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(listener)
}
