//! What a miss is measured against: c, which before each answer asks a Redis what Portcullis asked it for one miss.
//!
//! The same client over one multiplexed connection, the same commands in the same order, each awaited before the next, but
//! for what Portcullis has written in the background. It looks at nothing that comes.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use portcullis::envoy::protos::authorization_server::{Authorization, AuthorizationServer};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// The command by which records are read: nobody waits for others.
const READ: &str = "GET";

/// Serves at `address` until the process is killed. The commands stand in a file, those of a round trip in a line, as JSON.
pub fn serve(address: SocketAddr, answer: &Path, url: &str, commands: &Path) {
    let answer = Bytes::from(std::fs::read(answer).expect("the file with the answer"));
    let commands = std::fs::read_to_string(commands).expect("the file with the commands");
    let trips = commands.lines().map(|line| {
        let trip: Vec<Vec<String>> = serde_json::from_str(line).expect("arrays of words");
        let is_read = trip[0][0].eq_ignore_ascii_case(READ);
        let mut sent = redis::pipe();
        for words in trip {
            sent.cmd(&words[0]).arg(&words[1..]);
        }
        (sent, is_read)
    });
    let trips = trips.collect();
    let runtime = Builder::new_current_thread().enable_all().build();
    let served = runtime.expect("a runtime").block_on(async {
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let client = Client::open(url).expect("the URL of a Redis");
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let bare = Bare {
            answer,
            trips,
            connection: connection.await.expect("a Redis"),
        };
        let listener = TcpListener::bind(address)
            .await
            .expect("the address is free");
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder()
            .add_service(AuthorizationServer::new(bare))
            .serve_with_incoming(incoming)
            .await
    });
    served.expect("a listener that lasts");
}

struct Bare {
    answer: Bytes,
    /// What is sent together, and whether the answers are awaited.
    trips: Vec<(Pipeline, bool)>,
    connection: MultiplexedConnection,
}

#[tonic::async_trait]
impl Authorization for Bare {
    async fn check(&self, _: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let refused = |_| Status::internal("a Redis that answers");
        let mut connection = self.connection.clone();
        for (trip, is_awaited) in &self.trips {
            let count = trip.len();
            if *is_awaited {
                let answers = connection.send_packed_commands(trip, 0, count).await;
                answers.map_err(refused)?;
            } else {
                let (mut connection, trip) = (self.connection.clone(), trip.clone());
                tokio::spawn(async move { connection.send_packed_commands(&trip, 0, count).await });
            }
        }
        Ok(Response::new(self.answer.clone()))
    }
}
