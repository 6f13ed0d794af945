//! What the records of a file say about each other: ids, logins and secrets that stand twice, and
//! accounts that are not there.
//!
//! Apart from the checks of single rows because it needs all of them, and is asked only once they
//! can be read. Every check is one pass with a map, since a file may hold 100,000 users. What the
//! store already holds is the business of [`super::stored`].

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::credential::Secret;
use crate::directory::file::Entries;
use crate::directory::names::{account_names, login_key};
use crate::directory::{Index, MAX_HINTS};
use crate::document::{Document, Problem};

/// What is wrong with a key that names a user of an account that is not its own.
pub(super) const OTHER_ACCOUNT: &str = "the user belongs to another account than the key";

/// Adds every problem among the records of the platform at `pointer`; of a `whole` directory, also
/// what is not there.
pub(super) fn check(
    entries: &Entries,
    whole: bool,
    document: &Document,
    pointer: &str,
    problems: &mut Vec<Problem>,
) {
    let mut add = |key: String, message: &str| {
        problems.push(document.problem(&format!("{pointer}/{key}"), message));
    };
    check_ids(entries, &mut add);
    if whole {
        check_accounts(entries, &mut add);
        check_present(entries, &mut add);
    }
    check_key_users(entries, whole, &mut add);
    check_cycles(entries, &mut add);
    check_logins(entries, &mut add);
    check_links(entries, &mut add);
    check_account_names(entries, &mut add);
    check_secrets(entries, &mut add);
}

fn check_ids(entries: &Entries, add: &mut impl FnMut(String, &str)) {
    let accounts = entries.accounts.iter().map(|it| Some(&it.record.id));
    let users = entries.users.iter().map(|it| Some(&it.record.id));
    let api_keys = entries.api_keys.iter().map(|it| Some(&it.record.id));
    unique("accounts", "id", accounts, add);
    unique("users", "id", users, add);
    unique("api_keys", "id", api_keys, add);
}

/// A platform may do without account records; where it has some, all accounts are among them.
fn check_accounts(entries: &Entries, add: &mut impl FnMut(String, &str)) {
    let known: HashSet<_> = entries
        .accounts
        .iter()
        .map(|it| it.record.id.as_str())
        .collect();
    let unknown = |it: &Option<String>| it.as_ref().is_some_and(|it| !known.contains(it.as_str()));
    let message = "no such account in `accounts`";
    for (index, entry) in entries.accounts.iter().enumerate() {
        if unknown(&entry.record.parent) {
            add(format!("accounts/{index}/parent"), message);
        }
    }
    if known.is_empty() {
        return;
    }
    for (index, entry) in entries.users.iter().enumerate() {
        if unknown(&entry.record.account) {
            add(format!("users/{index}/account"), message);
        }
    }
    for (index, entry) in entries.api_keys.iter().enumerate() {
        if unknown(&entry.record.account) {
            add(format!("api_keys/{index}/account"), message);
        }
    }
}

/// A key nobody can present is a mistake.
fn check_present(entries: &Entries, add: &mut impl FnMut(String, &str)) {
    for (index, entry) in entries.api_keys.iter().enumerate() {
        if entry.secret.is_none() {
            add(format!("api_keys/{index}/secret"), "required, but missing");
        }
    }
}

/// A key acts for a user of its own account.
fn check_key_users(entries: &Entries, whole: bool, add: &mut impl FnMut(String, &str)) {
    let users: HashMap<_, _> = entries
        .users
        .iter()
        .map(|it| (&it.record.id, &it.record.account))
        .collect();
    for (index, entry) in entries.api_keys.iter().enumerate() {
        let Some(user) = &entry.record.user else {
            continue;
        };
        let message = match users.get(user) {
            Some(account) if !entry.record.may_act_for(account.as_deref()) => OTHER_ACCOUNT,
            None if whole => "no such user in `users`",
            Some(_) | None => continue,
        };
        add(format!("api_keys/{index}/user"), message);
    }
}

/// Follows the parents of each account up to where an earlier walk has been. One that meets its own
/// way has gone round, and says so once for the whole ring.
fn check_cycles(entries: &Entries, add: &mut impl FnMut(String, &str)) {
    let accounts = entries.accounts.iter().enumerate();
    let places: HashMap<_, _> = accounts
        .map(|(index, it)| (it.record.id.as_str(), index))
        .collect();
    let parent = |index: usize| {
        let parent = entries.accounts[index].record.parent.as_deref()?;
        places.get(parent).copied()
    };
    let mut walked_from = vec![None; entries.accounts.len()];
    for start in 0..entries.accounts.len() {
        let mut next = Some(start);
        while let Some(index) = next
            && walked_from[index].is_none()
        {
            walked_from[index] = Some(start);
            next = parent(index);
        }
        if let Some(index) = next
            && walked_from[index] == Some(start)
        {
            add(
                format!("accounts/{index}/parent"),
                "the account is its own ancestor",
            );
        }
    }
}

/// Within an account a login is one user; over all accounts, no more users than an index entry
/// names may share it, or the import would stop there.
fn check_logins(entries: &Entries, add: &mut impl FnMut(String, &str)) {
    let mut namesakes: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, entry) in entries.users.iter().enumerate() {
        let user = &entry.record;
        for (field, name) in [("username", &user.username), ("email", &user.email)] {
            let Some(name) = name else { continue };
            let others = namesakes.entry(login_key(name.as_bytes())).or_default();
            let same_account = |it: &usize| entries.users[*it].record.account == user.account;
            match others.iter().copied().find(same_account) {
                Some(other) if other == index => {}
                Some(other) => {
                    let message = format!("the same login as users[{other}], in the same account");
                    add(format!("users/{index}/{field}"), &message);
                }
                None if others.len() == MAX_HINTS => {
                    let message = format!("more than {MAX_HINTS} users share this login");
                    add(format!("users/{index}/{field}"), &message);
                }
                None => others.push(index),
            }
        }
    }
}

/// Whom an external issuer vouches for is one user.
fn check_links(entries: &Entries, add: &mut impl FnMut(String, &str)) {
    let mut first = HashMap::new();
    for (index, entry) in entries.users.iter().enumerate() {
        for (place, link) in entry.record.links.iter().enumerate() {
            let earlier = *first.entry((&link.issuer, &link.subject)).or_insert(index);
            if earlier != index {
                let message = format!("users[{earlier}] has this link");
                add(format!("users/{index}/links/{place}"), &message);
            }
        }
    }
}

/// A realm is one account's. A name or a number may be shared, by no more accounts than an index
/// entry names.
fn check_account_names(entries: &Entries, add: &mut impl FnMut(String, &str)) {
    let mut namesakes: HashMap<_, Vec<usize>> = HashMap::new();
    for (row, entry) in entries.accounts.iter().enumerate() {
        for name in account_names(&entry.record) {
            let rows = namesakes.entry((name.index, name.value)).or_default();
            let pointer = format!("accounts/{row}/{}", name.field);
            match rows.last() {
                Some(other) if *other == row => {}
                Some(other) if name.index == Index::Realm => {
                    add(pointer, &format!("the same as in accounts[{other}]"));
                }
                _ if rows.len() == MAX_HINTS => {
                    add(pointer, &format!("more than {MAX_HINTS} accounts share it"));
                }
                _ => rows.push(row),
            }
        }
    }
}

/// Of what is presented alone, or behind an account's id, nobody could tell whose it is.
fn check_secrets(entries: &Entries, add: &mut impl FnMut(String, &str)) {
    let users = || entries.users.iter();
    let md5 = users().map(|it| Some((&it.record.account, it.md5.as_ref().map(Secret::expose)?)));
    let sha1 = users().map(|it| Some((&it.record.account, it.sha1.as_ref().map(Secret::expose)?)));
    let accounts = entries
        .accounts
        .iter()
        .map(|it| it.api_key.as_ref().map(Secret::expose));
    let api_keys = entries
        .api_keys
        .iter()
        .map(|it| it.secret.as_ref().map(Secret::expose));
    unique("users", "credentials/md5", md5, add);
    unique("users", "credentials/sha1", sha1, add);
    unique("accounts", "api_key", accounts, add);
    unique("api_keys", "secret", api_keys, add);
}

/// Adds a problem for each row whose value an earlier row has too. Values are borrowed, so a secret
/// is not copied into the map.
fn unique<T: Eq + Hash>(
    list: &str,
    field: &str,
    values: impl Iterator<Item = Option<T>>,
    add: &mut impl FnMut(String, &str),
) {
    let mut first = HashMap::new();
    for (index, value) in values.enumerate() {
        let Some(value) = value else { continue };
        let earlier = *first.entry(value).or_insert(index);
        if earlier != index {
            add(
                format!("{list}/{index}/{field}"),
                &format!("the same as in {list}[{earlier}]"),
            );
        }
    }
}
