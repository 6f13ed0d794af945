//! How commands find the server, and what they end with when they do not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::running::{CONFIG, DIRECTORY, bare, run, start};
use crate::support::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_control_socket_is_its_owners_and_goes_with_the_server() {
    let mut server = start();
    let socket = server.path("control.sock");
    let mode = fs::symlink_metadata(&socket)
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert!(server.stop().success());
    assert!(!socket.exists());
    run(&server, "user list", "").failed(1, "no server answers on unix:");
    run(&server, "user list", "").failed(1, "start it with `portcullis serve --config");
}

#[test]
fn a_second_server_is_refused_and_what_a_killed_one_left_is_replaced() {
    let mut server = start();
    let socket = server.path("control.sock");
    let config = CONFIG.replace("unix:control.sock", &format!("unix:{}", socket.display()));
    let files = [("directory.yaml", DIRECTORY)];
    let mut second = Server::launch(&config, &files);
    assert_eq!(second.await_end(PATIENCE).code(), Some(1));
    assert!(
        second.log().contains("another process answers there"),
        "{}",
        second.log()
    );
    run(&server, "user show u-1", "").done();

    server.kill();
    assert!(socket.exists());
    let third = Server::start_with(&config, &files);
    run(&third, "user show u-1", "").done();
}

#[test]
fn a_command_says_what_it_lacks() {
    let server = start();
    let cases = [
        ("user show u-404", 1, "there is no user u-404 in mine"),
        ("user disable u-404", 1, "there is no user u-404 in mine"),
        (
            "user show u-1 --platform yours",
            2,
            "no such platform; the configuration has mine",
        ),
        ("user add u-9", 2, "a user needs a `username` or an `email`"),
        (
            "user add u/9 --username x",
            2,
            "id: an id is 1 to 128 letters",
        ),
        ("user add u-9 --username x --attribute y", 2, "NAME=VALUE"),
        (
            "user add u-9 --username x --password-stdin",
            2,
            "a password has 1 to",
        ),
        ("key add k-9 --valid-to tomorrow", 2, "valid_to: not a time"),
        (
            "key add k-9 --allowed-ip here",
            2,
            "allowed_ips[0]: not an address",
        ),
        ("key rotate k-1 --overlap 1w", 2, "30s, 30m, 24h or 7d"),
        ("key rotate k-1 --overlap 999d", 2, "at most 92 days"),
        ("key rotate k-1 --secret-file /nowhere", 1, "cannot be read"),
        ("user frobnicate", 2, "unrecognized subcommand"),
    ];
    for (words, code, says) in cases {
        run(&server, words, "").failed(code, says);
    }
    let config = "/nowhere/portcullis.yaml";
    bare(["user", "list", "--config", config].into_iter(), "").failed(2, "cannot be read");
}

#[test]
fn the_help_of_each_group_of_commands_on_the_directory_has_examples() {
    for group in ["account", "key", "session", "signing", "store", "user"] {
        let help = bare([group, "--help"].into_iter(), "").done();
        let (_, examples) = help.split_once("Example").unwrap_or_default();
        let shown = format!("portcullis {group} ");
        assert!(examples.contains(&shown), "{help}");
    }
}

#[test]
fn a_configuration_without_a_control_socket_or_with_many_platforms_is_told() {
    let off = CONFIG.replace("  control: \"unix:control.sock\"\n", "");
    let server = Server::start_with(&off, &[("directory.yaml", DIRECTORY)]);
    run(&server, "user list", "").failed(2, "has no `listen.control`");

    let two = format!(
        "{CONFIG}  - {{ name: yours, hosts: [yours.example], schemes: {{ login: {{ kind: basic }} }}, rules: [{{ paths: [/**] }}] }}\n"
    );
    let server = Server::start_with(&two, &[("directory.yaml", DIRECTORY)]);
    run(&server, "user list", "").failed(2, "name the platform, as in `--platform mine`");
    run(&server, "user show u-1 --platform mine", "").done();
    run(&server, "user show u-1 --platform yours", "").failed(1, "there is no user u-1 in yours");

    for wrong in ["127.0.0.1:9004", "unix:", "control.sock"] {
        let config = CONFIG.replace("unix:control.sock", wrong);
        let mut server = Server::launch(&config, &[("directory.yaml", DIRECTORY)]);
        assert_eq!(server.await_end(PATIENCE).code(), Some(2));
        let log = server.log();
        assert!(
            log.contains("listen.control: the control socket is `unix:PATH`"),
            "{log}"
        );
    }
}
