//! Where a platform is found: its hosts, and a prefix of the path.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::policy::matcher::hash::BuildSegmentHasher;
use crate::policy::path::PathSegments;

/// Hosts and the path prefix under which a platform is found.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Exact names, `*.suffix`, or `*`, in lower case.
    pub hosts: Vec<String>,
    /// `/`, or a prefix of whole segments.
    pub prefix: String,
}

impl Site {
    /// Tells whether the site is one of the host's, further down than these segments lead.
    pub(super) fn is_below(&self, host: &str, front: &PathSegments<'_>) -> bool {
        let prefix = self.prefix.trim_end_matches('/').split('/').skip(1);
        let further = prefix.clone().count() > front.len();
        further && front.iter().zip(prefix).all(|it| it.0 == it.1) && self.best(host).is_some()
    }

    fn best(&self, host: &str) -> Option<(usize, &str)> {
        let fits = self.hosts.iter();
        fits.filter_map(|it| Some((host_fit(it, host)?, it.as_str())))
            .max_by_key(|it| it.0)
    }

    /// Gives the pattern that fits the host best, as it was written.
    #[must_use]
    pub fn pattern_for(&self, host: &str) -> Option<&str> {
        self.best(host).map(|it| it.1)
    }

    /// Tells whether some host of the other site, under its prefix, is always found here first.
    #[must_use]
    pub fn shadows(&self, other: &Self) -> bool {
        let prefix = |it: &Self| it.prefix.trim_end_matches('/').to_owned();
        prefix(self) == prefix(other) && self.hosts.iter().any(|it| other.hosts.contains(it))
    }

    /// Tells whether the host is listed, so that a client may be sent there. `*` lists none.
    #[must_use]
    pub fn lists(&self, host: &str) -> bool {
        self.hosts
            .iter()
            .any(|it| host_fit(it, host).is_some_and(|fit| fit > 0))
    }
}

/// An exact name fits best, then the longest suffix, then `*`.
fn host_fit(pattern: &str, host: &str) -> Option<usize> {
    match pattern.strip_prefix('*') {
        None => (pattern == host).then_some(usize::MAX),
        Some("") => Some(0),
        Some(suffix) => host
            .strip_suffix(suffix)
            .filter(|it| !it.is_empty())
            .map(|_| suffix.len()),
    }
}

/// The sites of several platforms, each by its place among them, found by host without a look at those of others.
#[derive(Debug, Default)]
pub(super) struct Sites {
    /// Those of each pattern, by what stands behind its `*` if it has one: no exact name begins with a dot, or is
    /// empty. The longest prefix first, and of equals the first.
    by_pattern: HashMap<String, Vec<Found>, BuildSegmentHasher>,
    /// How long the longest suffix is, so that a long host is not tried at each of its dots.
    longest_suffix: usize,
}

#[derive(Debug)]
struct Found {
    /// Without a `/` at its end.
    prefix: String,
    at: usize,
}

impl Sites {
    pub(super) fn of<'s>(sites: impl Iterator<Item = &'s Site>) -> Self {
        let mut all = Self::default();
        for (at, site) in sites.enumerate() {
            for pattern in &site.hosts {
                let suffix = pattern.strip_prefix('*');
                all.longest_suffix = all.longest_suffix.max(suffix.map_or(0, str::len));
                let key = suffix.unwrap_or(pattern).to_owned();
                let prefix = site.prefix.trim_end_matches('/').to_owned();
                let there = all.by_pattern.entry(key).or_default();
                there.push(Found { prefix, at });
            }
        }
        for there in all.by_pattern.values_mut() {
            there.sort_by_key(|it| Reverse(it.prefix.len()));
        }
        all
    }

    /// Gives the place of the site that fits best: by its exact name, else by the longest suffix, else as any host; of those
    /// by the longest prefix, and of equals the first.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<usize> {
        let of = |key: &str| {
            let mut there = self.by_pattern.get(key)?.iter();
            Some(there.find(|it| stands_under(path, &it.prefix))?.at)
        };
        let exact = Some(host).filter(|it| !it.starts_with('.'));
        let by_suffix = || {
            let dots = host.rmatch_indices('.').map(|it| it.0);
            // Before a suffix stands something.
            let near = dots.take_while(|it| *it > 0 && host.len() - it <= self.longest_suffix);
            // From the right, so the longest comes last.
            near.filter_map(|it| of(&host[it..])).last()
        };
        exact.and_then(of).or_else(by_suffix).or_else(|| of(""))
    }
}

/// Tells whether a path begins with the segments of a prefix.
fn stands_under(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn site(hosts: &[&str], prefix: &str) -> Site {
        Site {
            hosts: hosts.iter().map(|it| (*it).to_owned()).collect(),
            prefix: prefix.to_owned(),
        }
    }

    #[track_caller]
    fn fit(hosts: &[&str], prefix: &str, host: &str, path: &str, want: bool) {
        let sites = Sites::of([&site(hosts, prefix)].into_iter());
        let found = sites.find(host, path);
        assert_eq!(found.is_some(), want, "{prefix} {host} {path}");
    }

    #[test]
    fn a_site_is_exact_a_suffix_or_any_host_and_a_prefix_of_whole_segments() {
        fit(&["api.example.com"], "/", "api.example.com", "/x", true);
        fit(&["api.example.com"], "/", "xapi.example.com", "/x", false);
        fit(&["*.example.com"], "/", "api.example.com", "/x", true);
        fit(&["*.example.com"], "/", "a.b.example.com", "/x", true);
        fit(&["*.example.com"], "/", "example.com", "/x", false);
        fit(&["*.example.com"], "/", ".example.com", "/x", false);
        fit(&["*"], "/", "", "/x", true);
        fit(&["*"], "/v2", "h", "/v2", true);
        fit(&["*"], "/v2/", "h", "/v2/x", true);
        fit(&["*"], "/v2", "h", "/v20/x", false);
    }

    #[test]
    fn an_exact_host_fits_better_than_a_suffix_and_a_suffix_better_than_any() {
        assert!(
            host_fit("a.example.com", "a.example.com") > host_fit("*.example.com", "a.example.com")
        );
        assert!(
            host_fit("*.a.example.com", "x.a.example.com")
                > host_fit("*.example.com", "x.a.example.com")
        );
        assert!(host_fit("*.example.com", "a.example.com") > host_fit("*", "a.example.com"));
        assert!(!site(&["*"], "/").lists("evil.example"));
        assert!(site(&["a.example"], "/v2/").shadows(&site(&["a.example"], "/v2")));
        assert!(!site(&["a.example"], "/v2").shadows(&site(&["a.example"], "/v1")));
        assert!(!site(&["*.example"], "/").shadows(&site(&["a.example"], "/")));
    }

    const HOSTS: [&str; 7] = ["a", "a.b", "b.a.b", "b.b.a.b", "*.b", "*.a.b", "*"];
    const PATHS: [&str; 6] = ["/", "/v", "/v/", "/v/w", "/v/w/x", "/vw"];

    proptest! {
        #[test]
        fn what_is_found_is_the_best_of_all(
            sites in proptest::collection::vec(
                (proptest::collection::vec(select(&HOSTS[..]), 1..3), select(&PATHS[..])),
                0..6,
            ),
            host in "[ab](\\.[ab]){0,4}",
            path in select(&PATHS[..]),
        ) {
            let sites: Vec<_> = sites.iter().map(|(hosts, prefix)| site(hosts, prefix)).collect();
            let fits = sites.iter().enumerate().filter_map(|(at, it)| {
                let prefix = it.prefix.trim_end_matches('/');
                let best = it.best(&host)?.0;
                stands_under(path, prefix).then_some(((best, prefix.len()), at))
            });
            let best = fits.rev().max_by_key(|it| it.0).map(|it| it.1);
            prop_assert_eq!(Sites::of(sites.iter()).find(&host, path), best);
        }
    }
}
