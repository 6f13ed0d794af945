//! What stands beside the Check RPC, on the same listeners: health and reflection, in the bytes of their protocols.

use bytes::Bytes;

use crate::check::asking::clients;

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const AUTHORIZATION: &str = "envoy.service.auth.v3.Authorization";

/// A message with one field of text or bytes.
fn field(number: u8, content: &str) -> Bytes {
    let length = u8::try_from(content.len()).expect("a short text");
    Bytes::from([&[number << 3 | 2, length], content.as_bytes()].concat())
}

fn holds(message: &[u8], text: &str) -> bool {
    message
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn health_says_that_the_server_and_its_service_serve() {
    // HealthCheckResponse { status (1): SERVING (1) }
    let serving = Bytes::from_static(b"\x08\x01");
    for client in &mut clients().await {
        for service in ["", AUTHORIZATION] {
            // HealthCheckRequest { service (1) }
            let answer = client.call(HEALTH, field(1, service)).await;
            assert_eq!(answer.expect("an answer"), serving, "{service:?}");
        }
        let unknown = client.call(HEALTH, field(1, "another.Service")).await;
        assert_eq!(unknown.expect_err("a status").code(), tonic::Code::NotFound);
    }
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_their_messages() {
    for client in &mut clients().await {
        // ServerReflectionRequest { list_services (7) } and { file_containing_symbol (4) }
        let list = client.call_streaming(REFLECTION, field(7, "")).await;
        let list = list.expect("an answer").expect("a message");
        assert!(holds(&list, AUTHORIZATION));
        assert!(holds(&list, "grpc.health.v1.Health"));
        let file = client
            .call_streaming(REFLECTION, field(4, AUTHORIZATION))
            .await;
        let file = file.expect("an answer").expect("a message");
        for message in ["CheckRequest", "CheckResponse", "DeniedHttpResponse"] {
            assert!(holds(&file, message), "{message}");
        }
    }
}
