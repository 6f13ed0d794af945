//! What the endpoints that issue are sent: they answer, never with a fault, and a login only with what
//! is good for one.
//!
//! `PLATFORM CALLER METHOD TARGET` on the first line, the media type on the second, and the body. The
//! caller is a number, or `-` for nobody.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv6Addr};

use portcullis::identity::Identity;
use portcullis::request::query::{Query, decode_parameter};
use serde_json::Value;

use super::world::{Asked, World};

/// What logs in where it stands in a body, by endpoint.
const LOGINS: [(&str, &str, &[&str]); 4] = [
    (
        "PUT",
        "user_auth",
        &[
            "82a2dc91686ec828a67152d45a5c5ef7",
            "055cf886cb9b5c5867083463867c527ace0f8ecc",
        ],
    ),
    (
        "PUT",
        "api_auth",
        &["822b33ad87c148a0a20a5ba7cd5ebcaa68d36a18e7aad165554903f52ca82757"],
    ),
    ("POST", "session", &["openSesame"]),
    ("POST", "token", &["openSesame"]),
];

/// After so many, the world begins again: what was made in it stays in memory.
const RUNS: u64 = 4000;

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
    static AGE: Cell<u64> = const { Cell::new(0) };
}

pub(super) fn run(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |it| *it == b'\n');
    let mut line = || lines.next();
    let (Some(first), Some(content_type), Some(body)) = (line(), line(), line()) else {
        return;
    };
    let (Ok(first), Ok(content_type)) = (str::from_utf8(first), str::from_utf8(content_type))
    else {
        return;
    };
    let words: Vec<&str> = first.splitn(4, ' ').collect();
    let [platform, caller, method, target] = words[..] else {
        return;
    };
    let is_revoked = WORLD.with_borrow(|world| {
        let callers = world.callers.iter().filter(|it| *it.platform == *platform);
        let callers: Vec<&Identity> = callers.collect();
        let number: Option<usize> = caller.parse().ok();
        let caller = number.and_then(|it| callers.get(it % callers.len().max(1)));
        let asked = Asked {
            caller: caller.map(|it| Identity::clone(it)),
            client: Some(another_client()),
            method,
            target,
            content_type,
        };
        let Some((status, said)) = world.ask(platform, &asked, body) else {
            return false;
        };
        let login = login(&asked);
        // To ask about nobody what is about somebody is the configuration's fault.
        let is_excused = asked.caller.is_none() && login.is_none();
        assert!(
            status < 500 || is_excused,
            "{status}: {}",
            String::from_utf8_lossy(&said)
        );
        if let Some(secrets) = login.filter(|_| status < 300) {
            is_logged_in(secrets, body);
        }
        caller.is_some() && status == 401
    });
    AGE.set(AGE.get() + 1);
    if is_revoked && !callers_are_good() || AGE.get() > RUNS {
        WORLD.replace(World::new());
        AGE.set(0);
    }
}

/// Another with each run: else there would soon be too many failures.
fn another_client() -> IpAddr {
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
    NEXT.set(NEXT.get() + 1);
    Ipv6Addr::from((0x2001_0db8_u128 << 96) + (u128::from(NEXT.get()) << 64)).into()
}

/// Whether those who were admitted at first still would be.
fn callers_are_good() -> bool {
    WORLD.with_borrow(|world| {
        world.callers.iter().all(|caller| {
            let asked = Asked {
                caller: Some(caller.clone()),
                client: Some(another_client()),
                method: "GET",
                target: "/nothing/here",
                content_type: "",
            };
            world
                .ask(&caller.platform, &asked, b"")
                .is_none_or(|it| it.0 != 401)
        })
    })
}

/// What logs in at this endpoint, if it is one.
fn login(asked: &Asked<'_>) -> Option<&'static [&'static str]> {
    let path = asked.target.split('?').next().unwrap_or_default();
    let last = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let login = LOGINS
        .iter()
        .find(|it| it.0 == asked.method && it.1 == last);
    login.map(|it| it.2)
}

fn is_logged_in(secrets: &[&str], body: &[u8]) {
    let mut texts = Vec::new();
    if let Ok(value) = serde_json::from_slice(body) {
        add_texts(&value, &mut texts);
    }
    if let Ok(text) = str::from_utf8(body) {
        let form = Query::parse(text);
        let values = form.pairs().filter_map(|it| decode_parameter(it.1));
        texts.extend(values.map(|it| it.into_owned()));
    }
    assert!(
        texts.iter().any(|it| secrets.contains(&&**it)),
        "a login without a secret"
    );
}

fn add_texts(value: &Value, to: &mut Vec<String>) {
    match value {
        Value::String(it) => to.push(it.clone()),
        Value::Array(all) => all.iter().for_each(|it| add_texts(it, to)),
        Value::Object(all) => all.values().for_each(|it| add_texts(it, to)),
        _ => {}
    }
}
