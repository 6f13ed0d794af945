//! What each primary said last, put together whenever one says something else.
//!
//! One that is heard of no more said what was so then: it may have moved since, or have been taken out of its cluster.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Instant;

use super::view::{Layout, Place, View};

/// All that was said.
#[derive(Default)]
pub(super) struct Views {
    by_place: BTreeMap<Place, Said>,
    /// When anybody said anything last.
    heard: Option<Instant>,
}

struct Said {
    view: View,
    at: Instant,
}

impl Views {
    /// Takes note of what a server says now, and gives what comes of all, if that may be something else than before. What
    /// was said by one that is no primary any more is forgotten.
    pub(super) fn note(
        &mut self,
        from: &Place,
        view: View,
        now: Instant,
        by_name: bool,
    ) -> Option<Layout> {
        self.heard = Some(now);
        let said = Said { view, at: now };
        let before = self.by_place.insert(from.clone(), said);
        if before.is_some_and(|it| self.of(from) == Some(&it.view)) {
            return None;
        }
        let mut all: Vec<_> = self.by_place.values().collect();
        all.sort_by_key(|it| Reverse(it.at));
        let layout = Layout::of(all.iter().map(|it| &it.view), by_name);
        self.by_place
            .retain(|place, _| layout.places.contains(place));
        Some(layout)
    }

    /// Gives what this one said last.
    pub(super) fn of(&self, place: &Place) -> Option<&View> {
        self.by_place.get(place).map(|it| &it.view)
    }

    /// Gives when anybody said anything last.
    pub(super) fn heard(&self) -> Option<Instant> {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use redis::Value;

    use super::*;

    /// Two primaries, of which one is elsewhere by now.
    const BEFORE: [(&str, &str); 2] = [("10.0.0.1", "10.0.0.1"), ("10.0.0.2", "10.0.0.1")];

    fn place(host: &str) -> Place {
        let host = host.to_owned();
        Place { host, port: 7000 }
    }

    /// What is said at `host` of two primaries and others, of which the first is reached there.
    fn said(host: &str, first: &str, others: &str) -> View {
        let flags = |own: &str| match own == host {
            true => "myself,master",
            false => "master",
        };
        let text = format!(
            "a {first}:7000@17000 {} - 0 0 1 connected 0-8000\n\
             b 10.0.0.2:7000@17000 {} - 0 0 2 connected 8001-16383\n{others}",
            flags(first),
            flags("10.0.0.2")
        );
        let view = View::read(&Value::BulkString(text.into_bytes()), &place(host));
        view.expect("a view")
    }

    fn places(layout: Option<Layout>) -> Option<Vec<String>> {
        layout.map(|it| it.places.into_iter().map(|it| it.host).collect())
    }

    #[test]
    fn a_server_that_has_moved_is_where_it_was_seen_last() {
        for moved_to in ["10.0.0.0", "10.0.0.9"] {
            let (mut views, begun) = (Views::default(), Instant::now());
            for (host, first) in BEFORE {
                let layout = views.note(&place(host), said(host, first, ""), begun, false);
                assert_eq!(places(layout).unwrap(), ["10.0.0.1", "10.0.0.2"]);
            }
            let same = said("10.0.0.2", "10.0.0.1", "");
            let later = begun + Duration::from_secs(1);
            let layout = views.note(&place("10.0.0.2"), same, later, false);
            assert_eq!(places(layout), None, "nothing new");

            let news = said("10.0.0.2", moved_to, "");
            let layout = views.note(&place("10.0.0.2"), news, later, false);
            let mut want = [moved_to, "10.0.0.2"];
            want.sort_unstable();
            assert_eq!(places(layout).unwrap(), want);
            assert_eq!(views.of(&place("10.0.0.1")), None);
            assert_eq!(views.heard(), Some(later));
        }
    }

    #[test]
    fn a_server_that_was_taken_out_is_forgotten_once_nobody_else_names_it() {
        let (third, now) = ("10.0.0.3", Instant::now());
        let of_third = "c 10.0.0.3:7000@17000 master - 0 0 0 connected\n";
        let of_itself = "c 10.0.0.3:7000@17000 myself,master - 0 0 0 connected\n";
        let mut views = Views::default();
        let mut say = |host, others| {
            let said = said(host, "10.0.0.1", others);
            places(views.note(&place(host), said, now, false)).unwrap()
        };
        let whole = ["10.0.0.1", "10.0.0.2", third];
        for (host, others) in [
            ("10.0.0.1", of_third),
            ("10.0.0.2", of_third),
            (third, of_itself),
        ] {
            assert_eq!(say(host, others), whole);
        }
        assert_eq!(say("10.0.0.1", ""), whole);
        assert_eq!(say("10.0.0.2", ""), whole[..2]);
    }
}
