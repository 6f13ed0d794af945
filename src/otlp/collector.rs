//! A collector: how it is called, and what becomes of what it does not take.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::time::{Instant, timeout};
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::credential::Secret;
use crate::current::Current;
use crate::otlp::Trust;
use crate::otlp::tls::connector;
use crate::outbound::in_words;
use crate::telemetry::{Metrics, status_name};

/// How long it may take to take something, a connection included.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes: it says how much was not taken.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// How often it is told that a collector takes nothing.
const TELL: Duration = Duration::from_secs(60);

/// What is told to a collector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    /// Its name, in metrics and the log.
    pub(super) name: &'static str,
    path: &'static str,
}

pub(super) const METRICS: Signal = Signal {
    name: "metrics",
    path: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
};

pub(super) const TRACES: Signal = Signal {
    name: "traces",
    path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
};

/// Why something was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refused {
    /// It may be another time (OTLP, Failures: what may be tried again).
    ForNow,
    /// It never will.
    ForGood,
}

/// Where one signal is told.
#[derive(Debug)]
pub(super) struct Collector {
    endpoint: String,
    trust: Current<Trust>,
    signal: Signal,
    metrics: Arc<Metrics>,
    /// Made when something is first told, and anew when the trust is another.
    connected: Option<(Arc<Trust>, Grpc<Channel>)>,
    /// When it may be told again that nothing is taken, and how often that was not told.
    told: (Option<Instant>, u64),
}

impl Collector {
    pub(super) fn new(
        endpoint: &str,
        trust: Current<Trust>,
        signal: Signal,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            trust,
            signal,
            metrics,
            connected: None,
            told: (None, 0),
        }
    }

    /// Tells something, and gives what the collector says to it.
    ///
    /// # Errors
    /// Where it was not taken, which is counted and logged by then.
    pub(super) async fn tell<Q, A>(&mut self, it: Q) -> Result<A, Refused>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let told = timeout(PATIENCE, self.call(it)).await;
        let status = match told {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded("no answer in time"),
        };
        self.note(&status);
        Err(refused(status.code()))
    }

    async fn call<Q, A>(&mut self, it: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = PathAndQuery::from_static(self.signal.path);
        let (trust, mut grpc) = self.connected()?;
        let mut request = Request::new(it);
        for (name, value) in &trust.headers {
            let Some((name, value)) = header(name, value) else {
                continue;
            };
            request.metadata_mut().append(name, value);
        }
        let ready = grpc.ready().await;
        ready.map_err(|it| Status::from_error(it.into()))?;
        let answer = grpc.unary(request, path, ProstCodec::default()).await?;
        Ok(answer.into_inner())
    }

    fn connected(&mut self) -> Result<(Arc<Trust>, Grpc<Channel>), Status> {
        let trust = Arc::clone(&self.trust.get());
        let kept = self.connected.as_ref();
        if let Some((_, grpc)) = kept.filter(|(it, _)| Arc::ptr_eq(it, &trust)) {
            return Ok((trust, grpc.clone()));
        }
        let connector = connector(trust.ca.as_ref()).map_err(Status::unavailable)?;
        let endpoint = Endpoint::from_shared(self.endpoint.clone())
            .and_then(|it| it.user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION"))))
            .map_err(|it| Status::from_error(it.into()))?;
        let channel = endpoint.connect_with_connector_lazy(connector);
        let grpc = Grpc::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        self.connected = Some((Arc::clone(&trust), grpc.clone()));
        Ok((trust, grpc))
    }

    /// Counts that something was not taken, and tells of it now and then.
    fn note(&mut self, status: &Status) {
        let signal = self.signal.name;
        self.metrics.count_otlp_failure(signal);
        let (again, left_out) = &mut self.told;
        let now = Instant::now();
        if again.is_some_and(|it| now < it) {
            *left_out += 1;
            return;
        }
        *again = Some(now + TELL);
        let left_out = std::mem::take(left_out);
        let why = why(status);
        tracing::warn!(
            signal,
            left_out,
            "the collector at {} takes nothing: {why}",
            self.endpoint
        );
    }
}

/// Says why something was not taken. What the collector says of it is left out: some repeat the credential that they were sent.
fn why(status: &Status) -> String {
    let code = status_name(status.code());
    match status.source() {
        Some(source) => format!("{code}, {}", in_words(source)),
        None => code.to_owned(),
    }
}

fn refused(code: Code) -> Refused {
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss
        // Meant of those only that say when; we ask seldom enough not to be told.
        | Code::ResourceExhausted
        // Connections that break off.
        | Code::Unknown => Refused::ForNow,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Internal => Refused::ForGood,
    }
}

/// Tells why something is no collector's endpoint.
///
/// # Errors
/// What is wrong with it.
pub fn check_endpoint(url: &str) -> Result<(), &'static str> {
    const FORM: &str = "an endpoint is `http://HOST:PORT` or `https://HOST:PORT`";
    let uri: Uri = url.parse().map_err(|_| FORM)?;
    let authority = uri.authority().ok_or(FORM)?;
    if authority.as_str().contains('@') {
        return Err("an endpoint holds no user and password; see `telemetry.otlp.headers_file`");
    }
    let is_bare = matches!(
        uri.path_and_query().map(PathAndQuery::as_str),
        None | Some("/" | "")
    );
    match uri.scheme_str() {
        Some("http" | "https") if is_bare && !url.contains('#') => Ok(()),
        _ => Err(FORM),
    }
}

/// Reads headers, one in a line: `NAME: VALUE`. Empty lines count for nothing.
///
/// # Errors
/// Which line holds none. Values stand in no error.
pub fn read_headers(text: &Secret) -> Result<Vec<(String, Secret)>, String> {
    let lines = text.expose().split(|it| *it == b'\n').enumerate();
    let mut headers = Vec::new();
    for (index, line) in lines {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let read = line.iter().position(|it| *it == b':').and_then(|at| {
            let name = str::from_utf8(line[..at].trim_ascii())
                .ok()?
                .to_ascii_lowercase();
            let value = Secret::new(line[at + 1..].trim_ascii());
            header(&name, &value).map(|_| (name, value))
        });
        let number = index + 1;
        let read = read.ok_or_else(|| {
            format!("line {number} is no header: `NAME: VALUE`, in ASCII, and no name that gRPC uses itself")
        })?;
        headers.push(read);
    }
    Ok(headers)
}

fn header(name: &str, value: &Secret) -> Option<(AsciiMetadataKey, AsciiMetadataValue)> {
    const OURS: [&str; 3] = ["content-type", "te", "user-agent"];
    if name.starts_with("grpc-") || OURS.contains(&name) {
        return None;
    }
    let name = AsciiMetadataKey::from_bytes(name.as_bytes()).ok()?;
    let mut value = AsciiMetadataValue::try_from(value.expose()).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_an_authority_without_a_secret() {
        for good in [
            "http://127.0.0.1:4317",
            "https://collector.example.com",
            "http://[::1]:4317/",
        ] {
            assert_eq!(check_endpoint(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "collector:4317",
            "127.0.0.1:4317",
            "grpc://collector:4317",
            "http://collector:4317/v1/traces",
            "http://collector:4317?key=x",
            "https://user:secret@collector",
            "http://collector#x",
            "unix:/run/otlp",
        ] {
            assert!(check_endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_are_read_by_line_and_no_error_tells_a_value() {
        let read = |text: &str| read_headers(&Secret::new(text.as_bytes()));
        let headers = read("Authorization: Bearer a:b \n\nx-tenant:one\r\n").expect("headers");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, it)| (name.as_str(), it.expose_str()))
            .collect();
        assert_eq!(
            headers,
            [
                ("authorization", Some("Bearer a:b")),
                ("x-tenant", Some("one"))
            ]
        );
        assert!(read("").expect("none").is_empty());
        for bad in [
            "SECRET",
            ": SECRET",
            "a b: SECRET",
            "é: SECRET",
            "x: SECRET\0",
            "grpc-timeout: SECRET",
            "te: SECRET",
            "key-bin: SECRET",
        ] {
            let text = format!("x-first: 1\n{bad}");
            let error = read(&text).expect_err(bad);
            assert!(
                error.starts_with("line 2 ") && !error.contains("SECRET"),
                "{error}"
            );
        }
    }
}
