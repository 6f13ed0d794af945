//! The list of an account's keys: filters, order and pages, all from the query.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use crate::credential::Secret;
use crate::directory::Directory;
use crate::directory::pepper::Digest;
use crate::directory::records::ApiKey;
use crate::issue::Asked;
use crate::issue::answer::Answer;
use crate::issue::core::Core;
use crate::issue::infobip::keys::{Stop, is_own, shown};
use crate::issue::infobip::violations::Violations;
use crate::request::query::Query;

/// The last page, counted from 0.
const MAX_PAGE: usize = 100;

/// How many keys a page has at most, and where the query does not say.
const MAX_SIZE: usize = 100;

type Order = fn(&ApiKey, &ApiKey) -> Ordering;

/// What they are ordered by where the query does not say.
const ID: &str = "id";
const BY_ID: Order = |a, b| a.id.cmp(&b.id);

/// What keys may be ordered by.
const ORDERS: [(&str, Order); 5] = [
    ("enabled", |a, b| b.disabled.cmp(&a.disabled)),
    (ID, BY_ID),
    ("name", |a, b| a.name.cmp(&b.name)),
    ("validFrom", |a, b| a.valid_from.cmp(&b.valid_from)),
    ("validTo", |a, b| a.valid_to.cmp(&b.valid_to)),
];

/// What a query asks for. It may hold a secret, so nothing of it is shown.
struct Wanted {
    account: Option<String>,
    name: Option<String>,
    enabled: Option<bool>,
    /// Of which a key must have one.
    secrets: Option<Vec<Digest>>,
    order_by: Option<&'static str>,
    order: Order,
    descending: bool,
    page: usize,
    size: usize,
}

/// Lists keys, in its turn.
pub(super) async fn answer(core: &Core, asked: &Asked, account: &str) -> Result<Answer, Stop> {
    let (directory, platform) = (core.directory(), &asked.platform.name);
    let wanted = Wanted::read(&asked.query, directory, platform)?;
    is_own(wanted.account.as_deref(), account)?;
    let _turn = core.turn(platform, account).await?;
    let (keys, count) = if wanted.needs_only_ids() {
        // What has just gone counts here, and its page has one less.
        let ids = directory.key_ids_of_account(platform, account).await?;
        let (ids, count) = wanted.page_of(ids);
        let keys = directory.keys_of_account_among(platform, account, &ids);
        (keys.await?, count)
    } else {
        let mut keys = directory.keys_of_account(platform, account).await?;
        keys.retain(|it| wanted.has(it));
        // They come by id, and stay so among those that are alike.
        keys.sort_by(wanted.order);
        wanted.page_of(keys)
    };
    let page: Vec<_> = keys.iter().map(|it| shown(it, None)).collect();
    let paging = wanted.paging(count);
    Ok(Answer::json(
        200,
        &json!({ "apiKeys": page, "paging": paging }),
    ))
}

/// A query, and what is wrong with it.
struct Reader<'q> {
    query: Query<'q>,
    wrong: Violations,
}

impl Reader<'_> {
    /// Gives a parameter's value, and `None` also where it is empty.
    fn text(&mut self, name: &str) -> Option<String> {
        match self.query.single(name) {
            Ok(value) => value.map(Into::into),
            Err(_) => {
                self.wrong
                    .add(name, "must stand there once, and be printable");
                None
            }
        }
    }

    /// Gives what `parse` makes of a parameter, which is `wrong` where that is nothing.
    fn parsed<T>(
        &mut self,
        name: &str,
        wrong: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.wrong.add(name, wrong);
        }
        parsed
    }

    fn number(&mut self, name: &str, least: usize, most: usize) -> Option<usize> {
        let fits = |it: &usize| (least..=most).contains(it);
        let wrong = format!("must be a number from {least} to {most}");
        self.parsed(name, &wrong, |it| it.parse().ok().filter(fits))
    }
}

impl Wanted {
    fn read(query: &str, directory: &Directory, platform: &str) -> Result<Self, Violations> {
        let mut query = Reader {
            query: Query::parse(query),
            wrong: Violations::default(),
        };
        let secret = query.text("apiKeySecret");
        let secret = secret.map(|it| Secret::new(it.as_bytes()));
        let orders = ORDERS.map(|it| it.0).join(", ");
        let orders = format!("must be one of {orders}");
        let order = |name: &str| ORDERS.iter().find(|it| it.0 == name);
        let order = query.parsed("orderBy", &orders, order);
        let descending = |it: &str| match it.to_ascii_lowercase().as_str() {
            "asc" => Some(false),
            "desc" => Some(true),
            _ => None,
        };
        let descending = query.parsed("orderDirection", "must be asc or desc", descending);
        let wanted = Self {
            account: query.text("accountId"),
            name: query.text("name"),
            enabled: query.parsed("enabled", "must be true or false", |it| it.parse().ok()),
            secrets: secret.map(|it| directory.key_digests(platform, &it)),
            order_by: order.map(|it| it.0),
            order: order.map_or(BY_ID, |it| it.1),
            descending: descending.unwrap_or(false),
            page: query.number("page", 0, MAX_PAGE).unwrap_or(0),
            size: query.number("size", 1, MAX_SIZE).unwrap_or(MAX_SIZE),
        };
        query.wrong.none().map(|()| wanted)
    }

    /// Tells whether ids alone say which keys are on the page.
    fn needs_only_ids(&self) -> bool {
        let by_id = self.order_by.is_none_or(|it| it == ID);
        by_id && self.name.is_none() && self.enabled.is_none() && self.secrets.is_none()
    }

    /// Gives the page of what is in ascending order, and how many there are on all pages.
    fn page_of<T>(&self, mut all: Vec<T>) -> (Vec<T>, usize) {
        let count = all.len();
        if self.descending {
            all.reverse();
        }
        let page = all.into_iter().skip(self.page * self.size);
        (page.take(self.size).collect(), count)
    }

    fn has(&self, key: &ApiKey) -> bool {
        let enabled = !key.disabled && !key.revoked;
        let secrets = self.secrets.as_deref();
        self.name
            .as_ref()
            .is_none_or(|it| key.name.as_ref() == Some(it))
            && self.enabled.is_none_or(|it| it == enabled)
            && secrets.is_none_or(|it| key.clone().presented(it).is_some())
    }

    fn paging(&self, keys: usize) -> Map<String, Value> {
        let mut paging = Map::new();
        let mut put = |name: &str, value: Value| paging.insert(name.to_owned(), value);
        put("page", json!(self.page));
        put("pageSize", json!(self.size));
        put(
            "orderDirection",
            json!(if self.descending { "desc" } else { "asc" }),
        );
        if let Some(order) = self.order_by {
            put("orderBy", json!(order));
        }
        put("totalCount", json!(keys));
        put("totalPages", json!(keys.div_ceil(self.size)));
        paging
    }
}
