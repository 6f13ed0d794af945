//! A real process, asked by Check until it refuses.

use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis::envoy::protos::auth::attribute_context::{HttpRequest, Request};
use portcullis::envoy::protos::auth::check_response::HttpResponse;
use portcullis::envoy::protos::auth::{AttributeContext, CheckRequest, CheckResponse};
use prost::Message;

use crate::support::check::CheckClient;
use crate::support::redis::RedisServer;
use crate::support::server::Server;
use crate::watchers::Writer;
use crate::{CONFIG, KEY, PEPPER};

/// How many answers in a row come from memory, so that the next would too.
const REMEMBERED: usize = 3;

/// Gives how long after the revocation began the first Check was refused, round by round.
pub async fn measure(redis: &RedisServer, rounds: usize) -> Vec<Vec<Duration>> {
    let writer = Writer::new(redis).await;
    let config = CONFIG.replace("{url}", &redis.url());
    let server = Server::start_with(&config, &[("pepper", PEPPER)]);
    let mut client = CheckClient::connect(server.grpc()).await;
    let question = question();
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let mut allowed = 0;
        while allowed < REMEMBERED {
            allowed += usize::from(is_allowed(&mut client, &question).await);
        }
        let begun = Instant::now();
        let asked = async {
            while is_allowed(&mut client, &question).await {}
            begun.elapsed()
        };
        let (took, ()) = tokio::join!(asked, writer.switch(false));
        measured.push(vec![took]);
        writer.switch(true).await;
    }
    measured
}

async fn is_allowed(client: &mut CheckClient, question: &Bytes) -> bool {
    let answer = client.check(question.clone()).await.expect("an answer");
    let answer = CheckResponse::decode(answer).expect("a CheckResponse");
    matches!(answer.http_response, Some(HttpResponse::OkResponse(_)))
}

fn question() -> Bytes {
    let http = HttpRequest {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        host: "mine.example".to_owned(),
        headers: [(KEY.0.to_owned(), KEY.1.to_owned())].into(),
        ..HttpRequest::default()
    };
    let attributes = AttributeContext {
        request: Some(Request { http: Some(http) }),
        ..AttributeContext::default()
    };
    let attributes = Some(attributes);
    CheckRequest { attributes }.encode_to_vec().into()
}
