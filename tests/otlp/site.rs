//! A server that tells a collector, and whoever asks it.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::{Request, Status};

use crate::asking::{Answer, Ask, read};
use crate::support::check::CheckClient;
use crate::support::sample::{self, CONFIG, MINE, MY_KEY};
use crate::support::server::Server;

/// Below the five seconds that a collector may take, and far above what a Check takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(4);

/// Starts a server that tells the collector at this URL; `settings` go on in `telemetry`.
pub(super) fn start(url: &str, settings: &str) -> Server {
    sample::start(&config(url, settings))
}

pub(super) fn config(url: &str, settings: &str) -> String {
    format!("{CONFIG}\ntelemetry: {{ otlp_endpoint: \"{url}\", {settings} }}\n")
}

/// A request that is allowed.
pub(super) fn allowed() -> Ask {
    Ask::new(MINE, "GET", "/orders/7").header("x-my-key", MY_KEY)
}

/// Whoever asks, as an Envoy that traces or not. Clones share a connection.
#[derive(Clone)]
pub(super) struct Asker(CheckClient);

impl Asker {
    pub(super) async fn of(server: &Server) -> Self {
        Self(CheckClient::connect(server.grpc()).await)
    }

    pub(super) async fn ask(&mut self, asked: &Ask) -> Answer {
        self.ask_in(asked, &[]).await
    }

    /// Asks with these in the metadata, as `traceparent`.
    pub(super) async fn ask_in(&mut self, asked: &Ask, traceparents: &[&str]) -> Answer {
        let answer = self.call(asked.mapped(), traceparents).await;
        read(answer.expect("an answer"))
    }

    /// Has this done for each of these numbers, by several at once.
    pub(super) async fn for_each<F: Future<Output = ()> + Send>(
        &self,
        numbers: Range<usize>,
        ask: impl Fn(Self, usize) -> F + Clone + Send + 'static,
    ) {
        const AT_ONCE: usize = 16;
        let mut asking = JoinSet::new();
        for first in 0..AT_ONCE {
            let (asker, ask, numbers) = (self.clone(), ask.clone(), numbers.clone());
            asking.spawn(async move {
                for number in numbers.skip(first).step_by(AT_ONCE) {
                    ask(asker.clone(), number).await;
                }
            });
        }
        asking.join_all().await;
    }

    pub(super) async fn call(
        &mut self,
        message: Bytes,
        traceparents: &[&str],
    ) -> Result<Bytes, Status> {
        let mut request = Request::new(message);
        for it in traceparents {
            let value = it.parse().expect("a value of metadata");
            request.metadata_mut().append("traceparent", value);
        }
        let answer = timeout(PATIENCE, self.0.check(request)).await;
        answer.expect("an answer long before a collector's")
    }
}
