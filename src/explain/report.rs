//! What is shown of a decision, in both outputs: steps and answer, with secrets left out.
//!
//! The fields are the keys of `--json`; scripts stand on them. Every field is always there: `null`
//! or empty where the decision did not come so far.

mod parts;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::credential::Secret;
use crate::decision::{Denial, Failure};
use crate::directory::check;
use crate::envoy::OnFault;
use crate::envoy::answer::{Answers, DecisionId};
use crate::envoy::reply::Reply;
use crate::explain::Minute;
pub use crate::explain::report::parts::{Chosen, Rule, Tried, Who, Why};
use crate::explain::report::parts::{location, parameter};
use crate::gate::Decision;
use crate::platform::refusal::Circumstances;
use crate::policy::Permit;
use crate::request::{ClientAddress, RequestView};
use crate::trace::Step;

/// What of the configuration is shown, besides the platform.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How the client's address is known.
    pub client_address: Option<ClientAddress>,
    /// What a fault becomes.
    pub on_fault: OnFault,
    /// When the decision was made.
    pub now: SystemTime,
}

/// One decision.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// How the request was read; `null` where it is none.
    pub request: Option<Asked>,
    /// The platform that answers.
    pub platform: Option<Chosen>,
    /// The path.
    pub path: Option<Path>,
    /// What was made of plain HTTP.
    pub https: Option<Https>,
    /// The platform's schemes in their order.
    pub schemes: Vec<Tried>,
    /// What several credentials mean: `agree`, `precedence` or `refuse`.
    pub conflict: Option<Cow<'static, str>>,
    /// Credentials that were verified.
    pub verifications: Vec<Verification>,
    /// Whom the rules were asked about; `null` also for somebody without a credential.
    pub identity: Option<Who>,
    /// Whether the rules were asked.
    pub judged: bool,
    /// Rules whose method and pattern fit, in the order in which they were looked at.
    pub rules: Vec<Rule>,
    /// What was decided.
    pub verdict: Verdict,
    /// What Envoy is told; `null` where the RPC ends with `UNAVAILABLE` instead.
    pub answer: Option<Reply>,
}

/// How the request was read. Values of headers and of the query are left out.
#[derive(Debug, Deserialize, Serialize)]
pub struct Asked {
    /// As sent.
    pub method: String,
    /// What Envoy believes: `http` or `https`.
    pub scheme: String,
    /// In lower case, without port; `null` where the authority is not one host.
    pub host: Option<String>,
    /// As sent, without the query.
    pub path: String,
    /// Names of query parameters, in order; what is no plain name, by its length.
    pub query: Vec<String>,
    /// Names of headers, sorted.
    pub headers: Vec<String>,
    /// The client's address, where it is known.
    pub client_address: Option<IpAddr>,
    /// Where the configuration takes it from.
    pub client_address_from: Option<String>,
}

/// How the path was read.
#[derive(Debug, Deserialize, Serialize)]
pub struct Path {
    /// Decoded.
    pub segments: Vec<String>,
    /// Why it has no one reading.
    pub problem: Option<String>,
}

/// What was made of plain HTTP.
#[derive(Debug, Deserialize, Serialize)]
pub struct Https {
    /// `deny`, `off` or `redirect`.
    pub mode: Cow<'static, str>,
    /// What tells the scheme of a request: `scheme` or `x-forwarded-proto`.
    pub from: Cow<'static, str>,
    /// Whether the request may go on.
    pub passed: bool,
}

/// What a credential came to.
#[derive(Debug, Deserialize, Serialize)]
pub struct Verification {
    /// The scheme's name.
    pub scheme: String,
    /// Whether it is valid.
    pub valid: bool,
    /// Why not.
    pub denial: Option<Why>,
    /// What kept us from telling.
    pub fault: Option<String>,
    /// The records it stands on, by key.
    pub records: Vec<Record>,
}

/// A record that was read.
#[derive(Debug, Deserialize, Serialize)]
pub struct Record {
    /// Its key in the store.
    pub key: String,
    /// Whether it is there.
    pub found: bool,
}

/// What was decided.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Verdict {
    /// `allow`, `deny` or `fault`.
    pub outcome: Cow<'static, str>,
    /// The rule that let the request pass.
    pub rule: Option<String>,
    /// Why it was denied.
    pub denial: Option<Why>,
    /// What kept us from deciding.
    pub fault: Option<String>,
}

impl Report {
    /// Puts a report together. `Err` is a request that could not be read, with an empty one to
    /// answer to.
    #[must_use]
    pub fn of(
        request: Result<&RequestView<'_>, &RequestView<'_>>,
        minutes: &[Minute],
        decision: Decision,
        setting: Setting,
    ) -> Self {
        let mut report = Self {
            request: request.ok().map(|it| Asked::of(it, setting)),
            verdict: Verdict::of(&decision.verdict),
            ..Self::default()
        };
        if let (Ok(request), Some(platform)) = (request, &decision.platform) {
            report.platform = Some(Chosen::of(platform, request));
            report.conflict = Some(parts::conflict(platform.conflict).into());
            let names = platform.schemes.iter().map(|it| &*it.name);
            report.schemes = names.map(Tried::not).collect();
        }
        for minute in minutes {
            report.add(minute, &decision);
        }
        let request = request.unwrap_or_else(|it| it);
        report.answer = reply(decision, request, setting);
        report
    }

    fn add(&mut self, (step, reads): &Minute, decision: &Decision) {
        match step {
            Step::Https(judged) => {
                self.https = decision.platform.as_ref().map(|it| Https {
                    mode: parts::mode(it.https.mode).into(),
                    from: parts::proto(it.https.from).into(),
                    passed: judged.is_ok(),
                });
            }
            Step::Identity(identity) => {
                self.judged = true;
                self.identity = identity.as_deref().map(Who::of);
            }
            // The rules are looked at anew, and told again.
            Step::Lineage(_) => self.rules.clear(),
            Step::Path(read) => {
                let segments = read.iter().flatten().map(|it| parts::path(it));
                self.path = Some(Path {
                    segments: segments.collect(),
                    problem: read.clone().err(),
                });
            }
            Step::Rule(fit) => self.rules.push(Rule::of(fit)),
            Step::Scheme { scheme, found } => {
                let tried = self.schemes.iter_mut().find(|it| it.name == **scheme);
                if let Some(tried) = tried {
                    tried.end(found);
                }
            }
            Step::Verified { scheme, outcome } => self.verifications.push(Verification {
                scheme: scheme.to_string(),
                valid: outcome.is_ok(),
                denial: denial(outcome).map(Why::of),
                fault: fault(outcome),
                records: reads
                    .iter()
                    // No records, and read along with each.
                    .filter(|it| !it.key.starts_with(check::KEY))
                    .map(|it| Record {
                        key: it.key.clone(),
                        found: it.found,
                    })
                    .collect(),
            }),
        }
    }

    /// What kept us from deciding, if something did.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.verdict.fault.as_deref()
    }
}

fn denial<T>(outcome: &Result<T, Failure>) -> Option<&Denial> {
    match outcome {
        Err(Failure::Denied(denial)) => Some(denial),
        Ok(_) | Err(Failure::Fault(_)) => None,
    }
}

fn fault<T>(outcome: &Result<T, Failure>) -> Option<String> {
    match outcome {
        Err(Failure::Fault(fault)) => Some(fault.to_string()),
        Ok(_) | Err(Failure::Denied(_)) => None,
    }
}

/// Writes the answer as the RPC does, and reads it back. Only the target of a redirect is masked
/// before: the query goes with it, and whatever credential a client left there by mistake; and the
/// context and the assertion, which are as good as one.
fn reply(mut decision: Decision, request: &RequestView<'_>, setting: Setting) -> Option<Reply> {
    if setting.on_fault == OnFault::GrpcError && fault(&decision.verdict).is_some() {
        return None;
    }
    if let Some(denial) = denial(&decision.verdict)
        && let Some(target) = denial.location()
    {
        let masked = Denial::redirect(denial.status(), location(target));
        decision.verdict = Err(masked.into());
    }
    let id = DecisionId::of(0, 0);
    let circumstances = || Circumstances {
        decision_id: id.as_str().to_owned(),
        instance: "0".repeat(16),
        now: setting.now,
        number: 0,
    };
    // What the issue listener would be told opens it for a while.
    if let Some(context) = &mut decision.context {
        *context = format!("({} bytes)", context.len());
    }
    if let Some(assertion) = &mut decision.assertion {
        let masked = format!("({} bytes)", assertion.expose().len());
        *assertion = Arc::new(Secret::new(masked.into_bytes()));
    }
    let answers = Answers::of(&decision.platform);
    let mut answer = Vec::new();
    answers.write(&mut answer, &decision, request, &id, circumstances);
    Reply::read(answer.into())
}

impl Asked {
    fn of(request: &RequestView<'_>, setting: Setting) -> Self {
        let mut headers: Vec<_> = request
            .headers
            .names()
            .map(|it| String::from_utf8_lossy(it).to_ascii_lowercase())
            .collect();
        headers.sort_unstable();
        headers.dedup();
        let from = setting.client_address;
        Self {
            method: request.method.to_owned(),
            scheme: request.scheme.to_owned(),
            host: request.host().ok().map(Into::into),
            path: parts::path(request.path),
            query: request.query.pairs().map(|it| parameter(it.0)).collect(),
            headers,
            client_address: from.and_then(|it| request.client_address(it)),
            client_address_from: from.map(parts::client_address),
        }
    }
}

impl Verdict {
    fn of(verdict: &Result<Permit, Failure>) -> Self {
        Self {
            outcome: match verdict {
                Ok(_) => "allow",
                Err(Failure::Denied(_)) => "deny",
                Err(Failure::Fault(_)) => "fault",
            }
            .into(),
            rule: verdict.as_ref().ok().map(|it| it.rule().to_owned()),
            denial: denial(verdict).map(Why::of),
            fault: fault(verdict),
        }
    }
}
