//! A collector of telemetry: takes OTLP over gRPC, as its makers define it, and keeps what it is told.
//!
//! ```ignore
//! let collector = Collector::start();
//! let server = Server::start(&format!("{CONFIG}\ntelemetry: {{ otlp_endpoint: \"{}\" }}", collector.url()));
//! let spans = collector.await_spans(1).await;
//! collector.set(Manner::Refusing(Code::Unavailable)); // says so to all that it is told
//! collector.set(Manner::Silent);                      // hears, and never answers
//! ```
//!
//! On a thread of its own, so that a test that blocks does not hold it up. It lasts as long as the test process.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, async_trait};

const PATIENCE: Duration = Duration::from_secs(30);

/// How it treats what it is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    Taking,
    Refusing(Code),
    Silent,
}

/// A running collector.
#[derive(Clone, Debug)]
pub struct Collector {
    address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inner(..)")
    }
}

struct State {
    manner: Manner,
    calls: usize,
    spans: Vec<Span>,
    /// As they were told last.
    metrics: Vec<Metric>,
    told: usize,
    resources: Vec<Resource>,
    /// What came with each call.
    metadata: Vec<MetadataMap>,
    /// All that it was told, as text.
    text: String,
}

impl Collector {
    /// Starts one that takes all.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.expect("a loopback port");
        listener.set_nonblocking(true).expect("a socket");
        let state = State {
            manner: Manner::Taking,
            calls: 0,
            spans: Vec::new(),
            metrics: Vec::new(),
            told: 0,
            resources: Vec::new(),
            metadata: Vec::new(),
            text: String::new(),
        };
        let collector = Self {
            address: listener.local_addr().expect("the port just bound"),
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                changed: Notify::new(),
            }),
        };
        let serving = collector.clone();
        thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                Server::builder()
                    .add_service(TraceServiceServer::new(serving.clone()))
                    .add_service(MetricsServiceServer::new(serving))
                    .serve_with_incoming(TcpIncoming::from(listener))
                    .await
                    .expect("a server that does not end");
            });
        });
        collector
    }

    /// Where it is told.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says how it treats what it is told from now on.
    pub fn set(&self, manner: Manner) {
        self.lock().manner = manner;
    }

    /// Gives the spans that it has taken.
    pub fn spans(&self) -> Vec<Span> {
        self.lock().spans.clone()
    }

    /// Gives who has told it.
    pub fn resources(&self) -> Vec<Resource> {
        self.lock().resources.clone()
    }

    /// Gives what came with each call.
    pub fn metadata(&self) -> Vec<MetadataMap> {
        self.lock().metadata.clone()
    }

    /// Gives all that it was told, taken or not, as text.
    pub fn text(&self) -> String {
        self.lock().text.clone()
    }

    /// Waits until it has taken so many spans, and gives them.
    pub async fn await_spans(&self, count: usize) -> Vec<Span> {
        let enough = |it: &State| (it.spans.len() >= count).then(|| it.spans.clone());
        self.until(&format!("{count} spans"), enough).await
    }

    /// Waits until it has been called so often, whatever it answered.
    pub async fn await_calls(&self, count: usize) {
        let enough = |it: &State| (it.calls >= count).then_some(());
        self.until(&format!("{count} calls"), enough).await;
    }

    /// Waits until metrics were taken of which `wanted` gives something.
    pub async fn await_metrics<T>(
        &self,
        what: &str,
        mut wanted: impl FnMut(&[Metric]) -> Option<T>,
    ) -> T {
        let mut seen = 0;
        self.until(what, |it| {
            if it.told == seen {
                return None;
            }
            seen = it.told;
            wanted(&it.metrics)
        })
        .await
    }

    /// Waits until something is true of what a call came with.
    pub async fn await_metadata(&self, what: &str, wanted: impl Fn(&MetadataMap) -> bool) {
        let found = |it: &State| it.metadata.iter().any(&wanted).then_some(());
        self.until(what, found).await;
    }

    async fn until<T>(&self, what: &str, mut wanted: impl FnMut(&State) -> Option<T>) -> T {
        let come = async {
            loop {
                let changed = self.inner.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = wanted(&self.lock()) {
                    return found;
                }
                changed.await;
            }
        };
        let come = timeout(PATIENCE, come).await;
        come.unwrap_or_else(|_| panic!("waited for {what} in vain; told: {}", self.text()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let lock = self.inner.state.lock();
        lock.expect("nobody panics with the lock held")
    }

    /// Notes a call, and gives what becomes of it.
    async fn hear<T: fmt::Debug>(
        &self,
        request: Request<T>,
        take: impl FnOnce(&mut State, T),
    ) -> Result<(), Status> {
        let manner = {
            let mut state = self.lock();
            state.calls += 1;
            state.text.push_str(&format!("{request:?}\n"));
            state.metadata.push(request.metadata().clone());
            let manner = state.manner;
            if manner == Manner::Taking {
                take(&mut state, request.into_inner());
            }
            manner
        };
        self.inner.changed.notify_waiters();
        match manner {
            Manner::Taking => Ok(()),
            Manner::Refusing(code) => Err(Status::new(code, "as the test wants it")),
            Manner::Silent => pending().await,
        }
    }
}

#[async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.hear(request, |state, told| {
            for mut it in told.resource_spans {
                state.resources.extend(it.resource.take());
                let scopes = it.scope_spans.into_iter();
                state.spans.extend(scopes.flat_map(|it| it.spans));
            }
        })
        .await?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.hear(request, |state, told| {
            state.told += 1;
            state.metrics.clear();
            for mut it in told.resource_metrics {
                state.resources.extend(it.resource.take());
                let scopes = it.scope_metrics.into_iter();
                state.metrics.extend(scopes.flat_map(|it| it.metrics));
            }
        })
        .await?;
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// Gives attributes by their keys; panics where one is no text, or there twice.
pub fn attributes(of: &[KeyValue]) -> BTreeMap<&str, &str> {
    let mut read = BTreeMap::new();
    for it in of {
        let value = it.value.as_ref().and_then(|it| it.value.as_ref());
        let Some(Value::StringValue(value)) = value else {
            panic!("{it:?} is no text");
        };
        assert_eq!(read.insert(&*it.key, &**value), None, "{} twice", it.key);
    }
    read
}
