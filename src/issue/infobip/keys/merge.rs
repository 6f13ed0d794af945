//! What becomes of a key when a client asks it to be otherwise: the fields together, and the record
//! that they make.
//!
//! A key's permissions and links stand in its record's attributes, which no verdict reads. What counts
//! is its scopes, and whether it is good for nothing else.

use serde::Serialize;
use serde_json::{Value, json};

use crate::decision::Fault;
use crate::directory::records::ApiKey;
use crate::issue::infobip::keys::form::{Form, Link};
use crate::issue::infobip::keys::id;
use crate::issue::infobip::keys::words::{PERMISSIONS, PUBLIC_API, WEB_SDK};
use crate::issue::infobip::violations::Violations;

/// The attributes of a record that hold what it does not know itself.
const PERMISSIONS_OF: &str = "permissions";
const PLATFORM_OF: &str = "platform";

/// How many bytes the addresses of a record may have, as JSON: those of 50 of the longest.
///
/// With the other bounds, this keeps a record that is made here below 8 KiB, since a list of keys reads
/// up to 1000 of them.
const MAX_ADDRESSES_BYTES: usize = 2304;

/// How many its scopes may have, or else its links. All scopes that are published have 3330.
const MAX_GRANTS_BYTES: usize = 4096;

/// What a key is allowed, of which some excludes other.
#[derive(Debug, PartialEq)]
struct Grants {
    permissions: Vec<String>,
    platform: Vec<Value>,
    scopes: Vec<String>,
}

impl Grants {
    fn of(key: &ApiKey) -> Self {
        Self {
            permissions: permissions(key),
            platform: platform(key),
            scopes: key.scopes.clone(),
        }
    }

    fn check(&self, wrong: &mut Violations) {
        let has = |it: &str| self.permissions.iter().any(|has| has == it);
        if !self.platform.is_empty() {
            if !self.permissions.is_empty() {
                wrong.add("permissions", "cannot be given together with `platform`");
            }
            if !self.scopes.is_empty() {
                wrong.add("scopeGuids", "cannot be given together with `platform`");
            }
            let pairs: Vec<_> = self.platform.iter().map(pair).collect();
            for (index, pair) in pairs.iter().enumerate() {
                if pairs[..index].contains(pair) {
                    wrong.add(&format!("platform[{index}]"), "stands there twice");
                }
            }
            return;
        }
        if has(PUBLIC_API) && has(WEB_SDK) {
            let why = format!("cannot be both {PUBLIC_API} and {WEB_SDK}");
            wrong.add("permissions", why);
        }
        if has(PUBLIC_API) {
            return;
        }
        let given = PERMISSIONS.iter().filter(|it| has(it.name));
        let open: Vec<_> = given.flat_map(|it| it.scopes).collect();
        for (index, scope) in self.scopes.iter().enumerate() {
            if !open.iter().any(|it| **it == scope) {
                let why = format!("needs the permission {PUBLIC_API}");
                wrong.add(&format!("scopeGuids[{index}]"), why);
            }
        }
    }

    /// Tells whether the key is good for its scopes alone. One that stands for the account reaches
    /// also what asks for none; without any, it is not to reach anything.
    fn only_scopes(&self) -> bool {
        self.scopes.is_empty() || !self.permissions.iter().any(|it| it == PUBLIC_API)
    }

    fn write(self, key: &mut ApiKey) {
        key.only_scopes = self.only_scopes();
        let attributes = &mut key.attributes;
        for (name, set) in [
            (PERMISSIONS_OF, json!(self.permissions)),
            (PLATFORM_OF, json!(self.platform)),
        ] {
            match set.as_array().is_some_and(Vec::is_empty) {
                true => drop(attributes.remove(name)),
                false => drop(attributes.insert(name.to_owned(), set)),
            }
        }
        key.scopes = self.scopes;
    }

    /// The same for a [narrowed](is_narrowed) key, which stays so.
    fn write_narrowed(self, key: &mut ApiKey) {
        let is_implied = self.permissions == [PUBLIC_API];
        self.write(key);
        key.only_scopes = true;
        if is_implied {
            key.attributes.remove(PERMISSIONS_OF);
        }
    }
}

/// Tells whether whoever imported the key made it good for its scopes alone, which its permissions do
/// not say: they are not written, and so read as [`PUBLIC_API`].
fn is_narrowed(key: &ApiKey) -> bool {
    let has = |name: &str| key.attributes.contains_key(name);
    let is_written = has(PERMISSIONS_OF) || has(PLATFORM_OF);
    key.only_scopes && !(is_written && Grants::of(key).only_scopes())
}

/// Demands that a list has at most so many bytes in a record.
fn fits(field: &str, list: &impl Serialize, most: usize, wrong: &mut Violations) {
    if !serde_json::to_vec(list).is_ok_and(|it| it.len() <= most) {
        wrong.add(field, format!("must have at most {most} bytes in all"));
    }
}

/// Begins a key that has no scopes and no links.
pub(super) fn unlinked() -> ApiKey {
    let mut key = ApiKey::default();
    let grants = Grants {
        permissions: vec![PUBLIC_API.to_owned()],
        platform: Vec::new(),
        scopes: Vec::new(),
    };
    grants.write(&mut key);
    key
}

/// Gives the permissions of a key: those of one that nobody has given any are [`PUBLIC_API`].
pub(super) fn permissions(key: &ApiKey) -> Vec<String> {
    let list = key.attributes.get(PERMISSIONS_OF).and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<_> = names.map(str::to_owned).collect();
    match names.is_empty() && platform(key).is_empty() {
        true => vec![PUBLIC_API.to_owned()],
        false => names,
    }
}

/// Gives the applications and entities that a key is linked to, as answers show them.
pub(super) fn platform(key: &ApiKey) -> Vec<Value> {
    let list = key.attributes.get(PLATFORM_OF).and_then(Value::as_array);
    list.cloned().unwrap_or_default()
}

/// What a link is about.
fn pair(link: &Value) -> (Option<&Value>, Option<&Value>) {
    (link.get("applicationId"), link.get("entityId"))
}

/// What a request asks for, ready to be written, again and again where others write too.
#[derive(Debug)]
pub(super) struct Change {
    form: Form,
    /// An id for each link.
    link_ids: Vec<String>,
}

impl Change {
    /// Takes over what was asked for.
    ///
    /// # Errors
    /// A fault where there is no randomness.
    pub(super) fn new(form: Form) -> Result<Self, Fault> {
        let links = form.platform.iter().flatten();
        let link_ids = links.map(|_| id()).collect::<Result<_, Fault>>()?;
        Ok(Self { form, link_ids })
    }

    /// Makes it of a key. What is not asked for stays as it is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn apply(&self, mut key: ApiKey) -> Result<ApiKey, Violations> {
        let form = &self.form;
        let mut wrong = Violations::default();
        if let Some(name) = &form.name {
            key.name = Some(name.clone());
        }
        if let Some(addresses) = &form.addresses {
            fits("allowedIPs", addresses, MAX_ADDRESSES_BYTES, &mut wrong);
            key.allowed_addresses.clone_from(addresses);
        }
        key.valid_from = form.valid_from.or(key.valid_from);
        key.valid_to = form.valid_to.or(key.valid_to);
        if let (Some(from), Some(to)) = (key.valid_from, key.valid_to)
            && to <= from
        {
            wrong.add("validTo", "must be after validFrom");
        }
        if let Some(enabled) = form.enabled {
            if enabled && key.revoked {
                wrong.add(
                    "enabled",
                    "the key was revoked for good; create another one",
                );
            }
            key.disabled = !enabled;
        }
        if form.platform.is_some() || form.permissions.is_some() || form.scopes.is_some() {
            let grants = self.grants(&key);
            // What it has already, by an import, does not hinder other changes.
            if form.platform.is_some() {
                fits("platform", &grants.platform, MAX_GRANTS_BYTES, &mut wrong);
            }
            if form.scopes.is_some() {
                fits("scopeGuids", &grants.scopes, MAX_GRANTS_BYTES, &mut wrong);
            }
            grants.check(&mut wrong);
            if is_narrowed(&key) && !self.widens(&key, &grants) {
                grants.write_narrowed(&mut key);
            } else {
                grants.write(&mut key);
            }
        }
        wrong.none().map(|()| key)
    }

    /// Tells whether it says that a [narrowed](is_narrowed) key is to be like any other with these grants:
    /// an answer sent back as it was says nothing.
    fn widens(&self, key: &ApiKey, grants: &Grants) -> bool {
        let named = self.form.permissions.iter().flatten();
        named.into_iter().any(|it| it == PUBLIC_API) && *grants != Grants::of(key)
    }

    fn grants(&self, key: &ApiKey) -> Grants {
        let old = Grants::of(key);
        let form = &self.form;
        let links = form
            .platform
            .as_ref()
            .map(|it| self.links(it, &old.platform));
        // To link a key takes from it what it cannot have beside.
        let linked = links.as_ref().is_some_and(|it| !it.is_empty());
        let kept = |it: Vec<String>| if linked { Vec::new() } else { it };
        let mut grants = Grants {
            permissions: form
                .permissions
                .clone()
                .unwrap_or_else(|| kept(old.permissions)),
            scopes: form.scopes.clone().unwrap_or_else(|| kept(old.scopes)),
            platform: links.unwrap_or(old.platform),
        };
        if grants.platform.is_empty() && grants.permissions.is_empty() {
            grants.permissions.push(PUBLIC_API.to_owned());
        }
        grants
    }

    /// Gives links as answers show them; one that there was keeps its id.
    fn links(&self, links: &[Link], old: &[Value]) -> Vec<Value> {
        let with_id = |(link, fresh): (&Link, &String)| {
            let mut shown = json!({ "key": fresh, "applicationId": link.application });
            if let Some(entity) = &link.entity {
                shown["entityId"] = json!(entity);
            }
            let known = old.iter().find(|it| pair(it) == pair(&shown));
            if let Some(id) = known.and_then(|it| it.get("key")).cloned() {
                shown["key"] = id;
            }
            if let Some(action) = &link.action {
                shown["action"] = json!(action);
            }
            shown
        };
        links.iter().zip(&self.link_ids).map(with_id).collect()
    }
}
