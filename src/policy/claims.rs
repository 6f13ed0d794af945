//! What a rule demands of claims, beyond the scopes and roles that they grant.
//!
//! A claim is compared as JSON is: `"7"` is not `7`. One that is not there, or is of another shape, meets no
//! condition.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Conditions on claims, by the claim's name; all of them must hold.
pub type Conditions = BTreeMap<String, Condition>;

/// What a claim must be.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// A list that holds this.
    Contains(Plain),
    /// This.
    Equals(Plain),
    /// One of these.
    OneOf(Vec<Plain>),
}

/// A value without parts.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(
    untagged,
    expecting = "expected a text, a whole number, `true` or `false`"
)]
pub enum Plain {
    /// `true` or `false`.
    Truth(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Plain {
    fn is(&self, claim: &Value) -> bool {
        match self {
            Self::Truth(it) => claim.as_bool() == Some(*it),
            Self::Number(it) => claim.as_i64() == Some(*it),
            Self::Text(it) => claim.as_str() == Some(it),
        }
    }
}

impl Condition {
    /// Tells whether the claim, if there is one, is so.
    fn holds(&self, claim: Option<&Value>) -> bool {
        let Some(claim) = claim else { return false };
        match self {
            Self::Contains(it) => {
                let list = claim.as_array();
                list.is_some_and(|all| all.iter().any(|one| it.is(one)))
            }
            Self::Equals(it) => it.is(claim),
            Self::OneOf(all) => all.iter().any(|it| it.is(claim)),
        }
    }

    /// Tells whether no claim could ever be so.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::OneOf(all) if all.is_empty())
    }
}

/// Tells whether every condition holds for the claims that are known.
pub(super) fn hold(conditions: &Conditions, claims: &BTreeMap<String, Value>) -> bool {
    conditions
        .iter()
        .all(|(name, condition)| condition.holds(claims.get(name)))
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth(it) => it.fmt(f),
            Self::Number(it) => it.fmt(f),
            Self::Text(it) => write!(f, "{it:?}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contains(it) => write!(f, "contains {it}"),
            Self::Equals(it) => write!(f, "equals {it}"),
            Self::OneOf(all) => {
                let all: Vec<_> = all.iter().map(Plain::to_string).collect();
                write!(f, "one of {}", all.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(conditions: &Value, claims: &Value, want: bool) {
        let parsed: Conditions = serde_json::from_value(conditions.clone()).unwrap();
        let known = serde_json::from_value(claims.clone()).unwrap();
        assert_eq!(hold(&parsed, &known), want, "{conditions} for {claims}");
    }

    #[test]
    fn a_claim_must_be_what_the_condition_says_in_kind_and_value() {
        let equals = json!({ "tier": { "equals": "gold" } });
        check(&equals, &json!({ "tier": "gold" }), true);
        for tier in [
            json!("Gold"),
            json!("gold "),
            json!(""),
            json!(["gold"]),
            json!(null),
        ] {
            check(&equals, &json!({ "tier": tier }), false);
        }
        check(&equals, &json!({}), false);
        check(&equals, &json!({ "Tier": "gold" }), false);
        let number = json!({ "level": { "equals": 7 } });
        check(&number, &json!({ "level": 7 }), true);
        for level in [json!("7"), json!(7.5), json!(true), json!(-7)] {
            check(&number, &json!({ "level": level }), false);
        }
        let truth = json!({ "email_verified": { "equals": true } });
        check(&truth, &json!({ "email_verified": true }), true);
        for claim in [json!("true"), json!(1), json!(false)] {
            check(&truth, &json!({ "email_verified": claim }), false);
        }
    }

    #[test]
    fn one_of_is_any_of_them_and_contains_looks_into_lists_alone() {
        let one_of = json!({ "region": { "one_of": ["eu", "us", 7] } });
        for (region, want) in [
            (json!("eu"), true),
            (json!(7), true),
            (json!("eu us"), false),
        ] {
            check(&one_of, &json!({ "region": region }), want);
        }
        let contains = json!({ "groups": { "contains": "admins" } });
        check(&contains, &json!({ "groups": ["staff", "admins"] }), true);
        for groups in [
            json!([]),
            json!(["not-admins", "admins2"]),
            json!([["admins"]]),
            json!("admins"),
            json!("my admins"),
            json!({ "admins": true }),
        ] {
            check(&contains, &json!({ "groups": groups }), false);
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_in_words() {
        let plain = "expected a text, a whole number, `true` or `false`";
        for (condition, want) in [
            (json!({ "equals": ["gold"] }), plain),
            (json!({ "equals": null }), plain),
            (json!({ "equals": 1.5 }), plain),
            (json!({ "one_of": "gold" }), "expected a sequence"),
            (json!({ "on_of": ["gold"] }), "expected one of `contains`"),
            (json!({ "equals": 1, "contains": 2 }), ""),
            (json!({}), ""),
        ] {
            let error = serde_json::from_value::<Condition>(condition.clone()).unwrap_err();
            assert!(error.to_string().contains(want), "{condition}: {error}");
        }
    }

    #[test]
    fn every_condition_must_hold() {
        let both = json!({ "a": { "equals": 1 }, "b": { "equals": 2 } });
        check(&both, &json!({ "a": 1, "b": 2 }), true);
        check(&both, &json!({ "a": 1, "b": 1 }), false);
        check(&both, &json!({ "b": 2 }), false);
    }
}
