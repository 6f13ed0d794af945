//! Logins that are tried too often: whoever tries is told to wait, and nobody else.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::envoy::crossbar;
use crate::envoy::issuing::{ACME, JOHNS_MD5, issued, login};
use crate::envoy::table::{World, fresh_address, to};
use crate::support::client::{Client, Request};
use crate::support::sample::CROSSBAR_SHA;

const PATIENCE: Duration = Duration::from_secs(20);

const BESIEGED: &str = "cb427738a5c5903f5f88cfcd91b8ffe3";

/// K24, as decided: a login costs 35 of 100, and 10 come back a second.
pub(crate) async fn logins_at_once_from_one_address_empty_its_bucket_and_no_other(world: &World) {
    let (here, elsewhere) = (fresh_address(), fresh_address());
    let begun = Instant::now();
    let mut asked = JoinSet::new();
    for _ in 0..12 {
        let (address, request) = (world.address(0), login(BESIEGED, "besieged"));
        asked.spawn(async move {
            let mut client = Client::connect_from(here, address).await;
            client.exchange(&request.to_bytes()).await.status
        });
    }
    let statuses = asked.join_all().await;
    let many = |status: u16| statuses.iter().filter(|it| **it == status).count();
    let affordable = (100.0 + 10.0 * begun.elapsed().as_secs_f64()) / 35.0;
    assert!(
        (2..=affordable as usize).contains(&many(201)),
        "{statuses:?}"
    );
    assert_eq!(many(201) + many(429), 12, "{statuses:?}");

    // Whoever finds less than it takes loses that, so this is refused however late it comes.
    let told = last_of(world, here).await;
    let limited = issued(&crossbar::refused(429));
    let limited = limited.replace("\nx-request-id", "\nretry-after: 4\nx-request-id");
    assert_eq!(told, limited);
    let other = world
        .ask_from(0, elsewhere, &login(BESIEGED, "besieged"))
        .await;
    assert_eq!(other.status, 201, "{}", other.text());
    let another = world
        .ask_from(0, here, &login("1b7d5726533ab525a8760351e9b5e415", "below"))
        .await;
    assert_eq!(another.status, 201, "another account: {}", another.text());
}

/// Logs in until there is nothing left.
async fn last_of(world: &World, from: IpAddr) -> String {
    for _ in 0..12 {
        let told = world.told(0, from, &login(BESIEGED, "besieged")).await;
        if !told.starts_with("201") {
            return told;
        }
    }
    panic!("a bucket without a bottom");
}

/// A login at the platform where five may fail, with a hash that is right or not.
fn try_with(hash: &str) -> Request {
    let data: Value = json!({ "credentials": hash, "account_id": ACME });
    to(CROSSBAR_SHA, "PUT", "/v2/user_auth").body(json!({ "data": data }).to_string())
}

/// Asks until the status is this.
async fn await_status(world: &World, side: usize, from: IpAddr, status: u16) {
    let mut tick = interval(Duration::from_millis(20));
    let came = timeout(PATIENCE, async {
        while world
            .ask_from(side, from, &try_with(JOHNS_MD5))
            .await
            .status
            != status
        {
            tick.tick().await;
        }
    });
    assert!(
        came.await.is_ok(),
        "no {status} on side {side} after {PATIENCE:?}"
    );
}

pub(crate) async fn who_fails_from_elsewhere_delays_nobody_and_is_stopped_everywhere(
    world: &World,
) {
    let (attacker, victim) = (fresh_address(), fresh_address());
    let victims = async |when: &str| {
        for side in 0..=world.last() {
            let answer = world.ask_from(side, victim, &try_with(JOHNS_MD5)).await;
            assert_eq!(answer.status, 201, "{when}, side {side}: {}", answer.text());
        }
    };
    let wrong = try_with("00a2dc91686ec828a67152d45a5c5ef7");
    let mut statuses = Vec::new();
    for round in 0..10 {
        for _ in 0..20 {
            statuses.push(world.ask_from(0, attacker, &wrong).await.status);
        }
        victims(&format!("in round {round}")).await;
    }
    assert_eq!(statuses[..5], [401; 5]);
    assert!(statuses[5..].iter().all(|it| *it == 429), "{statuses:?}");

    let told = world.ask_from(0, attacker, &try_with(JOHNS_MD5)).await;
    assert_eq!(
        told.status,
        429,
        "with the right hash, too: {}",
        told.text()
    );
    let wait: u64 = told
        .header("retry-after")
        .expect("a wait")
        .parse()
        .expect("seconds");
    assert!((1..=86_400).contains(&wait), "{wait}");
    assert_eq!(told.json()["message"], "too_many_requests");
    if world.last() > 0 {
        // One that fails there is far from the limit, but for those that have failed here.
        let there = world.ask_from(world.last(), attacker, &wrong).await;
        assert_eq!(there.status, 401, "{}", there.text());
    }
    await_status(world, world.last(), attacker, 429).await;
    victims("afterwards").await;

    let run = |words: &str| {
        world
            .server()
            .command(&format!("throttle {words} --platform crossbar-sha"), "")
    };
    // What is counted is written down once a second.
    let failures = format!("\"failures\":{}", 5 + world.last());
    let mut tick = interval(Duration::from_millis(50));
    let listed = timeout(PATIENCE, async {
        loop {
            let listed = run("list --json");
            assert!(!listed.contains(&attacker.to_string()), "{listed}");
            if listed.contains(&failures) {
                break;
            }
            tick.tick().await;
        }
    });
    assert!(listed.await.is_ok(), "{failures} in {PATIENCE:?}");
    assert_eq!(
        run(&format!("lift --address {attacker} --target {ACME}")),
        "1 counter is lifted\n"
    );
    for side in 0..=world.last() {
        await_status(world, side, attacker, 201).await;
    }
}
