//! What a rule says: which requests it is about, and what it demands of whoever makes them.
//!
//! Apart from the policy, which finds the rule and makes the permit.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::decision::{Denial, Reason};
use crate::identity::{Holder, Lineage};
use crate::policy::Refusal;
use crate::policy::claims::Conditions;
use crate::policy::matcher::Params;
use crate::policy::path::PathSegments;
use crate::request::RequestView;
use crate::trace::Demands;

/// A rule as a configuration writes it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawRule {
    /// What metadata, `explain` and logs call it; `rules[N]` where absent.
    pub name: Option<String>,
    /// Methods it matches; absent: any.
    pub methods: Option<Vec<String>>,
    /// Paths it matches: `/a/b`, `/a/*`, `/a/{name}`, `/a/**`.
    pub paths: Vec<String>,
    /// Headers that must be there for it to match.
    pub with_headers: Vec<String>,
    /// Segments of which none may stand in what `**` takes, for it to match: names that an
    /// upstream understands wherever they stand.
    pub rest_without: Vec<String>,
    /// What `**` takes is the upstream's own, and may be what readers could take for different things
    /// (`a%2Fb`, `a;b`, `100%25`); else such a path is a 400. Nothing may lead out of what stands before `**`.
    pub rest_unclear: bool,
    /// `public`: no credential is needed; a bad one is denied all the same.
    pub allow: Option<Allow>,
    /// Schemes it accepts, by their names in the platform; absent: any of the platform.
    pub schemes: Option<Vec<String>>,
    /// Scopes of which the identity must have one.
    pub scopes_any: Option<Vec<String>>,
    /// Roles of which the identity must have one.
    pub roles_any: Option<Vec<String>>,
    /// What claims of the identity's token must be, such as `tier: { equals: gold }`.
    pub claims: Conditions,
    /// How the identity must be related to what the path names.
    pub relation: Option<Relation>,
    /// Goes to the issue listener: Check injects the signed context that it demands.
    pub issue: bool,
}

/// What a rule allows beyond identities.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Allow {
    /// Requests without any credential.
    Public,
}

/// A relation between the identity and what the path names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// `{account}` in the path is the identity's account.
    OwnAccount,
    /// It is the identity's account, or one below it.
    OwnOrDescendantAccount,
}

impl Relation {
    /// Gives the name that configurations use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OwnAccount => "own_account",
            Self::OwnOrDescendantAccount => "own_or_descendant_account",
        }
    }

    /// Tells whether the identity stands so to the account that the path names.
    pub(super) fn holds(
        self,
        named: Option<&str>,
        identity: &Holder,
        lineages: &[Arc<Lineage>],
    ) -> Result<(), Refusal> {
        let other = || Denial::new(Reason::Relation, "the path names another account");
        let (Some(named), Some(own)) = (named, identity.account()) else {
            return Err(other().into());
        };
        if named == own {
            return Ok(());
        }
        match (self, lineages.iter().find(|it| it.account == named)) {
            (Self::OwnOrDescendantAccount, None) => Err(Refusal::NeedsLineage(named.to_owned())),
            (Self::OwnOrDescendantAccount, Some(it)) if it.ancestors.iter().any(|it| it == own) => {
                Ok(())
            }
            _ => Err(other().into()),
        }
    }
}

/// A rule, compiled.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) public: bool,
    pub(super) schemes: Option<Vec<String>>,
    pub(super) scopes_any: Vec<String>,
    pub(super) roles_any: Vec<String>,
    pub(super) claims: Conditions,
    pub(super) with_headers: Vec<String>,
    pub(super) rest_without: Vec<String>,
    pub(super) rest_unclear: bool,
    pub(super) relation: Option<Relation>,
    pub(super) issue: bool,
}

impl Rule {
    /// Compiles one; `index` is its place among the platform's.
    pub(super) fn of(index: usize, raw: RawRule) -> Self {
        Self {
            name: raw.name.unwrap_or_else(|| format!("rules[{index}]")).into(),
            public: raw.allow == Some(Allow::Public),
            schemes: raw.schemes,
            scopes_any: raw.scopes_any.unwrap_or_default(),
            roles_any: raw.roles_any.unwrap_or_default(),
            claims: raw.claims,
            with_headers: raw.with_headers,
            rest_without: raw.rest_without,
            rest_unclear: raw.rest_unclear,
            relation: raw.relation,
            issue: raw.issue,
        }
    }

    /// Tells whether the rule matches a request whose method and path fit one of its patterns.
    pub(super) fn matches(
        &self,
        request: &RequestView<'_>,
        path: &PathSegments<'_>,
        params: &Params<'_>,
    ) -> bool {
        !self.is_unwanted(path, params) && self.has_headers(request)
    }

    /// Tells whether a segment stands in what `**` takes that may not.
    fn is_unwanted(&self, path: &PathSegments<'_>, params: &Params<'_>) -> bool {
        if self.rest_without.is_empty() {
            return false;
        }
        // `/a/{b}/**` is four parts around its slashes, and two segments stand before the rest.
        let before_rest = params.pattern().split('/').count().saturating_sub(2);
        let mut rest = path.iter().skip(before_rest);
        rest.any(|it| self.rest_without.iter().any(|name| name == it))
    }

    /// Tells whether an upstream may find one of those headers where the rule does not.
    pub(super) fn is_mistakable(&self, request: &RequestView<'_>) -> bool {
        let mut named = self.with_headers.iter();
        named.any(|it| request.headers.have_alike(it))
    }

    /// Tells whether the headers are there without which the rule does not match.
    pub(super) fn has_headers(&self, request: &RequestView<'_>) -> bool {
        let mut named = self.with_headers.iter();
        named.all(|it| request.headers.contains(it))
    }

    /// Tells whether the rule takes an open path ([`PathSegments::is_open`]) however the rest is read.
    pub(super) fn takes_open(&self, params: &Params<'_>) -> bool {
        self.rest_unclear && params.takes_any_rest()
    }

    pub(super) fn demands(&self) -> Demands {
        Demands {
            public: self.public,
            schemes: self.schemes.clone(),
            roles_any: self.roles_any.clone(),
            scopes_any: self.scopes_any.clone(),
            claims: self
                .claims
                .iter()
                .map(|(name, condition)| format!("{name} {condition}"))
                .collect(),
            relation: self.relation.map(|it| it.name().into()),
        }
    }
}
