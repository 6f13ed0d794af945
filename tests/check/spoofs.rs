//! What the answer makes of the requests of `support/spoofs.rs`, many more of them than go through an Envoy, as Envoy
//! carries it out: all headers set, then all removed, then the parameters.

use crate::check::asking::{Answer, Ask, ask, clients};
use crate::support::spoofs::{Sample, samples};

const REQUESTS: usize = 1000;

/// Envoy's reading of an answer (`envoy.service.auth.v3.OkHttpResponse`): the request line and the headers after it.
fn forwarded(sample: &Sample, answer: &Answer) -> (String, String) {
    let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    let mut headers = sample.headers.clone();
    for (name, value) in &answer.headers {
        headers.retain(|it| !same(&it.0, name));
        headers.push((name.clone(), value.clone()));
    }
    headers.retain(|it| !answer.removed.iter().any(|removed| same(&it.0, removed)));
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("\n{}: {value}", name.to_ascii_lowercase()))
        .collect();
    lines.sort();

    let (path, query) = sample.target.split_once('?').expect("a query");
    let name = |pair: &&str| pair.split('=').next().expect("a name").to_owned();
    let removed = |pair: &&str| answer.removed_parameters.contains(&name(pair));
    let query: Vec<_> = query.split('&').filter(|pair| !removed(pair)).collect();
    let line = format!("{} {path}?{}", sample.method, query.join("&"));
    (line, lines.concat())
}

#[tokio::test]
async fn identity_headers_and_credential_places_are_the_servers_own_in_every_spelling() {
    let [tcp, unix] = &mut clients().await;
    for (number, sample) in samples(REQUESTS).iter().enumerate() {
        let mut request = Ask::new(sample.host, sample.method, &sample.target)
            .header("x-forwarded-proto", "https");
        for (name, value) in &sample.headers {
            request = request.header(name, value);
        }
        let answer = if number % 2 == 0 {
            ask(tcp, request.mapped()).await
        } else {
            ask(unix, request.listed()).await
        };
        assert_eq!(answer.status, 200, "{sample:?}: {answer:?}");
        let (line, headers) = forwarded(sample, &answer);
        assert_eq!(line, sample.line, "{sample:?}: {answer:?}");
        assert_eq!(
            headers.trim(),
            sample.identity.trim(),
            "{sample:?}: {answer:?}"
        );
        for name in &answer.removed {
            let set = answer
                .headers
                .iter()
                .any(|it| it.0.eq_ignore_ascii_case(name));
            assert!(!set, "Envoy removes {name} after it has set it: {answer:?}");
        }
    }
}
