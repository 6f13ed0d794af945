//! `portcullis demo`, the real binary: what a newcomer sees first.

mod support;

use std::net::TcpListener;
use std::process::ExitStatus;
use std::time::Duration;

use support::http::fetch;
use support::process::{Process, command};
use support::{free_port, loopback};

/// An unoptimised build hashes a dozen passwords here, on a machine that runs other tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn launch(arguments: &[&str]) -> Process {
    let mut command = command(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("demo").args(arguments);
    Process::spawn("portcullis demo", command)
}

/// Runs it to its end, and gives how it ended and what it wrote.
fn run(arguments: &[&str]) -> (ExitStatus, String) {
    let mut process = launch(arguments);
    let status = process.await_end(PATIENCE);
    (status, process.log())
}

#[test]
fn every_scheme_and_every_denial_is_decided_as_expected() {
    let (status, log) = run(&["--once"]);
    assert!(status.success(), "{log}");
    assert!(log.contains("all as expected"), "{log}");
    assert!(!log.contains("UNEXPECTED"), "{log}");

    let rows: Vec<Vec<&str>> = log
        .lines()
        .filter(|it| it.starts_with(['✔', '✘']))
        .map(|it| it.split_whitespace().collect())
        .collect();
    for scheme in [
        "basic", "api_key", "ha1b", "google", "facebook", "bearer", "key", "login",
    ] {
        // The columns behind the scheme: cache, time, unit.
        let shown = |row: &Vec<&str>| row[1] == "allow" && row[row.len() - 4] == scheme;
        assert!(rows.iter().any(shown), "{scheme}: {log}");
    }
    for (status, reason) in [
        ("401", "account_mismatch"),
        ("401", "address"),
        ("401", "conflict"),
        ("401", "disabled"),
        ("401", "expired"),
        ("423", "locked"),
        ("401", "malformed"),
        ("401", "missing"),
        ("403", "no_platform"),
        ("403", "no_rule"),
        ("401", "not_yet_valid"),
        ("400", "path"),
        ("302", "plain_http"),
        ("403", "plain_http"),
        ("403", "relation"),
        ("403", "role"),
        ("403", "scheme_not_accepted"),
        ("403", "scope"),
        ("401", "too_large"),
        ("401", "unknown"),
        ("401", "wrong"),
    ] {
        let shown = |row: &Vec<&str>| row[1] == status && row[2] == reason;
        assert!(rows.iter().any(shown), "{status} {reason}: {log}");
    }
}

#[test]
fn output_that_is_no_terminal_gets_no_colour_and_no_credential() {
    let (_, log) = run(&["--once"]);
    assert!(!log.contains('\x1b'), "{log}");
    for secret in [
        "QWxhZGRpbjpvcGVuU2VzYW1l",
        "003026bbc133714df1834b8638bb496e",
        "sample-reader",
        "4e704e98102feb915109fe2ff0cef5da",
        "EAABsample",
        "eyJhbGciOi",
    ] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn it_stays_up_on_the_ports_chosen_until_it_is_interrupted() {
    let (base, admin) = ports();
    let mut process = launch(&["--port-base", &base.to_string()]);
    process.await_log("Ctrl-C", PATIENCE);
    let ready = fetch(loopback(admin), "/readyz").expect("an admin listener");
    assert_eq!(ready.status, 200);
    process.await_log(&format!("127.0.0.1:{base} list"), PATIENCE);
    process.signal("INT");
    assert!(process.await_end(PATIENCE).success());
}

#[test]
fn a_taken_port_is_told_with_a_way_out() {
    let taken = TcpListener::bind(loopback(0)).expect("a loopback port");
    let port = taken.local_addr().expect("the port just bound").port();
    let (status, log) = run(&["--once", "--port-base", &port.to_string()]);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("127.0.0.1:{port}")), "{log}");
    assert!(log.contains("choose others with --port-base"), "{log}");
}

/// Two free ports, the second two above the first.
fn ports() -> (u16, u16) {
    loop {
        let base = free_port();
        if let Some(admin) = base.checked_add(2)
            && TcpListener::bind(loopback(admin)).is_ok()
        {
            return (base, admin);
        }
    }
}
