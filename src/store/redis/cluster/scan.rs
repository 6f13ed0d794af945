//! Listing keys over all primaries, while some may go from one to another.
//!
//! A key that goes from a server that is listed late to one that was listed early is on neither when it is looked for. So after all
//! were listed each is asked whether slots have moved or are moving, and where so, all are listed once more: a key moves
//! once within a listing at most, and so stays where it is through one of the two. Where the primaries themselves have changed,
//! whoever lists has to begin anew.

use futures_util::future::join_all;
use redis::Pipeline;

use super::Cluster;
use super::view::Place;
use crate::store::redis::{listing, reply};
use crate::store::{Cursor, Page, StoreError};

/// Where a listing is.
#[derive(Clone, Debug, Eq, PartialEq)]
struct At {
    is_again: bool,
    /// The index of the primary.
    index: usize,
    /// Of what is listed: which primaries, and which has which slots.
    stamps: (u64, u64),
    /// Where on that server.
    cursor: String,
}

impl At {
    fn read(cursor: &str) -> Option<Self> {
        let mut words = cursor.splitn(5, ' ');
        let mut next = || words.next();
        Some(Self {
            is_again: next()? == "again",
            index: next()?.parse().ok()?,
            stamps: (next()?.parse().ok()?, next()?.parse().ok()?),
            cursor: next()?.to_owned(),
        })
    }

    fn written(&self) -> Cursor {
        let pass = if self.is_again { "again" } else { "first" };
        let (places, owners) = self.stamps;
        let Self { index, cursor, .. } = self;
        Cursor(format!("{pass} {index} {places} {owners} {cursor}"))
    }
}

impl Cluster {
    /// As [`crate::store::Store::scan`].
    pub(in super::super) async fn scan(
        &self,
        prefix: &str,
        cursor: Option<Cursor>,
    ) -> Result<Page, StoreError> {
        let map = self.map().await?;
        let begin = At {
            is_again: false,
            index: 0,
            stamps: map.stamps,
            cursor: "0".to_owned(),
        };
        let at = match cursor {
            None => begin,
            Some(Cursor(cursor)) => At::read(&cursor)
                .ok_or_else(|| StoreError::Refused("a cursor of another store".to_owned()))?,
        };
        at.check(map.stamps)?;
        let (_, node) = map.node(at.index)?;
        let listed = listing(prefix, &at.cursor).make(&node.link).await;
        let page = reply::page(self.heed_failure(listed)?)?;
        let next = match page.next {
            Some(Cursor(cursor)) => Some(At { cursor, ..at }),
            None if at.index + 1 < map.nodes.len() => Some(At {
                index: at.index + 1,
                cursor: "0".to_owned(),
                ..at
            }),
            None if at.is_again => None,
            None => {
                let (stamps, is_moving) = self.all_told().await?;
                at.check(stamps)?;
                (is_moving || stamps != at.stamps).then(|| At {
                    is_again: true,
                    index: 0,
                    stamps,
                    cursor: "0".to_owned(),
                })
            }
        };
        Ok(Page {
            keys: page.keys,
            next: next.map(|it| it.written()),
        })
    }

    /// Asks every primary, and gives what they say of who has which slots, and whether some are moving.
    async fn all_told(&self) -> Result<((u64, u64), bool), StoreError> {
        let map = self.map().await?;
        let asked = (0..map.nodes.len()).map(async |index| {
            let (place, node) = map.node(index)?;
            let mut nodes = Pipeline::with_capacity(1);
            nodes.cmd("CLUSTER").arg("NODES");
            let answer = self.heed_failure(node.link.ask_one(&nodes).await)?;
            match self.heed(place, &answer) {
                true => Ok(()),
                false => Err(StoreError::Unavailable(format!(
                    "{place}: it does not tell of its cluster"
                ))),
            }
        });
        join_all(asked)
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        let map = self.map().await?;
        Ok((map.stamps, self.is_moving(&map.layout.places)))
    }

    /// Tells whether one of these gives slots away or takes some, or has not said that it does not.
    fn is_moving(&self, places: &[Place]) -> bool {
        let views = self.views();
        let mut views = places.iter().map(|it| views.of(it));
        views.any(|it| it.is_none_or(|it| it.is_moving))
    }
}

impl At {
    fn check(&self, (places, _): (u64, u64)) -> Result<(), StoreError> {
        match self.stamps.0 == places {
            true => Ok(()),
            false => Err(StoreError::Unavailable(
                "its primaries changed while keys were listed".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_goes_on_where_it_was() {
        let at = At {
            is_again: true,
            index: 2,
            stamps: (u64::MAX, 7),
            cursor: "17179869184".to_owned(),
        };
        let Cursor(written) = at.written();
        assert_eq!(At::read(&written), Some(at));
        for other in ["0", "17179869184", "", "first 1 2 3"] {
            assert_eq!(At::read(other), None, "{other}");
        }
    }
}
