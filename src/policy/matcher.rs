//! Finds the rules that a method and path fall under, at a cost that does not grow with the number of rules.
//!
//! The patterns of all rules stand in one trie of segments, since a platform may have a rule for each of a thousand
//! operations. It is apart from the rules so that it can be compared with a naive matcher, row by row.
//!
//! It does not decide: it offers candidates in rule order, and the caller takes or leaves them. It reads no raw path
//! ([`PathSegments`] has one reading only), does not take `HEAD` for `GET`, and ranks no pattern above another for
//! being more specific: the order of the rules is all that counts.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;

use crate::policy::matcher::hash::BuildSegmentHasher;
use crate::policy::matcher::pattern::{Pattern, PatternProblem, Step, check_method};
use crate::policy::path::PathSegments;

pub(crate) mod hash;
pub mod pattern;

/// One line of a rule: a pattern, for some methods.
///
/// | segment of a pattern | takes |
/// |---|---|
/// | `name` | itself, decoded, in this letter case |
/// | `name*` | one segment that starts so |
/// | `*` | any one segment |
/// | `{name}` | any one segment, which it captures |
/// | `**` | last only: the rest, also of no segments, so that `/a/**` takes `/a` too |
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The place of the rule among the rules; several rows may share it.
    pub rule: usize,
    /// The methods, case-sensitive (RFC 9110 §9.1); none means any.
    pub methods: &'a [String],
    /// The pattern, starting with `/`, written decoded.
    pub pattern: &'a str,
}

/// Room for the rows that take nearly every path, so that one allocation does.
const USUAL_CANDIDATES: usize = 8;

/// Rows compiled into a trie.
#[derive(Debug, Default)]
pub struct Matcher {
    root: Node,
}

impl Matcher {
    /// Compiles `rows`.
    ///
    /// # Errors
    /// Every pattern and method that is wrong, in the order of the rows.
    pub fn build<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Result<Self, Vec<PatternError>> {
        let mut matcher = Self::default();
        let mut errors = Vec::new();
        for (at, row) in rows.into_iter().enumerate() {
            let error = |problem| PatternError {
                rule: row.rule,
                pattern: row.pattern.to_owned(),
                problem,
            };
            let methods = row.methods.iter().map(|it| check_method(it));
            errors.extend(methods.filter_map(Result::err).map(error));
            match Pattern::parse(row.pattern) {
                Ok(pattern) => matcher.root.insert(pattern, (row.rule, at), row),
                Err(problem) => errors.push(error(problem)),
            }
        }
        if errors.is_empty() {
            Ok(matcher)
        } else {
            Err(errors)
        }
    }

    /// Offers every row that takes `method` and `path` to `accept`, with the rule's place, until it gives something.
    ///
    /// The smallest rule comes first; the rows of one rule come in the order in which they were built. Of an open path
    /// ([`PathSegments::is_open`]) every row is offered that takes some path which begins so.
    pub fn first<'a, T>(
        &'a self,
        method: &str,
        path: &'a PathSegments<'_>,
        mut accept: impl FnMut(usize, &Params<'a>) -> Option<T>,
    ) -> Option<T> {
        let mut candidates = Vec::with_capacity(USUAL_CANDIDATES);
        let (segments, open) = (path.as_slice(), path.is_open());
        self.root.walk(segments, open, &mut |node, at_end| {
            candidates.extend(&node.tails);
            if at_end {
                candidates.extend(&node.ends);
            }
        });
        candidates.retain(|it| it.takes(method));
        candidates.sort_unstable_by_key(|it| it.order);
        candidates
            .into_iter()
            .find_map(|entry| accept(entry.order.0, &Params { entry, path }))
    }
}

/// The row that matched, and what it captured.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    entry: &'a Entry,
    path: &'a PathSegments<'a>,
}

impl<'a> Params<'a> {
    /// Gives the decoded segment that `{name}` captured; `None` where the pattern has no such parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter()
            .find_map(|(it, value)| (it == name).then_some(value))
    }

    /// Walks names and decoded segments from left to right.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let Self { entry, path } = *self;
        let captures = entry.captures.iter();
        captures.filter_map(|(name, depth)| Some((name.as_ref(), path.get(*depth)?)))
    }

    /// Tells whether the segments that were read settle the pattern, whatever follows them.
    #[must_use]
    pub fn takes_any_rest(&self) -> bool {
        let front = self.entry.pattern.strip_suffix("/**");
        front.is_some_and(|it| it.matches('/').count() <= self.path.len())
    }

    /// Gives the pattern that matched, as it was written.
    #[must_use]
    pub fn pattern(&self) -> &'a str {
        &self.entry.pattern
    }
}

/// What a row leaves at the node where its pattern ends.
#[derive(Debug)]
struct Entry {
    /// Names, and the depths of the segments that they stand for.
    captures: Vec<(Box<str>, usize)>,
    methods: Vec<String>,
    /// The rule's place, then the row's.
    order: (usize, usize),
    pattern: Box<str>,
}

impl Entry {
    fn takes(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|it| it == method)
    }
}

type Children = HashMap<Box<str>, Node, BuildSegmentHasher>;

/// One segment deep in the patterns. A path meets a node at one depth, from one parent, so never twice.
#[derive(Debug, Default)]
struct Node {
    any: Option<Box<Self>>,
    ends: Vec<Entry>,
    literals: Children,
    /// By length, so that a lookup costs the number of lengths and not of prefixes.
    prefixes: BTreeMap<usize, Children>,
    tails: Vec<Entry>,
}

impl Node {
    fn insert(&mut self, pattern: Pattern<'_>, order: (usize, usize), row: Row<'_>) {
        let mut node = self;
        for step in pattern.steps {
            node = match step {
                Step::Any => node.any.get_or_insert_default(),
                Step::Literal(text) => node.literals.entry(text.into()).or_default(),
                Step::Prefix(text) => {
                    let same_length = node.prefixes.entry(text.len()).or_default();
                    same_length.entry(text.into()).or_default()
                }
            };
        }
        let named = pattern.captures.into_iter();
        let entry = Entry {
            captures: named.map(|(name, depth)| (name.into(), depth)).collect(),
            methods: row.methods.to_vec(),
            order,
            pattern: row.pattern.into(),
        };
        if pattern.tail {
            node.tails.push(entry);
        } else {
            node.ends.push(entry);
        }
    }

    /// Shows `visit` every node that the front of `path` leads to, and whether the path ends there; of an open path also
    /// those where it could end.
    fn walk<'n>(
        &'n self,
        path: &[Cow<'_, str>],
        open: bool,
        visit: &mut impl FnMut(&'n Self, bool),
    ) {
        visit(self, path.is_empty());
        match path.split_first() {
            Some((segment, rest)) => {
                for child in self.children(segment) {
                    child.walk(rest, open, visit);
                }
            }
            None if open => {
                for child in self.all_children() {
                    child.walk(path, open, visit);
                }
            }
            None => {}
        }
    }

    fn all_children(&self) -> impl Iterator<Item = &Self> {
        let prefixes = self.prefixes.values().flat_map(HashMap::values);
        let literals = self.literals.values();
        literals.chain(prefixes).chain(self.any.as_deref())
    }

    fn children(&self, segment: &str) -> impl Iterator<Item = &Self> {
        let prefixes = self.prefixes.iter();
        let prefixes = prefixes.filter_map(move |(length, same_length)| {
            // `None` within a character: no prefix ends there.
            same_length.get(segment.get(..*length)?)
        });
        let literal = self.literals.get(segment).into_iter();
        literal.chain(prefixes).chain(self.any.as_deref())
    }
}

/// A row that cannot be compiled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PatternError {
    /// The rule's place, as given in the [`Row`].
    pub rule: usize,
    /// The pattern, as given in the [`Row`].
    pub pattern: String,
    /// What is wrong.
    pub problem: PatternProblem,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pattern {:?}: {}", self.pattern, self.problem)
    }
}

impl Error for PatternError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop_oneof, proptest};
    use proptest::{collection, prop_assert_eq, sample};

    use super::*;

    fn build(patterns: &[&str]) -> Matcher {
        let rows = patterns.iter().enumerate();
        Matcher::build(rows.map(|(rule, pattern)| Row {
            rule,
            methods: &[],
            pattern,
        }))
        .expect("right patterns")
    }

    /// The rows that take a request, in the order in which they are offered: rule, pattern, captures.
    type Offers = Vec<(usize, String, Vec<(String, String)>)>;

    fn offers(matcher: &Matcher, method: &str, path: &str) -> Offers {
        let path = PathSegments::parse(path).expect("one reading");
        let mut offers = Vec::new();
        matcher.first(method, &path, |rule, params| {
            let captured = params
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            offers.push((rule, params.pattern().to_owned(), captured.collect()));
            None::<()>
        });
        offers
    }

    #[test]
    fn each_kind_of_segment_takes_what_it_says() {
        let table: &[(&str, &str, bool)] = &[
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/", false),
            ("/a", "/a", true),
            ("/a", "/a/", true),
            ("/a", "/A", false),
            ("/a", "/a/b", false),
            ("/a", "/ab", false),
            ("/a/b", "/a", false),
            ("/café", "/caf%C3%A9", true),
            ("/café", "/caf%c3%a9", true),
            ("/a b", "/a%20b", true),
            ("/a+b", "/a%20b", false),
            ("/a+b", "/a%2Bb", true),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/**", true),
            ("/a/*", "/a", false),
            ("/a/*", "/a/", false),
            ("/a/*", "/a/b/c", false),
            ("/*/b", "/a/b", true),
            ("/{id}", "/a", true),
            ("/{id}", "/", false),
            ("/{id}", "/a/b", false),
            ("/openapi*", "/openapi", true),
            ("/openapi*", "/openapi.json", true),
            ("/openapi*", "/openap", false),
            ("/openapi*", "/OpenAPI", false),
            ("/openapi*", "/openapi/x", false),
            ("/openapi*/x", "/openapi-3/x", true),
            ("/caf*", "/caf%C3%A9", true),
            ("/café*", "/caf%C3%A8", false),
            ("/**", "/", true),
            ("/**", "/a/b/c", true),
            ("/a/**", "/a", true),
            ("/a/**", "/a/", true),
            ("/a/**", "/a/b/c/", true),
            ("/a/**", "/", false),
            ("/a/**", "/ab", false),
            ("/{id}/**", "/", false),
            ("/a", "/%2A", false),
            ("/a", "/*", false),
        ];
        for (pattern, path, want) in table {
            let got = !offers(&build(&[pattern]), "GET", path).is_empty();
            assert_eq!(got, *want, "{pattern} takes {path}");
        }
    }

    #[test]
    fn the_first_rule_decides_however_general() {
        let matcher = build(&["/a/**", "/a/b", "/a/{id}", "/*/b", "/a/b*", "/**", "/a/b"]);
        let table: &[(&str, &[usize])] = &[
            ("/a/b", &[0, 1, 2, 3, 4, 5, 6]),
            ("/a/bc", &[0, 2, 4, 5]),
            ("/c/b", &[3, 5]),
            ("/a", &[0, 5]),
            ("/", &[5]),
        ];
        for (path, want) in table {
            let rules = offers(&matcher, "GET", path)
                .into_iter()
                .map(|(rule, ..)| rule);
            assert!(rules.eq(want.iter().copied()), "{path}");
        }
    }

    #[test]
    fn the_search_ends_where_a_rule_is_accepted() {
        let matcher = build(&["/**", "/{name}", "/a"]);
        let path = PathSegments::parse("/a").expect("one reading");
        let mut offered = Vec::new();
        let found = matcher.first("GET", &path, |rule, params| {
            offered.push(rule);
            params.get("name").map(|name| (name, params.pattern()))
        });
        assert_eq!(found, Some(("a", "/{name}")));
        assert_eq!(offered, [0, 1]);
        assert_eq!(matcher.first("GET", &path, |_, _| None::<()>), None);
    }

    #[test]
    fn rules_come_in_their_order_whatever_the_order_of_rows() {
        let rows = [(2, "/a"), (0, "/**"), (1, "/{x}"), (0, "/*")];
        let rows = rows.map(|(rule, pattern)| Row {
            rule,
            methods: &[],
            pattern,
        });
        let matcher = Matcher::build(rows).expect("right patterns");
        let got = offers(&matcher, "GET", "/a")
            .into_iter()
            .map(|(rule, pattern, _)| (rule, pattern));
        let want = [(0, "/**"), (0, "/*"), (1, "/{x}"), (2, "/a")];
        assert!(got.eq(want.map(|(rule, pattern)| (rule, pattern.to_owned()))));
    }

    #[test]
    fn methods_are_compared_exactly() {
        let methods = ["GET", "PUT"].map(str::to_owned);
        let row = Row {
            rule: 0,
            methods: &methods,
            pattern: "/a",
        };
        let matcher = Matcher::build([row]).expect("right pattern");
        for (method, want) in [
            ("GET", true),
            ("PUT", true),
            ("POST", false),
            ("get", false),
            ("HEAD", false),
            ("", false),
        ] {
            assert_eq!(!offers(&matcher, method, "/a").is_empty(), want, "{method}");
        }
        assert_eq!(offers(&build(&["/a"]), "BREW", "/a").len(), 1);
    }

    #[test]
    fn captures_are_the_decoded_segments() {
        let matcher = build(&["/users/{user}/*/{item-id}/**"]);
        let path = PathSegments::parse("/users/j%C3%BC%40b/x/7/rest").expect("one reading");
        let found = matcher
            .first("GET", &path, |_, params| Some(*params))
            .expect("a match");
        assert_eq!(found.get("user"), Some("jü@b"));
        assert_eq!(found.get("item-id"), Some("7"));
        assert_eq!(found.get("x"), None);
        assert!(found.iter().eq([("user", "jü@b"), ("item-id", "7")]));
    }

    #[test]
    fn rows_of_one_shape_keep_their_own_names() {
        let matcher = build(&["/{a}/x", "/{b}/x"]);
        let got = offers(&matcher, "GET", "/1/x")
            .into_iter()
            .map(|(_, _, captured)| captured);
        assert!(got.eq(["a", "b"].map(|name| vec![(name.to_owned(), "1".to_owned())])));
    }

    #[test]
    fn an_empty_matcher_takes_nothing() {
        assert_eq!(offers(&build(&[]), "GET", "/"), []);
    }

    #[test]
    fn every_wrong_row_is_reported_with_its_pattern() {
        let methods = ["get", "PUT", "A B"].map(str::to_owned);
        let rows = [
            Row {
                rule: 0,
                methods: &[],
                pattern: "/right",
            },
            Row {
                rule: 1,
                methods: &methods,
                pattern: "/a//b",
            },
            Row {
                rule: 2,
                methods: &[],
                pattern: "/{id}/{id}",
            },
        ];
        let errors = Matcher::build(rows).expect_err("wrong rows");
        let got = errors
            .iter()
            .map(|it| (it.rule, it.to_string()))
            .collect::<Vec<_>>();
        let want = [
            (
                1,
                r#"pattern "/a//b": method "get" is not one: write a word in upper case"#,
            ),
            (
                1,
                r#"pattern "/a//b": method "A B" is not one: write a word in upper case"#,
            ),
            (
                1,
                r#"pattern "/a//b": write single slashes, and none at the end"#,
            ),
            (
                2,
                r#"pattern "/{id}/{id}": {id} stands there twice: rename one"#,
            ),
        ];
        assert_eq!(got, want.map(|(rule, text)| (rule, text.to_owned())));
    }

    fn visited(matcher: &Matcher, path: &str) -> usize {
        let path = PathSegments::parse(path).expect("one reading");
        let mut visited = 0;
        matcher
            .root
            .walk(path.as_slice(), false, &mut |_, _| visited += 1);
        visited
    }

    #[test]
    fn the_cost_of_a_lookup_does_not_grow_with_the_rows() {
        let product = |n: usize| {
            [
                format!("/product{n}/{{id}}/items"),
                format!("/open{n}/beta*"),
                format!("/v{n}-x*"),
            ]
        };
        for rows in [1, 50, 943] {
            let patterns = (100..100 + rows).flat_map(product).collect::<Vec<_>>();
            let matcher = build(&patterns.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(visited(&matcher, "/product100/7/items"), 4, "{rows}");
            assert_eq!(visited(&matcher, "/open100/beta-2"), 3, "{rows}");
            assert_eq!(visited(&matcher, "/v100-x7"), 2, "{rows}");
            assert_eq!(visited(&matcher, "/other/7/items"), 1, "{rows}");
        }
    }

    #[test]
    fn no_path_visits_more_nodes_than_there_are() {
        let patterns = [
            "/*/*/*/*/x",
            "/a/*/a/*/x",
            "/*/a/*/a/x",
            "/a*/a*/a*/a*/x",
            "/a/a/a/a/x",
            "/**",
            "/*/**",
            "/a/**",
        ];
        let matcher = build(&patterns);
        let nodes = count(&matcher.root);
        for path in ["/a/a/a/a/x".to_owned(), "/a".repeat(64), "/".to_owned()] {
            assert!(visited(&matcher, &path) <= nodes, "{path}");
        }
    }

    fn count(node: &Node) -> usize {
        let prefixes = node.prefixes.values().flat_map(HashMap::values);
        let children = node
            .literals
            .values()
            .chain(prefixes)
            .chain(node.any.as_deref());
        1 + children.map(count).sum::<usize>()
    }

    /// What `pattern` captures of `path`, if it takes it, read straight off the table in [`Row`].
    fn naive(pattern: &[&str], path: &[&str]) -> Option<Vec<(String, String)>> {
        let (first, rest) = match (pattern, path) {
            ([], []) | (["**"], _) => return Some(Vec::new()),
            ([first, rest @ ..], [_, ..]) => (*first, rest),
            _ => return None,
        };
        let mut captured = Vec::new();
        if let Some(name) = first.strip_prefix('{') {
            captured.push((name.trim_end_matches('}').to_owned(), path[0].to_owned()));
        } else if let Some(prefix) = first.strip_suffix('*') {
            path[0].starts_with(prefix).then_some(())?;
        } else {
            (first == path[0]).then_some(())?;
        }
        captured.extend(naive(rest, &path[1..])?);
        Some(captured)
    }

    fn pattern() -> impl Strategy<Value = String> {
        let word = sample::select(vec!["a", "b", "ab", "é"]).prop_map(str::to_owned);
        let segment = prop_oneof![
            3 => word.clone(),
            1 => word.prop_map(|it| format!("{it}*")),
            1 => sample::select(vec!["*", "{}"]).prop_map(str::to_owned),
        ];
        (collection::vec(segment, 0..5), proptest::bool::ANY).prop_map(|(segments, tail)| {
            let named = segments
                .iter()
                .enumerate()
                .map(|(at, it)| it.replace("{}", &format!("{{p{at}}}")));
            let tail = tail.then(|| "**".to_owned());
            format!("/{}", named.chain(tail).collect::<Vec<_>>().join("/"))
        })
    }

    fn row() -> impl Strategy<Value = (usize, Vec<String>, String)> {
        let methods = sample::subsequence(vec!["GET", "POST"], 0..=2);
        let methods = methods.prop_map(|it| it.into_iter().map(str::to_owned).collect());
        (0..10_usize, methods, pattern())
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_the_rows_read_one_by_one(
            mut rows in collection::vec(row(), 0..30),
            path in "(/(a|b|ab|abc|ba|%C3%A9|a%C3%A9)){0,5}/?",
            method in sample::select(vec!["GET", "POST", "PUT"]),
        ) {
            let path = if path.is_empty() { "/" } else { &path };
            let compiled = rows.iter().map(|(rule, methods, pattern)| Row { rule: *rule, methods, pattern });
            let got = offers(&Matcher::build(compiled).expect("right rows"), method, path);

            let segments = PathSegments::parse(path).expect("one reading");
            let segments = segments.iter().collect::<Vec<_>>();
            rows.sort_by_key(|(rule, ..)| *rule);
            let want = rows.into_iter().filter_map(|(rule, methods, pattern)| {
                let wanted = methods.is_empty() || methods.iter().any(|it| it == method);
                let steps = pattern.split('/').filter(|it| !it.is_empty()).collect::<Vec<_>>();
                let captured = naive(&steps, &segments).filter(|_| wanted)?;
                Some((rule, pattern, captured))
            });
            prop_assert_eq!(got, want.collect::<Offers>());
        }
    }
}
