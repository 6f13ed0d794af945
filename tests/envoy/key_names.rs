//! What the names of keys in a store may hold: the schema that stands in `src/directory.rs`, ids, and digests; and
//! nothing of what a directory file says of anybody, nor what anybody presented, in clear, hashed or encoded.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use md5::{Digest, Md5};
use redis::cmd;
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

use crate::envoy::table::Row;

/// Members of a record that are neither secret nor personal; ids are looked at apart.
const HARMLESS: [&str; 10] = [
    "account",
    "allowed_ips",
    "enabled",
    "expires_at",
    "id",
    "parent",
    "roles",
    "scopes",
    "valid_from",
    "valid_to",
];

/// Where credentials are presented, besides `Authorization`.
const PLACES: [&str; 7] = [
    "apiKey=",
    "auth_token=",
    "ha1b=",
    "jwt=",
    "my-key=",
    "x-auth-",
    "x-my-key",
];

/// Kinds of keys that the tables and the commands must have left behind, so that none goes unseen.
const KINDS: [&str; 26] = [
    "pc:a",
    "pc:c",
    "pc:i:account_key",
    "pc:i:account_name",
    "pc:i:ha1b",
    "pc:i:key",
    "pc:i:key_account",
    "pc:i:link",
    "pc:i:login",
    "pc:i:md5",
    "pc:i:phone",
    "pc:i:realm",
    "pc:i:sha1",
    "pc:k",
    "pc:m",
    "pc:p",
    "pc:s",
    "pc:t",
    "pc:u",
    "pc:x",
    "pcu:a",
    "pcu:f",
    "pcu:k",
    "pcu:o",
    "pcu:s",
    "pcw",
];

/// The shortest text that anybody's credential could be, in bytes.
const SHORTEST: usize = 8;

/// Digits that an ordinary digest may well hold by chance, at most.
const BY_CHANCE: usize = 12;

/// What names of keys may hold, and what not.
#[derive(Debug, Default)]
pub(crate) struct KeyNames {
    platforms: BTreeSet<String>,
    ids: BTreeSet<String>,
    /// How something forbidden may stand in a name, in lower case, and what it is.
    forbidden: BTreeMap<String, String>,
}

impl KeyNames {
    /// Reads a directory file; `ids` are further ones.
    pub(crate) fn of(directory: &str, ids: &[&str]) -> Self {
        let mut names = Self::default();
        names.ids.extend(ids.iter().map(|it| (*it).to_owned()));
        let file: BTreeMap<String, Value> = serde_saphyr::from_str(directory).expect("YAML");
        for (platform, lists) in file {
            names.platforms.insert(platform);
            let lists = lists.as_object().expect("lists by name").values();
            for record in lists.flat_map(|it| it.as_array().expect("a list")) {
                names.read(record);
            }
        }
        names
    }

    /// Lets further ids stand in names: of what was made.
    pub(crate) fn know(&mut self, ids: impl IntoIterator<Item = String>) {
        self.ids.extend(ids);
    }

    fn read(&mut self, record: &Value) {
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
        self.ids.extend(text("/id").map(str::to_owned));
        for (name, value) in record.as_object().expect("a record") {
            if !HARMLESS.contains(&name.as_str()) {
                self.forbid_all(value);
            }
        }
        // What users present instead of a password.
        for login in ["/username", "/email"].into_iter().filter_map(text) {
            if let Some(password) = text("/password") {
                self.forbid([login, password, &format!("{login}:{password}")]);
            }
        }
        if let [Some(login), Some(domain), Some(password)] =
            ["/sip/login", "/sip/domain", "/sip/password"].map(text)
        {
            let forms = [
                format!("{login}:{domain}:{password}"),
                format!("{login}@{domain}:{domain}:{password}"),
                format!("{login}@:{domain}:{password}"),
            ];
            self.forbid(forms.iter().map(String::as_str));
        }
    }

    fn forbid_all(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.forbid([text.as_str()]),
            Value::Array(all) => all.iter().for_each(|it| self.forbid_all(it)),
            Value::Object(all) => all.values().for_each(|it| self.forbid_all(it)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Forbids texts and their hashes, in clear, in hexadecimal and in base64.
    pub(crate) fn forbid<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        for text in texts {
            let bytes = text.as_bytes();
            self.forbidden.insert(text.to_lowercase(), text.to_owned());
            for form in [
                bytes.to_vec(),
                Md5::digest(bytes).to_vec(),
                Sha1::digest(bytes).to_vec(),
                Sha256::digest(bytes).to_vec(),
            ] {
                let hex: String = form.iter().map(|it| format!("{it:02x}")).collect();
                let base64 = [
                    BASE64_STANDARD_NO_PAD.encode(&form),
                    BASE64_URL_SAFE_NO_PAD.encode(&form),
                ];
                for it in base64.into_iter().chain([hex]) {
                    self.forbidden.insert(it.to_lowercase(), text.to_owned());
                }
            }
        }
    }

    /// Forbids every credential that the rows present.
    pub(crate) fn forbid_presented(&mut self, rows: &[Row]) {
        for row in rows {
            let request = row.request().to_bytes();
            let request = String::from_utf8_lossy(&request);
            let (line, headers) = request.split_once("\r\n").expect("a request line");
            let query = line.split(['?', '&', ' ']);
            let headers = headers.split("\r\n").filter_map(|it| it.split_once(": "));
            let mut presented: Vec<_> = query
                .filter(|it| PLACES.iter().any(|place| it.starts_with(place)))
                .filter_map(|it| it.split_once('='))
                .map(|(_, value)| value)
                .collect();
            for (name, value) in headers {
                let name = name.to_ascii_lowercase();
                if name == "authorization" {
                    presented.extend(value.split_once(' ').map(|it| it.1));
                } else if PLACES.iter().any(|place| name.starts_with(place)) {
                    presented.push(value);
                }
            }
            // Some are only said to be credentials, and some say whose account they mean, which is an id.
            presented.retain(|it| it.len() >= SHORTEST && !self.ids.contains(*it));
            self.forbid(presented);
        }
    }

    /// Demands that every name is of the schema, that none says more than it may, and that there is one of each kind.
    #[track_caller]
    pub(crate) fn check(&self, dumped: &Dump) {
        let mut wrong = Vec::new();
        let mut kinds = BTreeSet::new();
        for name in &dumped.names {
            match self.kind(name, &dumped.peppers) {
                None => wrong.push(format!("{name} is not of the schema")),
                Some(kind) => drop(kinds.insert(kind)),
            }
            if let Some((form, text)) = self.tells(name) {
                wrong.push(format!("{name} tells {text:?}, as {form}"));
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
        let kinds: Vec<_> = kinds.iter().map(String::as_str).collect();
        assert_eq!(kinds, KINDS, "the kinds of keys that were there");
    }

    /// Gives the kind of a key whose name is as the schema has it.
    fn kind(&self, name: &str, peppers: &[String]) -> Option<String> {
        let digest = |it: &str| {
            let digits = it.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
            it.len() == 72 && digits && peppers.iter().any(|id| it.starts_with(id))
        };
        let parts: Vec<_> = name.split(':').collect();
        let (kind, platform, good) = match *parts.as_slice() {
            // A call or a canary: digits that a process draws for itself. Calls are there for a moment.
            ["pc", "n", it] | ["pcw", it] => {
                let drawn = it.len() == 16 && it.bytes().all(|it| it.is_ascii_hexdigit());
                return drawn.then(|| "pcw".to_owned());
            }
            ["pc", "m", "peppers"] => return Some("pc:m".to_owned()),
            ["pc", "p", platform] => ("pc:p".to_owned(), platform, true),
            [
                of @ ("pc" | "pcu"),
                kind @ ("a" | "c" | "k" | "s" | "u"),
                platform,
                id,
            ] if of == "pc" || matches!(kind, "a" | "k") => {
                (format!("{of}:{kind}"), platform, self.ids.contains(id))
            }
            ["pc", "i", platform, index, it] => (format!("pc:i:{index}"), platform, digest(it)),
            ["pc", kind @ ("t" | "x"), platform, it] => {
                (format!("pc:{kind}"), platform, digest(it))
            }
            ["pcu", kind @ ("o" | "s"), platform, it] => {
                (format!("pcu:{kind}"), platform, digest(it))
            }
            ["pcu", "f", platform, it, end] => {
                let digits = end.bytes().all(|it| it.is_ascii_digit());
                ("pcu:f".to_owned(), platform, digits && digest(it))
            }
            _ => return None,
        };
        (good && self.platforms.contains(platform)).then_some(kind)
    }

    /// Finds something forbidden in a name, its id apart.
    fn tells(&self, name: &str) -> Option<(&String, &String)> {
        let parts: Vec<_> = name
            .split(':')
            .filter(|it| !self.ids.contains(*it))
            .collect();
        let name = parts.join(":").to_lowercase();
        let mut forbidden = self.forbidden.iter().filter(|it| it.0.len() <= name.len());
        forbidden.find(|(form, _)| {
            let by_chance =
                form.len() <= BY_CHANCE && form.bytes().all(|it| it.is_ascii_hexdigit());
            if by_chance {
                name.split(':').any(|it| it == form.as_str())
            } else {
                name.contains(form.as_str())
            }
        })
    }
}

/// The names of all keys in a Redis, and the ids of the peppers that it was written under.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Dump {
    names: BTreeSet<String>,
    peppers: Vec<String>,
}

/// Reads them.
pub(crate) async fn dump(url: &str) -> Dump {
    let client = redis::Client::open(url).expect("a client");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("a connection");
    let mut names = BTreeSet::new();
    let mut cursor = 0_u64;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(1000);
        let page: (u64, Vec<String>) = scan.query_async(&mut connection).await.expect("a page");
        names.extend(page.1);
        cursor = page.0;
        if cursor == 0 {
            break;
        }
    }
    let mut get = cmd("GET");
    get.arg("pc:m:peppers");
    let peppers: String = get
        .query_async(&mut connection)
        .await
        .expect("the check value");
    let peppers = serde_json::from_str(&peppers).expect("a list of ids");
    Dump { names, peppers }
}
