//! The servers of a Redis Cluster, each with a way to it and word of what changes there.
//!
//! Not the cluster client of the `redis` crate: what each server is asked goes through a [`Link`](super::link) of ours, which gives
//! up one that does not answer, asks for its role, and sends every command once; and word of changes has to come from each
//! primary. So this keeps who has which slots (`cluster/view.rs`), and finds the server of a key
//! (`cluster/route.rs`).
//!
//! Every primary is asked what it knows of that with each heartbeat, five times a second, and one that sends a command
//! elsewhere (MOVED, ASK) is asked at once; what all say is put together. A primary that comes to it is followed before anything is
//! remembered again, and whatever was read before then counts as changed: the lease holds only while all primaries tell,
//! those without slots included, which may be taking some. A slot that goes from one primary to another changes nothing by itself:
//! both are followed, the old one tells of every key that goes, and the new one of every change to it.

mod keeper;
mod route;
mod scan;
mod slot;
mod turns;
mod view;
mod views;

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::Value;
use tokio::sync::{Notify, watch};
use tokio::time;

pub(super) use self::slot::{share, shares};
use self::turns::Turns;
use self::view::{Layout, Place, View};
use self::views::Views;
use super::login::Login;
use super::node::{AbortOnDrop, Follow, Node};
use super::policy::Evictions;
use super::watch::{Heed, Watched};
use crate::store::lease::{JointLease, Lease};
use crate::store::{Change, Sinks, StoreError};

/// What a cluster is made of.
pub(super) struct Parts {
    /// How its servers are logged in to.
    pub(super) login: Login,
    /// Which of them are asked first.
    pub(super) seeds: Vec<(String, u16)>,
    /// Whether they are reached by name, since certificates are for names.
    pub(super) by_name: bool,
    pub(super) timeout: Duration,
    pub(super) watched: Option<Watched>,
    pub(super) sinks: Arc<Sinks>,
    pub(super) evictions: Evictions,
    /// Names this process among those that follow.
    pub(super) process: String,
}

/// All servers of a cluster.
pub(super) struct Cluster {
    parts: Parts,
    lease: JointLease,
    /// What each primary said last.
    views: Mutex<Views>,
    status: watch::Sender<Status>,
    /// So that many commands that are sent elsewhere have the server that says so asked once.
    learning: Turns,
    /// Has those asked that the URL names.
    wake: Arc<Notify>,
    /// The first to be asked next time.
    next: AtomicUsize,
    keeper: OnceLock<AbortOnDrop>,
    own: Weak<Self>,
}

/// How things stand.
#[derive(Default)]
struct Status {
    map: Option<Arc<Map>>,
    /// Why there is no map.
    trouble: Option<StoreError>,
}

/// Every primary, and which has which slots.
pub(super) struct Map {
    layout: Layout,
    nodes: Vec<Arc<Node>>,
    tags: Vec<Option<String>>,
    /// Differ where the primaries do, and where it differs who has which slots.
    stamps: (u64, u64),
}

impl Map {
    /// Gives what lives on each primary that has slots: a tag, and the server.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, &Arc<Node>)> {
        let tagged = self.tags.iter().zip(&self.nodes);
        tagged.filter_map(|(tag, node)| Some((tag.as_deref()?, node)))
    }

    fn at(&self, place: &Place) -> Option<&Arc<Node>> {
        self.nodes.get(self.layout.index(place)?)
    }
}

impl Cluster {
    /// Begins to find out who has which slots, in the background until it is dropped.
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let cluster = Arc::new_cyclic(|own| Self {
            parts,
            lease: JointLease::ended("the store was not reached yet"),
            views: Mutex::default(),
            status: watch::Sender::default(),
            learning: Turns::default(),
            wake: Arc::default(),
            next: AtomicUsize::default(),
            keeper: OnceLock::new(),
            own: own.clone(),
        });
        let (own, wake) = (Arc::downgrade(&cluster), Arc::clone(&cluster.wake));
        let keeper = tokio::spawn(keeper::keep(own, wake));
        let _ = cluster.keeper.set(AbortOnDrop(keeper));
        cluster
    }

    pub(super) fn lease(&self) -> Lease {
        self.lease.whole().clone()
    }

    /// Tells whether a server has ever answered.
    pub(super) fn was_reached(&self) -> bool {
        self.status.borrow().map.is_some()
    }

    /// Gives the tags of all primaries that have slots; see [`crate::store::Store::places`].
    pub(super) fn tags(&self) -> Vec<String> {
        let status = self.status.borrow();
        let places = status.map.iter().flat_map(|it| it.places());
        places.map(|(tag, _)| tag.to_owned()).collect()
    }

    /// Gives who has which slots, once that is known, and why not where it is found out in vain.
    pub(super) async fn map(&self) -> Result<Arc<Map>, StoreError> {
        let mut status = self.status.subscribe();
        let known = status.wait_for(|it| it.map.is_some() || it.trouble.is_some());
        let unknown = |why: &str| StoreError::Unavailable(format!("{}: {why}", self.address()));
        let known = time::timeout(self.parts.timeout, known).await;
        let known = known.map_err(|_| unknown("no answer in time"))?;
        let status = known.map_err(|_| unknown("it was closed"))?;
        match (&status.map, &status.trouble) {
            (Some(map), _) => Ok(Arc::clone(map)),
            (None, Some(trouble)) => Err(trouble.clone()),
            (None, None) => Err(unknown("it was not reached")),
        }
    }

    /// Takes note of what a server says, and tells whether it says anything. Where that changes who has which slots, all that
    /// comes after knows.
    fn heed(&self, from: &Place, answer: &Value) -> bool {
        let Some(view) = View::read(answer, from) else {
            return false;
        };
        let mut views = self.views();
        if let Some(layout) = views.note(from, view, Instant::now(), self.parts.by_name) {
            let before = self.status.borrow().map.clone();
            if before.as_ref().is_none_or(|it| it.layout != layout) {
                self.adopt(layout, before.as_deref());
            }
        }
        true
    }

    fn adopt(&self, layout: Layout, before: Option<&Map>) {
        let known = |place: &Place| before.and_then(|it| it.at(place)).cloned();
        let node = |place| known(place).unwrap_or_else(|| Arc::new(self.node(place)));
        let nodes: Vec<_> = layout.places.iter().map(node).collect();
        let tags = layout.tags();
        let followed = nodes.iter().filter_map(|it| it.followed());
        self.lease
            .consist_of(followed.map(|it| it.lease.clone()).collect());
        for (node, tag) in nodes.iter().zip(&tags) {
            if let Some(followed) = node.followed() {
                followed.canary.settle(tag.as_deref());
            }
        }
        let is_other = before.is_none_or(|it| it.layout.places != layout.places);
        if is_other {
            let primaries: Vec<_> = layout.places.iter().map(Place::to_string).collect();
            tracing::info!(primaries = primaries.join(" "), "the store's primaries");
        }
        let map = Some(Arc::new(Map {
            stamps: layout.stamps(),
            layout,
            nodes,
            tags,
        }));
        let trouble = None;
        drop(self.status.send_replace(Status { map, trouble }));
        if is_other {
            // What one had that is no primary any more may have changed. A new one says so itself, once it is followed.
            self.parts.sinks.report(Change::Everything);
        }
    }

    fn node(&self, place: &Place) -> Node {
        let login = self.parts.login.at(&place.host, place.port);
        let follow = self.parts.watched.clone().map(|watched| {
            let (own, place) = (self.own.clone(), place.clone());
            let heed: Heed = Arc::new(move |answer| {
                let cluster = own.upgrade();
                cluster.is_some_and(|it| it.heed(&place, answer))
            });
            Follow {
                watched,
                process: self.parts.process.clone(),
                sinks: Arc::clone(&self.parts.sinks),
                evictions: self.parts.evictions.clone(),
                lease: self
                    .lease
                    .part("a primary of the store was not reached yet"),
                heed: Some(heed),
            }
        });
        Node::new(login, self.parts.timeout, follow)
    }

    fn views(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the addresses that the URL names, for operators.
    pub(super) fn address(&self) -> String {
        let seeds = self.parts.seeds.iter();
        let seeds: Vec<_> = seeds.map(|(host, port)| format!("{host}:{port}")).collect();
        seeds.join(",")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
