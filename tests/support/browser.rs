//! A real Chromium without a window, driven over `WebDriver` (W3C) as a person would: it opens pages, presses keys, and
//! tells what it shows.
//!
//! ```ignore
//! let browser = Browser::start();
//! browser.open(&format!("http://{}/", server.admin()));
//! browser.await_text("#allowed", "1");
//! browser.press(TAB);
//! ```
//!
//! - What pages log, and what they ask for and where, is kept: [`Browser::complaints`], [`Browser::requests`].
//! - The binaries are those that `./tests/run` installs, or what `PORTCULLIS_TEST_CHROMEDRIVER` and
//!   `PORTCULLIS_TEST_CHROMIUM` name; a missing one fails the test.
//! - It dies with the value: the driver ends it, and where the driver is killed, the pipe between them ends it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::Response;
use super::process::{Process, command};
use super::{free_port, installed, loopback};

/// Keys, as `WebDriver` writes them (§17.4.2).
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A browser with one page; dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    address: SocketAddr,
    session: String,
    // In this order: the driver first.
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts one, with an empty profile.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let mut command = command(installed("chromedriver", "PORTCULLIS_TEST_CHROMEDRIVER"));
        command.arg(format!("--port={port}"));
        let driver = Process::spawn_in(profile.path(), "chromedriver", command);
        let address = loopback(port);
        driver.await_start("ready", || {
            let answer = exchange(address, "GET", "/status", &Value::Null)?;
            (answer["ready"] == true).then_some(())
        });
        let chromium = installed("chromium", "PORTCULLIS_TEST_CHROMIUM");
        let data = profile.path().join("profile");
        // It runs as whoever runs the tests, often root in a container, where its sandbox cannot be made; it opens nothing
        // but pages of ours, and it is told to ask nobody else by itself.
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--remote-debugging-pipe",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", data.display()),
        ];
        let options = json!({ "binary": chromium, "args": arguments });
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "timeouts": { "script": PATIENCE.as_millis() as u64 },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let made = exchange(address, "POST", "/session", &wanted).expect("an answer");
        let session = made["sessionId"].as_str();
        let session = session.unwrap_or_else(|| panic!("no session: {made}"));
        Self {
            address,
            session: session.to_owned(),
            _driver: driver,
            _profile: profile,
        }
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// Runs the body of a function in the page, and gives what it returns.
    pub fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.ask("POST", "/execute/sync", &body)
    }

    /// Waits until an expression is true in the page, which is looked at whenever the page changes; panics with what
    /// the page says where it is not within a minute and a half.
    pub fn await_that(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0];
             const holds = () => {{ try {{ return {expression}; }} catch {{ return false; }} }};
             if (holds()) return done();
             const observer = new MutationObserver(() => {{
               if (holds()) {{ observer.disconnect(); done(); }}
             }});
             observer.observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});"
        );
        let body = json!({ "script": script, "args": [] });
        let path = format!("/session/{}/execute/async", self.session);
        let answer = exchange(self.address, "POST", &path, &body).expect("an answer");
        if answer.get("error").is_some() {
            let text = self.run("return document.body.innerText;");
            panic!("{expression} did not become true: {answer}; the page says: {text}");
        }
    }

    /// Presses a key and lets it go.
    pub fn press(&self, key: &str) {
        let key = |kind: &str| json!({ "type": kind, "value": key });
        let actions =
            json!([{ "type": "key", "id": "keys", "actions": [key("keyDown"), key("keyUp")] }]);
        self.ask("POST", "/actions", &json!({ "actions": actions }));
    }

    /// Asks the browser itself (Chrome `DevTools` Protocol).
    pub fn tell(&self, what: &str, params: &Value) -> Value {
        let body = json!({ "cmd": what, "params": params });
        self.ask("POST", "/goog/cdp/execute", &body)
    }

    /// Has pages shown as on a screen of this size, in CSS pixels.
    pub fn resize(&self, width: u32, height: u32) {
        let params =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tell("Emulation.setDeviceMetricsOverride", &params);
    }

    /// Has pages told that the person likes it `dark`, or `light`.
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.tell(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [feature] }),
        );
    }

    /// Writes what the whole page looks like into a file (PNG).
    pub fn picture(&self, file: &Path) {
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.tell("Page.captureScreenshot", &params);
        let picture = picture["data"].as_str().expect("a picture");
        let picture = BASE64_STANDARD.decode(picture).expect("Base64");
        std::fs::write(file, picture).expect("a writable place");
    }

    /// Gives what was logged to the console since this was asked last.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser");
        entries.iter().map(|it| it["message"].to_string()).collect()
    }

    /// Gives the URLs that pages asked for since this was asked last.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.log("performance");
        let asked = entries.iter().filter_map(|it| {
            let event: Value = serde_json::from_str(it["message"].as_str()?).ok()?;
            let event = &event["message"];
            let url = event["params"]["request"]["url"].as_str()?;
            // It begins with a page of its own.
            let is_its_own = url.starts_with("chrome:");
            (event["method"] == "Network.requestWillBeSent" && !is_its_own).then(|| url.to_owned())
        });
        asked.collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.ask("POST", "/se/log", &json!({ "type": kind }));
        entries.as_array().expect("entries").clone()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let answer = exchange(self.address, method, &path, body).expect("an answer");
        assert!(answer.get("error").is_none(), "{path}: {answer}");
        answer
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser, too.
        let path = format!("/session/{}", self.session);
        let _ = exchange(self.address, "DELETE", &path, &Value::Null);
    }
}

/// Sends a command and gives the `value` of its answer (`WebDriver` §6.3); `None` where there is no answer.
fn exchange(to: SocketAddr, method: &str, path: &str, body: &Value) -> Option<Value> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE + PATIENCE)).ok()?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut bytes = Vec::new();
    loop {
        if let Some((answer, _)) = Response::parse(&bytes, false, false) {
            return Some(answer.json()["value"].clone());
        }
        let mut part = vec![0; 1 << 16];
        match stream.read(&mut part).ok()? {
            0 => return None,
            length => bytes.extend_from_slice(&part[..length]),
        }
    }
}
