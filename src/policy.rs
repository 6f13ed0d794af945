//! May this identity do what this request asks? Rules over a request, an identity and facts.
//!
//! Pure: no I/O, no clock of its own, so a verdict can be explained and tested as a table. The
//! first rule that matches decides; where none matches, the answer is no. This is the only place
//! where a [`Permit`] can be made, and an allow answer cannot be built without one.

pub mod claims;
pub mod matcher;
pub mod path;
mod refusal;
mod rule;
pub mod tunnel;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::decision::{Denial, Reason};
use crate::identity::{Holder, Lineage, Terms};
use crate::policy::matcher::{Matcher, Params, PatternError, Row};
use crate::policy::path::PathSegments;
pub use crate::policy::refusal::Refusal;
use crate::policy::rule::Rule;
pub use crate::policy::rule::{Allow, RawRule, Relation};
use crate::policy::tunnel::MethodOverride;
use crate::request::{RequestView, mistakable_header};
use crate::trace::{Fit, PassedOver, Step, Trace};

/// Why a path that has several readings is refused.
pub const UNCLEAR: &str = "readers could take the path for different things";

/// What an identity may do beyond what it carries, and how requests are read for the rules.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// A header that names the account acted for; it must be the identity's own.
    pub account_header: Option<String>,
    /// Where a second method may stand.
    pub method_override: MethodOverride,
    /// Scopes that a role grants.
    pub role_scopes: BTreeMap<String, Vec<String>>,
    /// Whether there are endpoints that issue; without, rules that lead to them count for nothing.
    pub issuing: bool,
}

/// A platform's rules, compiled.
#[derive(Debug)]
pub struct Policy {
    matcher: Matcher,
    rules: Vec<Rule>,
    extras: Extras,
    token_marks: Vec<String>,
}

/// What a verdict depends on besides the request and the identity.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'f> {
    /// The client's address, where it is known.
    pub client_address: Option<IpAddr>,
    /// The time, in Unix seconds.
    pub now: u64,
    /// Where accounts that the path names stand, once a rule has asked.
    pub lineages: &'f [Arc<Lineage>],
}

/// What the rules are asked about.
#[derive(Clone, Copy)]
struct Asking<'a> {
    request: &'a RequestView<'a>,
    path: &'a PathSegments<'a>,
    identity: Option<&'a Holder>,
    lineages: &'a [Arc<Lineage>],
}

/// Leave to pass. Only [`Policy::admit`] makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    identity: Option<Arc<Holder>>,
    rule: Arc<str>,
    issues: bool,
}

impl Permit {
    /// Whose request it is; `None` on a public rule without credentials.
    #[must_use]
    pub fn identity(&self) -> Option<&Holder> {
        self.identity.as_deref()
    }

    /// The rule that let it pass.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Whether the request goes to the issue listener.
    #[must_use]
    pub fn issues(&self) -> bool {
        self.issues
    }
}

/// Finds the fixed segments before a part of a path that a rule calls a token, a secret or a password.
fn token_marks(rules: &[RawRule]) -> Vec<String> {
    let is_token = |it: &str| {
        let name = it.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        name.is_some_and(|it| {
            ["token", "secret", "password"]
                .iter()
                .any(|end| it.ends_with(end))
        })
    };
    let mut marks: Vec<String> = Vec::new();
    for path in rules.iter().flat_map(|it| &it.paths) {
        for (mark, _) in path
            .split('/')
            .zip(path.split('/').skip(1))
            .filter(|it| is_token(it.1))
        {
            let mark = mark.to_ascii_lowercase();
            let is_fixed = !mark.is_empty() && !mark.contains(['{', '*']);
            if is_fixed && !marks.contains(&mark) {
                marks.push(mark);
            }
        }
    }
    marks
}

impl Policy {
    /// Compiles rules, in their order.
    ///
    /// # Errors
    /// Every pattern that cannot be compiled, with the rule it stands in.
    pub fn build(rules: Vec<RawRule>, extras: Extras) -> Result<Self, Vec<PatternError>> {
        let row = |rule| {
            let raw: &RawRule = &rules[rule];
            raw.paths.iter().map(move |it| Row {
                rule,
                methods: raw.methods.as_deref().unwrap_or_default(),
                pattern: it,
            })
        };
        let matcher = Matcher::build((0..rules.len()).flat_map(row))?;
        let token_marks = token_marks(&rules);
        let rules = rules.into_iter().enumerate();
        let rules = rules.map(|(index, raw)| Rule::of(index, raw));
        Ok(Self {
            matcher,
            rules: rules.collect(),
            extras,
            token_marks,
        })
    }

    /// Tells whether rules that lead to endpoints which issue count.
    #[must_use]
    pub fn issues(&self) -> bool {
        self.extras.issuing
    }

    /// Gives the segments behind which a path holds a token, as `user_auth` in `/user_auth/{token}`; in lower case.
    pub fn token_marks(&self) -> impl Iterator<Item = &str> {
        self.token_marks.iter().map(String::as_str)
    }

    /// Reads the front of a path that has several readings, where a rule may take it all the same.
    #[must_use]
    pub fn front<'p>(&self, path: &'p str) -> Option<PathSegments<'p>> {
        let unclear = self.rules.iter().any(|it| it.rest_unclear);
        unclear.then(|| PathSegments::front(path)).flatten()
    }

    /// Gives the header that names the account acted for, where the platform has one.
    #[must_use]
    pub fn account_header(&self) -> Option<&str> {
        self.extras.account_header.as_deref()
    }

    /// Gives the headers that an upstream may take another path or method from than the judged ones.
    pub fn misleading_headers(&self) -> impl Iterator<Item = &str> {
        self.extras.method_override.misleading()
    }

    /// Admits the request, if and only if a rule does and the identity's constraints hold. The identity, where there
    /// is one, was vouched for by a scheme. Every rule that is looked at is told to `trace`.
    ///
    /// # Errors
    /// Why not, or what must be known first.
    pub fn admit(
        &self,
        request: &RequestView<'_>,
        path: &PathSegments<'_>,
        identity: Option<Arc<Holder>>,
        facts: Facts<'_>,
        trace: &impl Trace,
    ) -> Result<Permit, Refusal> {
        if let Some(identity) = &identity {
            self.hold_constraints(request, identity, facts)?;
        }
        let asking = Asking {
            request,
            path,
            identity: identity.as_deref(),
            lineages: facts.lineages,
        };
        let mut rule = self.rule_for(request.method, &asking, trace)?;
        if let Some(method) = self.extras.method_override.asked(request)? {
            // An upstream that honours the override and one that does not must both be safe.
            rule = self.rule_for(&method, &asking, trace)?;
        }
        Ok(Permit {
            identity,
            rule: Arc::clone(&rule.name),
            issues: rule.issue,
        })
    }

    fn hold_constraints(
        &self,
        request: &RequestView<'_>,
        identity: &Holder,
        facts: Facts<'_>,
    ) -> Result<(), Denial> {
        if identity.expires().is_some_and(|it| it <= facts.now) {
            return Err(Denial::new(Reason::Expired, "the credential has expired"));
        }
        let allowed = &identity.terms.allowed_addresses;
        let inside = |address: IpAddr| allowed.iter().any(|it| it.contains(&address));
        if !allowed.is_empty() && !facts.client_address.is_some_and(inside) {
            let detail = "the client's address is not among those allowed";
            return Err(Denial::new(Reason::Address, detail));
        }
        if let Some(header) = &self.extras.account_header
            && let Some(account) = request.headers.single_unmistakable(header)?
            && identity.account() != Some(account)
        {
            let detail = "the account header names another account than the credential's";
            return Err(Denial::new(Reason::AccountMismatch, detail));
        }
        Ok(())
    }

    fn rule_for(
        &self,
        method: &str,
        asking: &Asking<'_>,
        trace: &impl Trace,
    ) -> Result<&Rule, Refusal> {
        let Asking { request, path, .. } = *asking;
        let verdict = self.matcher.first(method, path, |index, params| {
            let rule = &self.rules[index];
            let verdict = if rule.issue && !self.extras.issuing {
                Err(PassedOver::NothingIssued)
            } else if rule.is_mistakable(request) {
                Ok(Err(mistakable_header().into()))
            } else if path.is_open() && rule.has_headers(request) && !rule.takes_open(params) {
                // It takes one reading and not another, so from here on nobody knows which rule comes first.
                Ok(Err(Denial::new(Reason::Path, UNCLEAR).into()))
            } else if rule.matches(request, path, params) {
                Ok(self
                    .judge(rule, params, asking)
                    .map_err(|it| it.under(&rule.name)))
            } else {
                Err(PassedOver::Request)
            };
            let told = match &verdict {
                Err(why) => Err(*why),
                Ok(Ok(())) => Ok(Ok(())),
                Ok(Err(Refusal::Denied(denial))) => Ok(Err(denial.clone())),
                // Asked again, it tells.
                Ok(Err(Refusal::NeedsLineage(_))) => {
                    return verdict.ok().map(|it| it.map(|()| rule));
                }
            };
            trace.step(|| {
                let owned = |it: (&str, &str)| (it.0.to_owned(), it.1.to_owned());
                Step::Rule(Box::new(Fit {
                    rule: Arc::clone(&rule.name),
                    method: method.to_owned(),
                    pattern: params.pattern().to_owned(),
                    captures: params.iter().map(owned).collect(),
                    demands: rule.demands(),
                    issue: rule.issue,
                    verdict: told,
                }))
            });
            verdict.ok().map(|it| it.map(|()| rule))
        });
        let no_rule = || match path.is_open() {
            true => Denial::new(Reason::Path, UNCLEAR),
            false => Denial::new(Reason::NoRule, "no rule matches the request"),
        };
        verdict.unwrap_or_else(|| Err(no_rule().into()))
    }

    fn judge(&self, rule: &Rule, params: &Params<'_>, asking: &Asking<'_>) -> Result<(), Refusal> {
        if rule.public {
            return Ok(());
        }
        let Some(identity) = asking.identity else {
            return Err(Denial::new(Reason::Missing, "no credential was presented").into());
        };
        let terms = &*identity.terms;
        let accepts = |it: &Vec<String>| it.iter().any(|it| **it == *terms.scheme);
        if !rule.schemes.as_ref().is_none_or(accepts) {
            let detail = "the rule does not accept this scheme";
            return Err(Denial::new(Reason::SchemeNotAccepted, detail).into());
        }
        if !rule.roles_any.is_empty() && !rule.roles_any.iter().any(|it| terms.roles.contains(it)) {
            let detail = "the identity has none of the rule's roles";
            return Err(Denial::new(Reason::Role, detail).into());
        }
        if rule.scopes_any.is_empty() && terms.only_scopes {
            let detail = "the credential is good only where one of its scopes is asked for";
            return Err(Denial::new(Reason::Scope, detail).into());
        }
        if !rule.scopes_any.is_empty() && !rule.scopes_any.iter().any(|it| self.grants(terms, it)) {
            let detail = "the identity has none of the rule's scopes";
            return Err(Denial::new(Reason::Scope, detail).into());
        }
        if !claims::hold(&rule.claims, &terms.claims) {
            let detail = "a claim is not what the rule demands";
            return Err(Denial::new(Reason::Scope, detail).into());
        }
        match rule.relation {
            Some(relation) => relation.holds(params.get("account"), identity, asking.lineages),
            None => Ok(()),
        }
    }

    /// Tells whether a rule asks for the scope, or a role grants it.
    #[must_use]
    pub fn names_scope(&self, scope: &str) -> bool {
        let rules = self.rules.iter().flat_map(|it| &it.scopes_any);
        let granted = self.extras.role_scopes.values().flatten();
        rules.chain(granted).any(|it| it == scope)
    }

    fn grants(&self, terms: &Terms, scope: &String) -> bool {
        let by_role = |role: &String| self.extras.role_scopes.get(role);
        let mut roles = terms.roles.iter().filter_map(by_role);
        terms.scopes.contains(scope) || (!terms.only_scopes && roles.any(|it| it.contains(scope)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::request::query::Query;
    use crate::trace::Untraced;

    #[test]
    fn what_stands_before_a_token_in_a_path_is_known() {
        let rules = serde_json::from_value(serde_json::json!([
            { "paths": ["/v1/User_Auth/{token}", "/v2/user_auth/{auth_token}/more", "/{account}/{token}"] },
            { "paths": ["/reset/{reset_secret}", "/ids/{id}", "/tokens/*", "/{token}"] },
        ]));
        let policy = Policy::build(rules.unwrap(), Extras::default()).unwrap();
        let marks: Vec<_> = policy.token_marks().collect();
        assert_eq!(marks, ["user_auth", "reset"]);
    }

    fn policy() -> Policy {
        let rules: Vec<RawRule> = serde_json::from_value(serde_json::json!([
            { "methods": ["OPTIONS"], "paths": ["/**"], "allow": "public", "with_headers": ["origin"] },
            { "methods": ["GET"], "paths": ["/public/**"], "allow": "public" },
            { "paths": ["/keys"], "schemes": ["basic"] },
            { "methods": ["POST"], "paths": ["/sms"], "scopes_any": ["message:send", "sms:manage"] },
            { "paths": ["/admin/**"], "roles_any": ["admin"] },
            { "paths": ["/accounts/{account}/**"], "relation": "own_account", "rest_without": ["sup"] },
            { "paths": ["/tree/{account}/**"], "relation": "own_or_descendant_account" },
            { "paths": ["/gold"], "claims": { "tier": { "equals": "gold" } } },
            { "name": "anything", "methods": ["GET", "OPTIONS"], "paths": ["/any/**"] },
            { "paths": ["/files/secret/**"], "methods": ["PUT"], "roles_any": ["admin"] },
            { "name": "files", "paths": ["/files/{owner}/**"], "methods": ["GET", "PUT"], "rest_unclear": true },
            { "name": "all files", "paths": ["/files/**"], "methods": ["GET"], "rest_unclear": true },
            { "name": "a file", "paths": ["/docs/{name}/**"], "methods": ["GET"] },
        ]))
        .unwrap();
        let extras = Extras {
            account_header: Some("x-account".to_owned()),
            method_override: MethodOverride {
                headers: vec!["x-http-method-override".to_owned()],
                query: vec!["verb".to_owned()],
            },
            role_scopes: [("sender".to_owned(), vec!["message:send".to_owned()])].into(),
            issuing: false,
        };
        Policy::build(rules, extras).unwrap()
    }

    fn identity() -> Identity {
        Identity {
            account: Some("a1".into()),
            scheme: "key".into(),
            ..Identity::default()
        }
    }

    fn reason(refusal: Refusal) -> Reason {
        match refusal {
            Refusal::Denied(denial) => denial.reason(),
            Refusal::NeedsLineage(account) => panic!("needs the lineage of {account}"),
        }
    }

    /// `METHOD PATH?QUERY [header: value]…`, judged for the identity.
    #[track_caller]
    fn check(request: &str, identity: Option<Identity>, want: Result<&str, Reason>) {
        let got = judge(request, identity, &[]).map_err(reason);
        assert_eq!(got, want.map(str::to_owned), "{request}");
    }

    fn judge(
        request: &str,
        identity: Option<Identity>,
        lineages: &[Arc<Lineage>],
    ) -> Result<String, Refusal> {
        let facts = Facts {
            client_address: "10.1.2.3".parse().ok(),
            now: 1000,
            lineages,
        };
        let mut lines = request.split('\n');
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines
            .map(|it| it.split_once(": ").unwrap())
            .map(|(k, v)| (k, v.as_bytes()));
        let view = RequestView {
            method,
            path,
            query: Query::parse(query),
            headers: headers.collect(),
            ..RequestView::default()
        };
        let read = PathSegments::parse(path).ok();
        let path = read.or_else(|| policy().front(path)).expect("a front");
        let identity = identity.map(|it| Arc::new(it.into()));
        let permit = policy().admit(&view, &path, identity, facts, &Untraced)?;
        Ok(permit.rule().to_owned())
    }

    #[test]
    fn a_rule_by_headers_takes_no_header_that_only_looks_like_one() {
        let rules = serde_json::from_value(serde_json::json!([
            { "paths": ["/**"], "with_headers": ["x-as-admin"], "roles_any": ["admin"] },
            { "paths": ["/**"], "allow": "public" },
        ]));
        let policy = Policy::build(rules.unwrap(), Extras::default()).unwrap();
        let path = PathSegments::parse("/a").unwrap();
        for (name, want) in [
            ("x-as-admin", Some(401)),
            ("X-As-Admin", Some(401)),
            ("x_as_admin", Some(400)),
            ("x-as-admins", None),
        ] {
            let view = RequestView {
                method: "GET",
                path: "/a",
                headers: [(name, &b"1"[..])].into_iter().collect(),
                ..RequestView::default()
            };
            let got = policy.admit(&view, &path, None, Facts::default(), &Untraced);
            let got = got.err().map(|it| match it {
                Refusal::Denied(denial) => denial.status(),
                Refusal::NeedsLineage(_) => 0,
            });
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn an_account_below_ones_own_is_asked_for_and_admitted_only_where_it_is_one() {
        let judge = |path: &str, lineages: &[(&str, &[&str])]| {
            let lineages: Vec<_> = lineages
                .iter()
                .map(|(account, above)| {
                    Arc::new(Lineage {
                        account: (*account).to_owned(),
                        ancestors: above.iter().map(|&it| it.to_owned()).collect(),
                    })
                })
                .collect();
            judge(path, Some(identity()), &lineages)
        };
        let ok = Ok("rules[6]".to_owned());
        let needs = Err(Refusal::NeedsLineage("a9".to_owned()));
        assert_eq!(
            judge("GET /tree/a1/x", &[]),
            ok,
            "one's own asks for nothing"
        );
        assert_eq!(judge("GET /tree/a9/x", &[]), needs);
        assert_eq!(
            judge("GET /tree/a9/x", &[("a8", &["a1"])]),
            needs,
            "another's"
        );
        assert_eq!(judge("GET /tree/a9/x", &[("a9", &["a5", "a1"])]), ok);
        for above in [&[][..], &["a5"], &["a9"]] {
            let got = judge("GET /tree/a9/x", &[("a9", above)]).map_err(reason);
            assert_eq!(got, Err(Reason::Relation), "{above:?}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_no_rule_denies() {
        check("GET /public/a", None, Ok("rules[1]"));
        check("POST /public/a", None, Err(Reason::NoRule));
        check("GET /nowhere", Some(identity()), Err(Reason::NoRule));
        check("GET /any/x", None, Err(Reason::Missing));
        check("GET /any/x", Some(identity()), Ok("anything"));
        check("OPTIONS /any/x\norigin: https://a", None, Ok("rules[0]"));
        check("OPTIONS /any/x", None, Err(Reason::Missing));
    }

    #[test]
    fn what_is_unclear_falls_to_the_rule_that_takes_it_where_no_reading_falls_to_another() {
        let known =
            |request: &str, want: Result<&str, Reason>| check(request, Some(identity()), want);
        known("GET /files/u/a/b", Ok("files"));
        known("GET /files/u/a%2Fb", Ok("files"));
        known("PUT /files/u//a;b", Ok("files"));
        known("GET /files/u/a%2Fb?verb=PUT", Ok("files"));
        check("GET /files/u/a%2Fb", None, Err(Reason::Missing));
        // `a/b` would fall to another rule than `a%2Fb`.
        known("GET /files/a%2Fb", Err(Reason::Path));
        known("PUT /files/secret%2Fx", Err(Reason::Path));
        known("PUT /files/secret/a%2Fb", Err(Reason::Path));
        known("GET /files/secret/a%2Fb", Ok("files"));
        known("GET /files/secret/a%2Fb?verb=PUT", Err(Reason::Path));
        // Nobody says that these may be unclear.
        known("GET /docs/x/a%2Fb", Err(Reason::Path));
        known("GET /public/a;b", Err(Reason::Path));
        known("GET /files%2Fu/a", Err(Reason::Path));
        known("GET /nowhere/a%2Fb", Err(Reason::Path));
        known(
            "OPTIONS /files/u/a%2Fb\norigin: https://a",
            Err(Reason::Path),
        );
    }

    #[test]
    fn schemes_scopes_roles_and_relations_are_demanded() {
        let with = |change: fn(&mut Identity)| {
            let mut it = identity();
            change(&mut it);
            Some(it)
        };
        check(
            "GET /keys",
            Some(identity()),
            Err(Reason::SchemeNotAccepted),
        );
        check(
            "GET /keys",
            with(|it| it.scheme = "basic".into()),
            Ok("rules[2]"),
        );
        check("POST /sms", Some(identity()), Err(Reason::Scope));
        check(
            "POST /sms",
            with(|it| it.scopes = vec!["sms:logs:read".into()]),
            Err(Reason::Scope),
        );
        check(
            "POST /sms",
            with(|it| it.scopes = vec!["sms:manage".into()]),
            Ok("rules[3]"),
        );
        check(
            "POST /sms",
            with(|it| it.roles = vec!["sender".into()]),
            Ok("rules[3]"),
        );
        check(
            "GET /admin/x",
            with(|it| it.roles = vec!["user".into()]),
            Err(Reason::Role),
        );
        check(
            "GET /admin/x",
            with(|it| it.roles = vec!["admin".into()]),
            Ok("rules[4]"),
        );
        check("GET /gold", Some(identity()), Err(Reason::Scope));
        check(
            "GET /gold",
            with(|it| it.claims = [("tier".to_owned(), "gold".into())].into()),
            Ok("rules[7]"),
        );
        check("GET /accounts/a1/users", Some(identity()), Ok("rules[5]"));
        check(
            "GET /accounts/a2/users",
            Some(identity()),
            Err(Reason::Relation),
        );
        check(
            "GET /accounts/a1",
            with(|it| it.account = None),
            Err(Reason::Relation),
        );
    }

    #[test]
    fn constraints_hold_on_every_use_and_on_public_paths_too() {
        let with = |change: fn(&mut Identity)| {
            let mut it = identity();
            change(&mut it);
            Some(it)
        };
        for path in ["/any/x", "/public/x"] {
            let request = &format!("GET {path}");
            check(
                request,
                with(|it| it.expires = Some(1000)),
                Err(Reason::Expired),
            );
            let elsewhere = with(|it| it.allowed_addresses = vec!["10.2.0.0/16".parse().unwrap()]);
            check(request, elsewhere, Err(Reason::Address));
            let other = &format!("{request}\nx-account: a2");
            check(other, Some(identity()), Err(Reason::AccountMismatch));
        }
        check(
            "GET /any/x",
            with(|it| it.expires = Some(1001)),
            Ok("anything"),
        );
        let here = with(|it| it.allowed_addresses = vec!["10.1.0.0/16".parse().unwrap()]);
        check("GET /any/x", here, Ok("anything"));
        check(
            "GET /any/x\nx-account: a1",
            Some(identity()),
            Ok("anything"),
        );
    }

    #[test]
    fn an_address_that_is_not_known_is_not_allowed() {
        let identity = Identity {
            allowed_addresses: vec!["0.0.0.0/0".parse().unwrap()],
            ..identity()
        };
        let view = RequestView {
            method: "GET",
            path: "/any/x",
            ..RequestView::default()
        };
        let path = PathSegments::parse("/any/x").unwrap();
        let denial = policy().admit(
            &view,
            &path,
            Some(Arc::new(identity.into())),
            Facts::default(),
            &Untraced,
        );
        assert_eq!(denial.map(|_| ()).map_err(reason), Err(Reason::Address));
    }

    #[test]
    fn what_is_good_for_its_scopes_alone_passes_where_one_of_them_is_asked_for() {
        let with = |scopes: &[&str]| Identity {
            only_scopes: true,
            scopes: scopes.iter().map(|it| (*it).to_owned()).collect(),
            // Of the user that the key acts for.
            roles: vec!["sender".into(), "admin".into()],
            ..identity()
        };
        for (request, scopes, want) in [
            ("POST /sms", &["message:send"][..], Ok("rules[3]")),
            ("POST /sms", &["sms:logs:read"], Err(Reason::Scope)),
            ("POST /sms", &[], Err(Reason::Scope)),
            ("GET /any/x", &["message:send"], Err(Reason::Scope)),
            ("GET /any/x", &[], Err(Reason::Scope)),
            ("GET /admin/x", &["message:send"], Err(Reason::Scope)),
            ("GET /public/a", &[], Ok("rules[1]")),
        ] {
            check(request, Some(with(scopes)), want);
        }
    }

    #[test]
    fn a_scope_is_named_by_a_rule_or_a_role() {
        let policy = policy();
        for (scope, named) in [
            ("sms:manage", true),
            ("message:send", true),
            ("sms", false),
            ("", false),
        ] {
            assert_eq!(policy.names_scope(scope), named, "{scope}");
        }
    }

    #[test]
    fn a_permit_says_whether_its_rule_leads_to_the_issue_listener() {
        let rules: Vec<RawRule> = serde_json::from_value(serde_json::json!([
            { "paths": ["/login"], "allow": "public", "issue": true },
            { "paths": ["/**"], "allow": "public" },
        ]))
        .unwrap();
        let extras = Extras {
            issuing: true,
            ..Extras::default()
        };
        let policy = Policy::build(rules, extras).unwrap();
        for (path, issues) in [("/login", true), ("/other", false)] {
            let view = RequestView {
                method: "PUT",
                path,
                ..RequestView::default()
            };
            let path = PathSegments::parse(path).unwrap();
            let permit = policy.admit(&view, &path, None, Facts::default(), &Untraced);
            assert_eq!(permit.unwrap().issues(), issues);
        }
    }

    #[test]
    fn a_tunnelled_method_is_admitted_only_where_the_sent_one_is_too() {
        check("GET /public/a?verb=DELETE", None, Err(Reason::NoRule));
        check(
            "GET /public/a\nx-http-method-override: delete",
            None,
            Err(Reason::NoRule),
        );
        check(
            "GET /any/x?verb=OPTIONS\norigin: https://a",
            None,
            Err(Reason::Missing),
        );
        check("GET /public/a?verb=get", None, Ok("rules[1]"));
        check(
            "GET /public/a?verb=GET&verb=PUT",
            None,
            Err(Reason::Malformed),
        );
        check(
            "GET /public/a?verb=PUT\nx-http-method-override: GET",
            None,
            Err(Reason::Malformed),
        );
    }
}
