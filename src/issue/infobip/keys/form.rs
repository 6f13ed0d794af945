//! What a client asks an API key to be: its JSON read into fields, each checked by itself.
//!
//! All that is wrong is told at once, by field and never by value. What fields may be beside each
//! other, and how large they make a record, is [`super::merge`]'s to say.

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::directory::file::checks::parse_net;
use crate::issue::infobip::keys::time::{self, To};
use crate::issue::infobip::keys::words::{ACTIONS, PERMISSIONS, PUBLISHED};
use crate::issue::infobip::violations::Violations;
use crate::policy::Policy;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// The longest id of an application or an entity, in bytes.
const MAX_ID_BYTES: usize = 128;

/// The longest text that is an address or a range, in bytes.
const MAX_TEXT_BYTES: usize = 64;

/// How many addresses and ranges a key may be bound to, and how many applications and entities.
const MAX_ITEMS: usize = 100;

/// How many scopes a key may have: some more than are published.
const MAX_SCOPES: usize = 200;

/// What a request says; `None`: it says nothing of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Form {
    pub(super) account: Option<String>,
    pub(super) name: Option<String>,
    pub(super) addresses: Option<Vec<IpNet>>,
    /// In Unix seconds.
    pub(super) valid_from: Option<u64>,
    pub(super) valid_to: Option<u64>,
    pub(super) enabled: Option<bool>,
    pub(super) permissions: Option<Vec<String>>,
    pub(super) platform: Option<Vec<Link>>,
    pub(super) scopes: Option<Vec<String>>,
}

/// An application, or an entity of one, that a key is linked to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Link {
    pub(super) application: String,
    pub(super) entity: Option<String>,
    pub(super) action: Option<String>,
}

impl Form {
    /// Reads the fields of a request. A field that is not known is refused: misspelt, `allowedIPs`
    /// would leave a key open to the world.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn read(fields: Map<String, Value>, policy: &Policy) -> Result<Self, Violations> {
        let mut form = Self::default();
        let mut wrong = Violations::default();
        for (field, value) in fields {
            let it = &mut Field {
                path: field.clone(),
                wrong: &mut wrong,
            };
            match (field.as_str(), value) {
                // As libraries write what was not set.
                (_, Value::Null) => {}
                ("accountId", value) => form.account = it.text(&value, MAX_ID_BYTES),
                ("name", value) => form.name = it.text(&value, MAX_NAME_BYTES),
                ("allowedIPs", value) => form.addresses = it.list(&value, MAX_ITEMS, address),
                ("validFrom", value) => form.valid_from = it.time(&value, To::Next),
                ("validTo", value) => form.valid_to = it.time(&value, To::Previous),
                ("enabled", Value::Bool(enabled)) => form.enabled = Some(enabled),
                ("enabled", _) => form.enabled = it.is("must be true or false"),
                ("permissions", value) => {
                    form.permissions = it.list(&value, PERMISSIONS.len(), permission);
                }
                ("platform", value) => form.platform = it.list(&value, MAX_ITEMS, link),
                ("scopeGuids", value) => {
                    let scope = |it: &mut Field<'_>, value: &Value| scope(it, value, policy);
                    form.scopes = it.list(&value, MAX_SCOPES, scope);
                }
                _ => drop(it.is::<()>("is not known here")),
            }
        }
        wrong.none().map(|()| form)
    }
}

/// A place in a request, and where to tell what is wrong there.
struct Field<'v> {
    path: String,
    wrong: &'v mut Violations,
}

impl Field<'_> {
    /// Tells what is wrong here, so that there is nothing to read.
    fn is<T>(&mut self, wrong: &str) -> Option<T> {
        self.wrong.add(&self.path, wrong);
        None
    }

    fn word(&mut self, value: &Value, known: &[&str]) -> Option<String> {
        match known.iter().find(|it| value == **it) {
            Some(word) => Some((*word).to_owned()),
            None => self.is(&format!("must be one of {}", known.join(", "))),
        }
    }

    fn text(&mut self, value: &Value, most: usize) -> Option<String> {
        let text = value.as_str().unwrap_or_default();
        let fits = (1..=most).contains(&text.len());
        if fits && !text.chars().any(char::is_control) && !text.trim().is_empty() {
            return Some(text.to_owned());
        }
        let what = "bytes, not all of them spaces and none a control character";
        self.is(&format!("must be a text of 1 to {most} {what}"))
    }

    /// Reads a list, of which what stands in it twice counts once.
    fn list<T: PartialEq>(
        &mut self,
        value: &Value,
        most: usize,
        item: impl Fn(&mut Field<'_>, &Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(values) = value.as_array().filter(|it| it.len() <= most) else {
            return self.is(&format!("must be a list of at most {most}"));
        };
        let mut items = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let mut field = Field {
                path: format!("{}[{index}]", self.path),
                wrong: self.wrong,
            };
            if let Some(it) = item(&mut field, value)
                && !items.contains(&it)
            {
                items.push(it);
            }
        }
        Some(items)
    }

    fn time(&mut self, value: &Value, to: To) -> Option<u64> {
        match value.as_str().and_then(|it| time::parse(it, to)) {
            Some(time) => Some(time),
            None => self.is(
                "must be a time from 1970 to 9999, in UTC such as 2030-01-31T10:00:00, or with a \
                 zone (RFC 3339)",
            ),
        }
    }
}

fn address(field: &mut Field<'_>, value: &Value) -> Option<IpNet> {
    let text = value.as_str().filter(|it| it.len() <= MAX_TEXT_BYTES);
    match parse_net(text.unwrap_or_default()) {
        Ok(net) => Some(net),
        Err(wrong) => field.is(&format!("is {wrong}")),
    }
}

fn permission(field: &mut Field<'_>, value: &Value) -> Option<String> {
    field.word(value, &PERMISSIONS.map(|it| it.name))
}

/// A scope's name is its GUID.
fn scope(field: &mut Field<'_>, value: &Value, policy: &Policy) -> Option<String> {
    let known = |it: &&str| PUBLISHED.contains(it) || policy.names_scope(it);
    match value.as_str().filter(known) {
        Some(scope) => Some(scope.to_owned()),
        None => field.is("is no scope of this platform"),
    }
}

fn link(field: &mut Field<'_>, value: &Value) -> Option<Link> {
    let Value::Object(members) = value else {
        return field.is("must be an object");
    };
    let mut within = |name: &str, read: &dyn Fn(&mut Field<'_>) -> Option<String>| {
        let path = format!("{}.{name}", field.path);
        let wrong = &mut *field.wrong;
        read(&mut Field { path, wrong })
    };
    let (mut application, mut entity, mut action) = (None, None, None);
    for (name, value) in members.iter().filter(|it| !it.1.is_null()) {
        let id = |it: &mut Field<'_>| it.text(value, MAX_ID_BYTES);
        match name.as_str() {
            "applicationId" => application = within(name, &id),
            "entityId" => entity = within(name, &id),
            "action" => action = within(name, &|it| it.word(value, &ACTIONS)),
            // It is ours to say, and comes back with what was read.
            "key" => {}
            _ => drop(within(name, &|it| it.is("is not known here"))),
        }
    }
    if members.get("applicationId").is_none_or(Value::is_null) {
        within("applicationId", &|it| it.is("is required"));
    }
    Some(Link {
        application: application.unwrap_or_default(),
        entity,
        action,
    })
}
