//! Which server has which slots, by what servers of a cluster say.
//!
//! Each says what it knows (CLUSTER NODES), and some know less than others: one that is cut off from the rest takes itself
//! for a primary long after another has taken its place. As among themselves, a claim to a slot counts
//! for as much as its epoch, so what several say is put together by that. Apart from asking; all of this is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use redis::Value;

use super::slot::{self, SLOTS};

/// The most servers, and bytes, of an answer that is read.
const SERVERS_MAX: usize = 2000;
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where a server is reached.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
}

/// What one server says of all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct View {
    servers: Vec<Server>,
    /// Whether it is giving slots away or taking some now.
    pub(super) is_moving: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Server {
    id: String,
    /// `None` where nobody knows.
    place: Option<Place>,
    /// The name that it goes by beside its address.
    name: Option<String>,
    epoch: u64,
    is_primary: bool,
    /// Whether it says this itself.
    is_own: bool,
    /// Whether the majority takes it for dead, or it has not joined yet.
    is_gone: bool,
    /// From the first to the last of each range.
    slots: Vec<(u16, u16)>,
}

/// Who has which slots.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Layout {
    /// Every primary, also without slots: it may be taking some.
    pub(super) places: Vec<Place>,
    /// What else each is called, in the same order.
    also: Vec<Option<Place>>,
    /// By slot, the index of its primary; `None` where nobody has it.
    owners: Vec<Option<usize>>,
}

impl View {
    /// Reads an answer to CLUSTER NODES that came from `asked`, whose own address it may leave out. `None` where it is none.
    pub(super) fn read(answer: &Value, asked: &Place) -> Option<Self> {
        let text = match answer {
            Value::BulkString(bytes) => str::from_utf8(bytes).ok()?,
            Value::VerbatimString { text, .. } => text,
            _ => return None,
        };
        if text.len() > BYTES_MAX || text.lines().count() > SERVERS_MAX {
            return None;
        }
        let mut view = Self::default();
        for line in text.lines() {
            let (server, is_moving) = Server::read(line, asked)?;
            view.servers.push(server);
            view.is_moving |= is_moving;
        }
        (!view.servers.is_empty()).then_some(view)
    }

    /// Tells whether anybody has a slot: not so for one that has not joined its cluster.
    pub(super) fn has_slots(&self) -> bool {
        self.servers.iter().any(|it| !it.slots.is_empty())
    }
}

impl Server {
    /// Reads `ID IP:PORT@BUS[,NAME…] FLAGS PRIMARY PING PONG EPOCH LINK SLOT…`, and tells whether slots are moving.
    fn read(line: &str, asked: &Place) -> Option<(Self, bool)> {
        let mut words = line.split(' ');
        let (id, address, flags) = (words.next()?, words.next()?, words.next()?);
        let epoch = words.nth(3)?.parse().ok()?;
        let _link = words.next()?;
        let has = |flag| flags.split(',').any(|it| it == flag);
        let (address, names) = address.split_once(',').unwrap_or((address, ""));
        let (host, port) = address.split('@').next()?.rsplit_once(':')?;
        let host = match host {
            "" if has("myself") => &asked.host,
            host => host,
        };
        let place = Place {
            host: host.to_owned(),
            port: port.parse().ok()?,
        };
        let name = names
            .split(',')
            .next()
            .filter(|it| !it.is_empty() && !it.contains('='));
        let (mut slots, mut is_moving) = (Vec::new(), false);
        for word in words {
            if word.starts_with('[') {
                is_moving = true;
                continue;
            }
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            if first > last || last >= SLOTS {
                return None;
            }
            slots.push((first, last));
        }
        let server = Self {
            id: id.to_owned(),
            place: (!has("noaddr") && !place.host.is_empty() && place.port > 0).then_some(place),
            name: name.map(str::to_owned),
            epoch,
            is_primary: has("master"),
            is_own: has("myself"),
            is_gone: has("fail") || has("handshake") || has("noaddr"),
            slots,
        };
        Some((server, is_moving))
    }
}

impl Layout {
    /// Puts together what servers say, those before others that were heard of later. One without slots counts as long as
    /// another names it: who was taken out of the cluster goes on to name itself. With `by_name` they are reached by their names, which is what certificates are for.
    pub(super) fn of<'a>(views: impl Iterator<Item = &'a View>, by_name: bool) -> Self {
        let (mut claims, mut latest) = (vec![None; usize::from(SLOTS)], BTreeMap::new());
        let mut named = BTreeSet::new();
        for server in views.flat_map(|it| &it.servers) {
            if !server.is_own {
                named.insert(server.id.as_str());
            }
            for (first, last) in server.slots.iter().filter(|_| server.is_primary) {
                for claim in &mut claims[usize::from(*first)..=usize::from(*last)] {
                    let new = (server.epoch, server.id.as_str());
                    *claim = (*claim).max(Some(new));
                }
            }
            // Of two who know it as well, the one that misses it.
            let rank = |it: &Server| (it.epoch, it.is_gone || !it.is_primary, it.place.is_some());
            let known = latest.entry(server.id.as_str()).or_insert(server);
            if rank(server) > rank(known) {
                *known = server;
            }
        }
        let owning: BTreeSet<_> = claims.iter().flatten().collect();
        let is_primary = |it: &Server| {
            owning.iter().any(|(_, id)| *id == it.id)
                || (it.is_primary && !it.is_gone && named.contains(it.id.as_str()))
        };
        let primaries = latest.values().filter(|it| is_primary(it));
        let mut primaries: Vec<_> = primaries
            .filter_map(|it| {
                let owns = owning.iter().any(|(_, id)| *id == it.id);
                let id = it.id.as_str();
                Some((it.reached(by_name)?, !owns, it.reached(!by_name), id))
            })
            .collect();
        primaries.sort_unstable();
        // Where one begins anew as somebody else, the others still name the one it was.
        primaries.dedup_by(|later, earlier| later.0 == earlier.0);
        let index = |id| primaries.iter().position(|(.., it)| *it == id);
        let indices: BTreeMap<_, _> = owning.iter().map(|(_, id)| (*id, index(*id))).collect();
        let owners = claims.iter().map(|it| {
            let (_, id) = (*it)?;
            indices.get(id).copied().flatten()
        });
        Self {
            owners: owners.collect(),
            also: primaries.iter().map(|(.., also, _)| also.clone()).collect(),
            places: primaries.into_iter().map(|(place, ..)| place).collect(),
        }
    }

    /// Gives the index of the primary that is reached or called so.
    pub(super) fn index(&self, place: &Place) -> Option<usize> {
        let reached = self.places.iter().position(|it| it == place);
        reached.or_else(|| self.also.iter().position(|it| it.as_ref() == Some(place)))
    }

    /// Gives what differs where the primaries do, and where it differs who has which slots.
    pub(super) fn stamps(&self) -> (u64, u64) {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        (hasher.hash_one(&self.places), hasher.hash_one(&self.owners))
    }

    /// Gives the index of the primary of a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<usize> {
        self.owners.get(usize::from(slot)).copied().flatten()
    }

    /// Gives for each primary a tag that lives there.
    pub(super) fn tags(&self) -> Vec<Option<String>> {
        slot::tags(self.places.len(), |slot| self.owner(slot))
    }
}

impl Server {
    fn reached(&self, by_name: bool) -> Option<Place> {
        let place = self.place.clone()?;
        let name = self.name.clone().filter(|_| by_name);
        Some(Place {
            host: name.unwrap_or(place.host),
            ..place
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> Option<View> {
        let asked = Place {
            host: "asked".to_owned(),
            port: 1,
        };
        View::read(&Value::BulkString(text.as_bytes().to_vec()), &asked)
    }

    fn owners(views: &[&str], by_name: bool) -> (Vec<String>, Vec<Option<String>>) {
        let views: Vec<_> = views.iter().map(|it| view(it).expect("a view")).collect();
        let layout = Layout::of(views.iter(), by_name);
        let name = |it: &Place| format!("{}:{}", it.host, it.port);
        let owner = |slot| layout.owner(slot).map(|it| name(&layout.places[it]));
        let owners = [0, 5460, 5461, 16_383].map(owner).to_vec();
        (layout.places.iter().map(name).collect(), owners)
    }

    const WHOLE: &str = "\
a 10.0.0.1:7000@17000,one.example.com myself,master - 0 0 1 connected 0-5460
b 10.0.0.2:7000@17000,two.example.com,shard-id=1 master - 0 1 2 connected 5461-16382 16383
c 10.0.0.3:7000@17000,,shard-id=1 slave a 0 1 1 connected
";

    #[test]
    fn slots_belong_to_who_says_so_with_the_highest_epoch() {
        let some = |it: &str| Some(it.to_owned());
        let (a, b, c) = ("10.0.0.1:7000", "10.0.0.2:7000", "10.0.0.3:7000");
        let whole = owners(&[WHOLE], false);
        assert_eq!(whole.0, [a, b]);
        assert_eq!(whole.1, [some(a), some(a), some(b), some(b)]);

        // c took the place of a, which does not know, and is not missed where nobody can tell.
        let failed_over = "\
a 10.0.0.1:7000@17000 master,fail - 0 1 1 disconnected
b 10.0.0.2:7000@17000 myself,master - 0 1 2 connected 5461-16383
c 10.0.0.3:7000@17000 master - 0 1 3 connected 0-5460
";
        for views in [[WHOLE, failed_over], [failed_over, WHOLE]] {
            let found = owners(&views, false);
            assert_eq!(found.0, [b, c], "{views:?}");
            assert_eq!(found.1, [some(c), some(c), some(b), some(b)]);
        }
        // As when a has come back.
        let back = failed_over.replace("master,fail - 0 1 1", "slave c 0 1 3");
        assert_eq!(owners(&[WHOLE, &back], false).0, [b, c]);

        // One without slots is a primary as long as it is there.
        let empty = "d 10.0.0.4:7000@17000 master - 0 1 0 connected\n";
        let with = format!("{WHOLE}{empty}");
        assert_eq!(owners(&[&with], false).0, [a, b, "10.0.0.4:7000"]);
        let gone = with.replace("master - 0 1 0", "master,fail - 0 1 0");
        for views in [[&with, &gone], [&gone, &with]] {
            let views = views.map(String::as_str);
            assert_eq!(owners(&views, false).0, [a, b]);
        }
    }

    #[test]
    fn what_nobody_has_and_what_nobody_can_reach_is_nobodys() {
        let text = "\
a :7000@17000 myself,master - 0 0 1 connected 0-5460
b :0@0 master,noaddr - 0 1 2 disconnected 5461
";
        let asked = Some("asked:7000".to_owned());
        let (places, found) = owners(&[text], false);
        assert_eq!(places, ["asked:7000"]);
        assert_eq!(found, [asked.clone(), asked, None, None]);
    }

    #[test]
    fn one_that_begins_anew_is_followed_once_and_has_what_the_others_say() {
        let anew = "d 10.0.0.1:7000@17000 myself,master - 0 0 0 connected\n";
        assert!(!view(anew).unwrap().has_slots() && view(WHOLE).unwrap().has_slots());
        let (places, found) = owners(&[anew, WHOLE], false);
        assert_eq!(places, ["10.0.0.1:7000", "10.0.0.2:7000"]);
        assert!(found.iter().all(Option::is_some), "{found:?}");
    }

    #[test]
    fn servers_are_reached_by_their_names_where_certificates_are_for_names() {
        let places = owners(&[WHOLE], true).0;
        assert_eq!(places, ["one.example.com:7000", "two.example.com:7000"]);
        let layout = Layout::of([view(WHOLE).unwrap()].iter(), true);
        for (host, want) in [
            ("two.example.com", Some(1)),
            ("10.0.0.2", Some(1)),
            ("10.0.0.3", None),
        ] {
            let (host, port) = (host.to_owned(), 7000);
            assert_eq!(layout.index(&Place { host, port }), want);
        }
    }

    #[test]
    fn slots_under_way_are_noticed_and_what_is_no_view_is_none() {
        assert!(!view(WHOLE).unwrap().is_moving);
        for moving in ["[93-<-b]", "[77->-b]"] {
            let text =
                format!("a 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-9 {moving}");
            let view = view(&text).unwrap();
            assert!(
                view.is_moving && view.servers[0].slots == [(0, 9)],
                "{moving}"
            );
        }
        for text in [
            "",
            "a",
            "a 10.0.0.1:7000@17000 master - 0 0 x connected 0-9",
            "a 10.0.0.1:7000@17000 master - 0 0 1 connected 9-0",
            "a 10.0.0.1:7000@17000 master - 0 0 1 connected 16384",
            "a 10.0.0.1@17000 master - 0 0 1 connected 1",
        ] {
            assert_eq!(view(text), None, "{text}");
        }
        let many = WHOLE.repeat(SERVERS_MAX);
        assert_eq!(view(&many), None);
    }
}
