//! The examples in `deploy/examples` run as they stand. Those for Kubernetes are in `tests/helm`.
//!
//! No test has Docker, so a service of a compose file is started as Docker would start it: its command and environment, on files
//! that lie where its volumes put them. Only ports and the Redis's host are others, as tests run beside each other.

mod support;

/// In `tests/examples/`.
mod examples {
    pub(crate) mod composed;
}

use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use examples::composed::{Composed, services};
use support::client::{Request, exchange};
use support::envoy::Configured;
use support::http::{Response, fetch};
use support::redis::{self, Product, RedisServer};
use support::server::Server;
use support::upstream::Upstream;
use support::{free_port, loopback};

const COMPOSED: &str = "deploy/examples/envoy-redis";
const OWN: &str = "deploy/examples/own-platform";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).expect("YAML")
}

/// The lines of a document that a shell is to read, without what is said of them; one that goes on behind a `\` is one.
fn shell_lines(document: &str) -> Vec<String> {
    let text = read(document).replace("\\\n", " ");
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|it| it.split("\n```").next());
    let lines = blocks.flat_map(str::lines);
    let lines = lines.map(|it| it.split(" # ").next().unwrap_or_default().trim());
    lines.map(str::to_owned).collect()
}

/// Gives the text with other ports in the place of those of the files.
fn with_ports(text: &str, ports: &[(u16, u16)]) -> String {
    ports.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(&from.to_string()), "{from}");
        text.replace(
            &format!("port_value: {from} "),
            &format!("port_value: {to} "),
        )
        .replace(&format!(":{from}\""), &format!(":{to}\""))
    })
}

async fn get(edge: u16, headers: &[(&str, &str)]) -> Response {
    let request = Request::new("GET", "/orders/7").header("host", "localhost");
    let request = headers
        .iter()
        .fold(request, |it, (name, value)| it.header(name, value));
    exchange(loopback(edge), &request).await
}

#[tokio::test]
async fn the_composed_envoy_asks_a_portcullis_that_knows_from_a_redis_who_is_who() {
    let composed = Composed::set_up();
    let redis = composed.service("redis");
    let options: Vec<_> = redis.command[1..].iter().map(String::as_str).collect();
    let mut store = RedisServer::start_with(Product::Redis, &options);

    let [edge, stand_in, grpc, admin] = [(); 4].map(|()| free_port());
    let (import, portcullis) = (composed.service("import"), composed.service("portcullis"));
    for it in [&import, &portcullis] {
        let config = it.path("/etc/portcullis/portcullis.yaml");
        let text = fs::read_to_string(&config).expect("a configuration");
        let text = with_ports(&text, &[(9001, grpc), (9003, admin)]);
        fs::write(&config, text).expect("ours");
    }
    let url = store.url();
    let imported = import.run(&url);
    assert!(imported.contains("2 records: 2 created"), "{imported}");
    let mut server = portcullis.start(&url);
    server.await_start("ready", || {
        let answer = fetch(loopback(admin), "/readyz").ok()?;
        (answer.status == 200).then_some(())
    });
    let probe: Vec<_> = portcullis.healthcheck[2..]
        .iter()
        .map(|it| it.replace("9001", &grpc.to_string()))
        .collect();
    let probed = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(probe)
        .status();
    assert!(probed.is_ok_and(|it| it.success()));
    let envoy = fs::read_to_string(composed.service("envoy").path("/etc/envoy/envoy.yaml"));
    let ports = [(8080, edge), (8000, stand_in), (9001, grpc)];
    let _envoy = Configured::start(&with_ports(&envoy.expect("a file"), &ports), loopback(edge));

    let readme = read(&format!("{COMPOSED}/README.md"));
    let (_, key) = readme
        .split_once("-H 'x-my-key: ")
        .expect("a key in the README");
    let (key, _) = key.split_once('\'').expect("its end");
    let refused = get(edge, &[]).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    let admitted = get(edge, &[("x-my-key", key)]).await;
    assert_eq!(admitted.status, 200, "{admitted:?} {}", server.log());
    let seen = admitted.text();
    assert!(
        seen.contains("x-auth-account: acme") && seen.contains("x-my-key: -"),
        "{seen}"
    );

    // The client's address behind a port that Docker publishes.
    let header = format!("x-my-key: {key}");
    let asked = ["explain", "--platform", "mine", "--peer", "172.18.0.1"];
    let page = "http://localhost:8080/orders/7";
    let asked = [&asked[..], &["-H", &header, page, "--config"]].concat();
    let (done, said) = portcullis.command(&asked, &url);
    let verdict = said.lines().find_map(|it| it.strip_prefix("verdict"));
    let verdict = verdict.unwrap_or_default().trim();
    assert!(done && verdict.starts_with("ALLOW"), "{said}");

    // Who serves cannot write, and hears at once of who does.
    let disable = ["key", "disable", "shop", "--platform", "mine", "--config"];
    let (done, said) = portcullis.command(&disable, &url);
    assert!(!done && said.contains("users.acl"), "{said}");
    let (done, said) = import.command(&disable, &url);
    assert!(done && said.contains("refused by 1 of 1 process"), "{said}");
    assert_eq!(get(edge, &[("x-my-key", key)]).await.status, 401);
    store.stop();
    let fault = get(edge, &[("x-my-key", "a-key-that-nobody-has-asked-with")]).await;
    assert_eq!(fault.status, 503, "{fault:?}");
    server.stop();
}

#[test]
fn what_is_composed_is_pinned_without_rights_and_open_to_this_machine_alone() {
    let composed = Composed::set_up();
    for (name, service) in services(&composed) {
        let image = service["image"].as_str().expect("an image");
        let tag = image.rsplit_once(':').map(|it| it.1).unwrap_or_default();
        assert!(
            tag.chars().any(|it| it.is_ascii_digit()),
            "{name}: {image} has no version"
        );
        let of_owner = "${OWNER:?run ./setup first}";
        assert_eq!(service["user"], of_owner, "{name}");
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(
            service["security_opt"],
            serde_json::json!(["no-new-privileges:true"]),
            "{name}"
        );
        assert!(service.get("privileged").is_none(), "{name}");
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(
                port.as_str().is_some_and(|it| it.starts_with("127.0.0.1:")),
                "{name}: {port}"
            );
        }
        let folder = composed.folder();
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let volume = volume.as_str().expect("SOURCE:TARGET");
            let (source, rest) = volume.split_once(':').expect("SOURCE:TARGET");
            assert!(folder.join(source).exists(), "{name}: {source}");
            assert!(
                rest.ends_with(":ro") || source == "./data",
                "{name}: {volume}"
            );
        }
        for other in service["depends_on"]
            .as_object()
            .into_iter()
            .flat_map(|it| it.keys())
        {
            assert!(composed.has(other), "{name} depends on {other}");
        }
        if let Some(build) = service.get("build") {
            let context = Path::new(env!("CARGO_MANIFEST_DIR")).join(COMPOSED);
            let context = context.join(build["context"].as_str().expect("a folder"));
            let file = build["dockerfile"].as_str().expect("a file");
            assert!(context.join(file).is_file(), "{name}: {file}");
        }
        let environment = service["environment"].to_string();
        assert!(
            !environment.contains("PASSWORD\""),
            "{name} has a secret in its environment"
        );
    }
    // On the loopback of the Envoy: nobody else can ask.
    let portcullis = composed.value("portcullis");
    assert_eq!(portcullis["network_mode"], "service:envoy");
    let listens = &yaml(&format!("{COMPOSED}/portcullis.yaml"))["listen"];
    assert_eq!(listens["grpc"], serde_json::json!(["127.0.0.1:9001"]));
    // What the one may not know is not there for it.
    let mounted = portcullis["volumes"].to_string();
    assert!(
        !mounted.contains("issuer") && !mounted.contains("directory"),
        "{mounted}"
    );
    assert!(composed.set_up_again().contains("there already"));
}

/// Runs the example's `./setup` anew as a user of this number, and gives `.env` and whom files were given to.
fn set_up_as(user: &str) -> (String, String) {
    let composed = Composed::set_up();
    let folder = composed.folder();
    fs::remove_dir_all(folder.join("secrets")).expect("a folder");
    let tools = folder.join("tools");
    fs::create_dir(&tools).expect("a folder");
    for (name, line) in [
        ("id", format!("echo {user}")),
        ("chown", "echo \"$@\" >> owned".to_owned()),
    ] {
        let tool = tools.join(name);
        fs::write(&tool, format!("#!/bin/sh\n{line}\n")).expect("a file");
        fs::set_permissions(&tool, Permissions::from_mode(0o755)).expect("ours");
    }
    let path = std::env::var("PATH").expect("a PATH");
    let ran = Command::new(folder.join("setup"))
        .env("PATH", format!("{}:{path}", tools.display()))
        .output();
    assert!(ran.is_ok_and(|it| it.status.success()));
    let owned = fs::read_to_string(folder.join("owned")).unwrap_or_default();
    (
        fs::read_to_string(folder.join(".env")).expect("a file"),
        owned,
    )
}

#[test]
fn containers_run_as_whoever_set_them_up_and_never_as_root() {
    let of_user = ("OWNER=1000:1000\n".to_owned(), String::new());
    assert_eq!(set_up_as("1000"), of_user);
    let of_root = (
        "OWNER=65532:65532\n".to_owned(),
        "-R 65532:65532 secrets.new data\n".to_owned(),
    );
    assert_eq!(set_up_as("0"), of_root);
}

#[test]
fn the_composed_files_say_what_those_in_deploy_envoy_say() {
    let envoy = read("deploy/envoy/envoy.yaml");
    let (_, envoy) = envoy.split_once('\n').expect("a heading");
    let composed = read(&format!("{COMPOSED}/envoy.yaml"));
    let (_, composed) = composed.split_once('\n').expect("a heading");
    let [from, to] = ["127.0.0.1", "0.0.0.0"].map(|it| format!("address: {it}, port_value: 8080"));
    assert_eq!(composed, envoy.replace(&from, &to));
    let [own, theirs] = [COMPOSED, "deploy/envoy"].map(|it| yaml(&format!("{it}/portcullis.yaml")));
    for key in ["platforms", "client_address", "platform_from"] {
        assert_eq!(own[key], theirs[key], "{key}");
    }
    let users = read(&format!("{COMPOSED}/users.acl"));
    assert_eq!(users, read("deploy/redis/users.acl"));
    // There the client's address is none of Docker's.
    let mut theirs = yaml("deploy/envoy/directory.yaml");
    let key = theirs["mine"]["api_keys"][0].as_object_mut();
    assert!(key.expect("a key").remove("allowed_ips").is_some());
    assert_eq!(yaml(&format!("{COMPOSED}/directory.yaml")), theirs);
}

/// A server that a shell has left in the background; dropping it ends it, if it still runs.
struct Daemon {
    pid_file: PathBuf,
    port: u16,
}

impl Daemon {
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Waits until it takes connections, or takes none any more.
    fn until(&self, listens: bool) {
        let begun = Instant::now();
        while TcpStream::connect(loopback(self.port)).is_ok() != listens {
            assert!(begun.elapsed() < Self::PATIENCE, "listens: {}", !listens);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(&self.pid_file) {
            // Asked to end, it would not without its folder, which goes next.
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
        }
    }
}

#[test]
fn the_lines_without_docker_begin_a_redis_of_their_own_fill_it_and_end_it() {
    const PORT: &str = "6380";
    let composed = Composed::set_up();
    let programs = tempfile::tempdir().expect("a temporary directory");
    let portcullis = PathBuf::from(env!("CARGO_BIN_EXE_portcullis"));
    let (_, redis) = redis::binary(Product::Redis);
    for (name, path) in [("portcullis", portcullis), ("redis-server", redis)] {
        symlink(path, programs.path().join(name)).expect("a link");
    }
    let path = std::env::var("PATH").expect("a PATH");
    let path = format!("{}:{path}", programs.path().display());
    let daemon = Daemon {
        pid_file: composed.folder().join("data/redis.pid"),
        port: free_port(),
    };
    let lines = shell_lines(&format!("{COMPOSED}/README.md"));
    let line = |part: &str| {
        let line = lines.iter().find(|it| it.contains(part));
        let line = line.unwrap_or_else(|| panic!("{part} is not in {lines:#?}"));
        line.replace(PORT, &daemon.port.to_string())
    };
    let url = line("export REDIS_URL=");
    let run = |part: &str| {
        let ran = Command::new("sh")
            .args(["-euc", &format!("{url}\n{}", line(part))])
            .current_dir(composed.folder())
            .env("PATH", &path)
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(ran.status.success(), "{part}: {said}");
        said
    };

    run("redis-server ");
    daemon.until(true);
    let imported = run("portcullis import ");
    assert!(imported.contains("2 records: 2 created"), "{imported}");
    run("portcullis config check ");
    let revoked = run("portcullis key revoke ");
    assert!(revoked.contains("is revoked"), "{revoked}");
    let log = fs::read_to_string(composed.folder().join("data/redis.log"));
    assert!(log.is_ok_and(|it| it.contains("Ready to accept connections")));
    run("kill ");
    daemon.until(false);
}

#[test]
fn the_platform_of_ones_own_decides_as_its_readme_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(OWN);
    let readme = read(&format!("{OWN}/README.md"));
    let commands = readme
        .lines()
        .filter(|it| it.starts_with("portcullis explain "));
    let mut asked = 0;
    for line in commands {
        let (command, says) = line.split_once(" # ").expect("what it says");
        let words = command.split_whitespace().skip(1);
        let explained = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(words)
            .current_dir(&folder)
            .output()
            .expect("the binary that was built");
        let text = String::from_utf8(explained.stdout).expect("UTF-8");
        let verdict = text.lines().find_map(|it| it.strip_prefix("verdict"));
        let verdict = verdict
            .unwrap_or_else(|| panic!("{command}: {text}"))
            .trim();
        assert!(
            verdict.starts_with(says.trim()),
            "{command}: {verdict} is not {says}"
        );
        asked += 1;
    }
    assert_eq!(asked, 4);
}

#[tokio::test]
async fn the_platform_of_ones_own_serves_behind_the_envoy_of_deploy_envoy() {
    let readme = read(&format!("{OWN}/README.md"));
    assert!(readme.contains("say `https: off` here"), "{readme}");
    let config = read(&format!("{OWN}/portcullis.yaml"))
        .replace(":9001\"", ":{grpc}\"")
        .replace(":9003\"", ":{admin}\"")
        .replace("https: deny", "https: off");
    let config = format!(
        "{config}\n# Hashing takes its time in a build like this.\ncheck: {{ deadline_ms: 20000 }}\n"
    );
    let directory = read(&format!("{OWN}/directory.yaml"));
    let server = Server::start_with(&config, &[("directory.yaml", &directory)]);
    let upstream = Upstream::start();
    let edge = free_port();
    let envoy = read("deploy/envoy/envoy.yaml");
    let (listener, clusters) = envoy.split_once("  clusters:").expect("clusters");
    let listener = with_ports(listener, &[(8080, edge), (8000, free_port())]);
    let listener = listener
        .replace(
            "context_extensions: { platform: mine }",
            "context_extensions: { platform: parcels }",
        )
        .replace("timeout: 0.25s", "timeout: 25s");
    let clusters = with_ports(
        clusters,
        &[
            (9001, server.grpc().port()),
            (8000, upstream.address().port()),
        ],
    );
    let _envoy = Configured::start(&format!("{listener}  clusters:{clusters}"), loopback(edge));
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let request = Request::new(method, path).header("host", "parcels.example.com");
        let request = headers
            .iter()
            .fold(request, |it, (name, value)| it.header(name, value));
        exchange(loopback(edge), &request).await
    };
    let lines = shell_lines(&format!("{OWN}/README.md"));
    let line = lines.iter().find(|it| it.starts_with("curl "));
    assert_eq!(
        line.expect("a request"),
        "curl -i -H 'host: parcels.example.com' -H @key.txt http://localhost:8080/v1/parcels/7"
    );
    let header = read(&format!("{OWN}/key.txt"));
    let (name, value) = header.trim().split_once(": ").expect("a header");
    let answer = ask("GET", "/v1/parcels/7", &[(name, value)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    const KEY: (&str, &str) = ("authorization", "Key an-example-key-5d2b9f7a1c3e8046");
    // dora:an-example-password-1, carl:an-example-password-2
    const DORA: (&str, &str) = (
        "authorization",
        "Basic ZG9yYTphbi1leGFtcGxlLXBhc3N3b3JkLTE=",
    );
    const CARL: (&str, &str) = (
        "authorization",
        "Basic Y2FybDphbi1leGFtcGxlLXBhc3N3b3JkLTI=",
    );
    for (what, method, path, headers, want) in [
        ("a key reads", "GET", "/v1/parcels/7", &[KEY][..], 200),
        ("and does not write", "POST", "/v1/parcels/7", &[KEY], 403),
        ("a clerk reads", "GET", "/v1/parcels/7", &[CARL], 200),
        ("and does not write", "PATCH", "/v1/parcels/7", &[CARL], 403),
        (
            "a dispatcher writes",
            "PATCH",
            "/v1/parcels/7",
            &[DORA],
            200,
        ),
        ("and sees the stock", "GET", "/v1/stock/3", &[DORA], 200),
        ("a key does not", "GET", "/v1/stock/3", &[KEY], 403),
        ("anybody", "GET", "/v1/status", &[], 200),
        ("elsewhere nobody", "GET", "/v2/parcels", &[DORA], 403),
        ("nobody", "GET", "/v1/parcels/7", &[], 401),
    ] {
        let answer = ask(method, path, headers).await;
        assert_eq!(answer.status, want, "{what}: {answer:?}");
    }
    let seen = upstream.seen();
    assert_eq!(seen[0].headers_named("x-parcels-customer"), ["acme"]);
    assert_eq!(seen[0].headers_named("authorization"), [""; 0]);
    let dora = seen
        .iter()
        .find(|it| it.headers_named("x-parcels-staff") == ["u-1"]);
    assert!(dora.is_some(), "{seen:?}");
    let refused = ask(
        "POST",
        "/v1/parcels/7",
        &[KEY, ("accept", "application/xml")],
    )
    .await;
    assert!(
        refused.text().contains("<error><code>403</code>"),
        "{refused:?}"
    );
    let refused = ask("GET", "/v1/parcels/7", &[]).await;
    assert_eq!(refused.json()["error"]["code"], "unauthenticated");
    assert_eq!(refused.header("cache-control"), Some("no-store"));
}
