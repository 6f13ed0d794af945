//! A server that tells a collector, and whoever asks it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use tonic::{Request, Status};

use crate::asking::{Answer, Ask, read};
use crate::support::check::CheckClient;
use crate::support::sample::{self, CONFIG, MINE, MY_KEY};
use crate::support::server::Server;

/// Far below what a collector may take, and far above what a Check takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3);

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

/// Whoever asks, as an Envoy that traces or not.
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
