//! A report for people: what was done, one row a step, readable at 100 columns.
//!
//! It shows what is in the report and nothing else. How a row is laid out, `page` knows.

mod page;

use crate::cli::explain::text::page::{MARGIN, Page, WIDTH, shorten};
use crate::decision::Reason;
use crate::envoy::reply::Reply;
use crate::explain::report::{
    Asked, Chosen, Path, Report, Rule, Tried, Verdict, Verification, Who, Why,
};
use crate::trace::PassedOver;

/// Writes a report; `decider` says whose decision it is.
#[must_use]
pub fn write(decider: &str, report: &Report) -> String {
    let mut page = Page::default();
    page.row("decided by", decider);
    match &report.request {
        Some(request) => page.request(request),
        None => page.row("request", "none that can be read"),
    }
    match &report.platform {
        Some(platform) => page.platform(platform),
        None => page.row(
            "platform",
            "none; where it is Envoy's route that names one, ask with `--platform NAME`",
        ),
    }
    if let Some(path) = &report.path {
        page.path(path);
    }
    if let Some(https) = &report.https {
        page.row(
            "https",
            match (&*https.mode, https.passed) {
                ("off", _) => "off: plain HTTP is not judged".to_owned(),
                (mode, true) => format!("{mode}: it came over HTTPS, says {}", https.from),
                (mode, false) => format!("{mode}: it did not come over HTTPS, says {}", https.from),
            },
        );
    }
    page.credentials(report);
    for verification in &report.verifications {
        page.verification(verification);
    }
    if report.judged {
        page.identity(report.identity.as_ref());
    }
    for rule in &report.rules {
        page.rule(rule);
    }
    page.verdict(&report.verdict);
    if let Some(advice) = address_advice(report) {
        page.more(advice);
    }
    match &report.answer {
        Some(reply) => page.reply(reply),
        None => page.row(
            "answer",
            "none: the RPC ends with UNAVAILABLE, and Envoy's failure_mode_allow decides",
        ),
    }
    page.into_text()
}

impl Page {
    fn request(&mut self, asked: &Asked) {
        self.row("request", format!("{} {}", asked.method, asked.path));
        let list = |it: &[String]| match it {
            [] => "none".to_owned(),
            it => it.join(", "),
        };
        let host = asked.host.as_deref().unwrap_or("not one host");
        let client = match (asked.client_address, &asked.client_address_from) {
            (Some(address), Some(from)) => format!("{address}, from: {from}"),
            (None, Some(from)) => format!("not known, from: {from}"),
            (_, None) => "not asked for: `client_address` is not configured".to_owned(),
        };
        for (word, text) in [
            ("host", host),
            ("scheme", &asked.scheme),
            ("query", &list(&asked.query)),
            ("headers", &list(&asked.headers)),
            ("client", &client),
        ] {
            self.item("", 7, word, text);
        }
    }

    fn platform(&mut self, platform: &Chosen) {
        let Chosen {
            name,
            by,
            host_pattern,
            prefix,
        } = platform;
        self.row(
            "platform",
            match host_pattern {
                Some(pattern) => {
                    format!("{name}: of all, its host {pattern} and prefix {prefix} fit best")
                }
                None => format!("{name}: the {by} names it"),
            },
        );
    }

    fn path(&mut self, path: &Path) {
        match (&path.problem, path.segments.as_slice()) {
            (Some(problem), _) => self.row("path", format!("refused: {problem}")),
            (None, []) => self.row("path", "no segments"),
            (None, segments) => self.row("path", segments.join(" · ")),
        }
    }

    fn credentials(&mut self, report: &Report) {
        if report.https.as_ref().is_none_or(|it| !it.passed) {
            return;
        }
        let column = report.schemes.iter().map(|it| it.name.chars().count());
        let column = column.max().unwrap_or(0);
        for (index, tried) in report.schemes.iter().enumerate() {
            let label = if index == 0 { "credentials" } else { "" };
            self.item(label, column, &tried.name, &found(tried));
        }
        self.more(match report.conflict.as_deref() {
            Some("agree") => "agree: if there are several, all must be valid, and one user's",
            Some("precedence") => "precedence: the first that is found counts",
            _ => "refuse: if there are several, the request is denied",
        });
    }

    fn verification(&mut self, verification: &Verification) {
        let came_to = match (&verification.denial, &verification.fault) {
            (Some(denial), _) => format!("denied, {}", why(denial)),
            (None, Some(fault)) => format!("not known, {fault}"),
            (None, None) => "valid".to_owned(),
        };
        self.row(
            "verification",
            format!("{}: {came_to}", verification.scheme),
        );
        for record in &verification.records {
            let word = if record.found { "read" } else { "absent" };
            self.item("", 6, word, &shorten(&record.key, WIDTH - MARGIN - 8));
        }
    }

    fn identity(&mut self, who: Option<&Who>) {
        let Some(who) = who else {
            return self.row("identity", "nobody: there is no credential");
        };
        let addresses: Vec<_> = who
            .allowed_addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        let rows = [
            ("account", text(&who.account)),
            ("user", text(&who.user)),
            ("username", text(&who.username)),
            ("scheme", who.scheme.clone()),
            ("scopes", who.scopes.join(", ")),
            ("roles", who.roles.join(", ")),
            (
                "expires",
                who.expires
                    .map(|it| format!("{it} (Unix seconds)"))
                    .unwrap_or_default(),
            ),
            ("addresses", addresses.join(", ")),
        ];
        let mut label = "identity";
        for (word, text) in rows.iter().filter(|it| !it.1.is_empty()) {
            self.item(label, 9, word, text);
            label = "";
        }
    }

    fn rule(&mut self, rule: &Rule) {
        self.row(
            "rule",
            format!("{}: {} fits {}", rule.name, rule.pattern, rule.method),
        );
        for capture in &rule.captures {
            self.more(format!("{{{}}} is {}", capture.name, capture.value));
        }
        self.more(format!("demands {}", demands(rule)));
        if rule.issue {
            self.more("leads to the issue listener");
        }
        self.more(match (&rule.denial, rule.passed_over_for) {
            (Some(denial), _) => format!("denied, {}", why(denial)),
            (None, Some(PassedOver::NothingIssued)) => {
                "passed over: this platform issues nothing (`listen.issue`)".to_owned()
            }
            (None, Some(PassedOver::Request)) => {
                "passed over: it wants other headers, or other segments in what ** takes".to_owned()
            }
            (None, None) => rule.verdict.to_string(),
        });
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.row(
            "verdict",
            match verdict {
                Verdict {
                    denial: Some(denial),
                    ..
                } => format!("DENY, {}", why(denial)),
                Verdict {
                    fault: Some(fault), ..
                } => format!("NONE, {fault}"),
                Verdict { rule, .. } => format!("ALLOW, by rule {}", rule.as_deref().unwrap_or("")),
            },
        );
    }

    fn reply(&mut self, reply: &Reply) {
        self.row(
            "answer",
            match reply.status {
                Some(status) => format!("{status} for the client (gRPC code {})", reply.code),
                None => format!("on to the upstream (gRPC code {})", reply.code),
            },
        );
        for header in &reply.headers_set {
            self.hang("", 4, &format!("+ {}: {}", header.name, header.value));
        }
        if !reply.headers_removed.is_empty() {
            self.hang("", 2, &format!("- {}", reply.headers_removed.join(", ")));
        }
        for name in &reply.query_parameters_removed {
            self.more(format!("- query parameter {name}"));
        }
        // Indented for the eye; `--json` has it to the byte.
        let indented = serde_json::from_str::<serde_json::Value>(&reply.body);
        let indented = indented.and_then(|it| serde_json::to_string_pretty(&it));
        for line in indented.as_deref().unwrap_or(&reply.body).lines() {
            let depth = line.len() - line.trim_start().len();
            self.item("", depth, "", line.trim_start());
        }
    }
}

fn found(tried: &Tried) -> String {
    match tried {
        Tried { tried: false, .. } => "not asked".to_owned(),
        Tried {
            denial: Some(denial),
            ..
        } => format!("denied, {}", why(denial)),
        Tried {
            place: Some(place),
            name_bytes,
            secret_bytes,
            ..
        } => {
            let secret = secret_bytes.unwrap_or(0);
            match name_bytes.unwrap_or(0) {
                0 => format!("{place}, a secret of {secret} bytes"),
                name => format!("{place}, a name of {name} bytes, a secret of {secret}"),
            }
        }
        Tried { place: None, .. } => "nothing".to_owned(),
    }
}

fn demands(rule: &Rule) -> String {
    let demands = &rule.demands;
    if demands.public {
        return "nothing: public".to_owned();
    }
    let any = |what: &str, of: &[String]| {
        let list = of.join(", ");
        (!of.is_empty()).then(|| format!("{what} of {list}"))
    };
    let schemes = demands
        .schemes
        .as_deref()
        .map(|it| format!("a scheme of {}", it.join(", ")));
    let wanted: Vec<_> = schemes
        .into_iter()
        .chain(any("a role", &demands.roles_any))
        .chain(any("a scope", &demands.scopes_any))
        .chain(demands.claims.iter().map(|it| format!("the claim {it}")))
        .chain(
            demands
                .relation
                .as_deref()
                .map(|it| format!("the relation {it}")),
        )
        .collect();
    match wanted.as_slice() {
        [] => "an identity".to_owned(),
        wanted => wanted.join("; "),
    }
}

/// What to say more, where the verdict is about an address that nobody knows.
fn address_advice(report: &Report) -> Option<&'static str> {
    let denial = report.verdict.denial.as_ref();
    let asked = report.request.as_ref()?;
    let from = asked.client_address_from.as_deref()?;
    if asked.client_address.is_some() || denial?.reason != Reason::Address.name() {
        return None;
    }
    Some(match from {
        "peer" => "the client's address is not known here: say it with `--peer IP`",
        "x-envoy-external-address" => {
            "the client's address is not known here: say it with `-H 'x-envoy-external-address: IP'`"
        }
        _ => {
            "the client's address is not known here: say it with `--peer IP` and `-H 'x-forwarded-for: IP'`"
        }
    })
}

fn why(denial: &Why) -> String {
    format!("{}: {}", denial.reason, denial.detail)
}
