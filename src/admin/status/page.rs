//! The status page in HTML. Whatever is filled in is text: whoever chose a path or a name chose no markup.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::admin::status::seen::{LINE_HEIGHT, LINE_WIDTH, Row, Seen};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What browsers may do with the page: run its own script, take its own style, ask where it came from, and nothing else
/// (CSP Level 3; Trusted Types keep the script from making markup of text).
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [style, script] =
        [STYLE, SCRIPT].map(|it| BASE64_STANDARD.encode(Sha256::digest(it.as_bytes())));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    )
});

/// The cards: the name of their values, and their heading.
const CARDS: [(&str, &str); 5] = [
    ("allowed", "Allowed"),
    ("denied", "Denied"),
    ("faults", "Faults"),
    ("known", "From the cache"),
    ("lag", "Revocation lag"),
];

/// The tables: their name, and the headings of their columns.
const TABLES: [(&str, &[&str]); 4] = [
    ("health", &["What", "State", "Detail"]),
    (
        "refused",
        &[
            "Time", "Why", "Where", "Request", "Client", "About", "Decision",
        ],
    ),
    ("configuration", &["Setting", "Value"]),
    ("platforms", &["Platform", "Hosts", "Prefix", "Schemes"]),
];

/// Writes the page, as it stands before its script has asked for anything.
pub(super) fn page(seen: &Seen) -> String {
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + SCRIPT.len() + 16 * 1024);
    let mut rest = PAGE;
    // What is filled in is not looked at again.
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        fill(&mut page, name, seen);
        rest = after;
    }
    page.push_str(rest);
    page
}

fn fill(page: &mut String, name: &str, seen: &Seen) {
    match name {
        "style" => page.push_str(STYLE),
        "script" => page.push_str(SCRIPT),
        "cards" => CARDS.iter().for_each(|it| card(page, *it, seen)),
        _ => match name.strip_prefix("table:") {
            Some(table) => sheet(page, table, seen),
            None => text(page, seen.value(name)),
        },
    }
}

fn card(page: &mut String, (name, heading): (&str, &str), seen: &Seen) {
    let value = |part: &str| escaped(seen.value(&format!("{name}.{part}")));
    let [mark, figure, unit, more, area, line] =
        ["mark", "figure", "unit", "more", "area", "line"].map(value);
    // Writing to a String does not fail.
    let _ = write!(
        page,
        "<article class=\"card\" aria-labelledby=\"card-{name}\" data-mark=\"{name}.mark\" data-is=\"{mark}\">\n\
         <h3 id=\"card-{name}\">{heading}</h3>\n\
         <p class=\"figure\"><b data-text=\"{name}.figure\">{figure}</b> <span data-text=\"{name}.unit\">{unit}</span></p>\n\
         <svg class=\"spark\" viewBox=\"0 0 {LINE_WIDTH} {LINE_HEIGHT}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <path class=\"base\" d=\"M0 {LINE_HEIGHT}H{LINE_WIDTH}\"/>\
         <path class=\"area\" data-line=\"{name}.area\" d=\"{area}\"/>\
         <path class=\"line\" data-line=\"{name}.line\" d=\"{line}\"/></svg>\n\
         <p class=\"more\" data-text=\"{name}.more\">{more}</p>\n\
         </article>\n"
    );
}

fn sheet(page: &mut String, name: &str, seen: &Seen) {
    let Some((_, heads)) = TABLES.iter().find(|it| it.0 == name) else {
        return;
    };
    let pairs = if heads.len() == 2 { " pairs" } else { "" };
    // The roles are those that a table has by itself, unless it is laid out otherwise, as on a phone.
    let _ = write!(
        page,
        "<div class=\"sheet\"><table class=\"{name}{pairs}\" role=\"table\" aria-labelledby=\"{name}\" data-table=\"{name}\">\n\
         <thead role=\"rowgroup\"><tr role=\"row\">"
    );
    for head in *heads {
        let _ = write!(page, "<th role=\"columnheader\" scope=\"col\">{head}</th>");
    }
    page.push_str("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    for it in seen.table(name) {
        row(page, heads, it);
    }
    page.push_str("</tbody></table></div>");
}

/// As the script makes it, too.
fn row(page: &mut String, heads: &[&str], row: &Row) {
    page.push_str("<tr role=\"row\"");
    if !row.mark.is_empty() {
        let _ = write!(page, " data-is=\"{}\"", row.mark);
    }
    page.push('>');
    for (at, cell) in row.cells.iter().enumerate() {
        let cell = escaped(cell);
        let head = heads.get(at).copied().unwrap_or_default();
        let _ = match at {
            0 => write!(page, "<th role=\"rowheader\" scope=\"row\">{cell}</th>"),
            1 if !row.mark.is_empty() => {
                write!(
                    page,
                    "<td role=\"cell\" data-head=\"{head}\"><b>{cell}</b></td>"
                )
            }
            _ => write!(page, "<td role=\"cell\" data-head=\"{head}\">{cell}</td>"),
        };
    }
    page.push_str("</tr>\n");
}

fn escaped(it: &str) -> String {
    let mut to = String::with_capacity(it.len());
    text(&mut to, it);
    to
}

/// Writes text where HTML has text, or a value between double quotes.
fn text(to: &mut String, it: &str) {
    for sign in it.chars() {
        match sign {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            _ => to.push(sign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\"'><script>alert(1)</script>{{script}}&lt;";
    const SHOWN: &str = "&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;{{script}}&amp;lt;";

    #[test]
    fn whatever_is_filled_in_is_text_wherever_it_stands() {
        let names = PAGE
            .split("{{")
            .skip(1)
            .filter_map(|it| it.split_once("}}"));
        let names = names
            .map(|it| it.0)
            .filter(|it| !["style", "script", "cards"].contains(it) && !it.starts_with("table:"));
        let parts = ["mark", "figure", "unit", "more", "area", "line"];
        let cards = CARDS.iter();
        let cards = cards.flat_map(|card| parts.map(|part| format!("{}.{part}", card.0)));
        let names: Vec<_> = names.map(str::to_owned).chain(cards).collect();
        let mut seen = Seen::default();
        for name in &names {
            seen.put(name, HOSTILE);
        }
        let rows = TABLES.map(|(name, heads)| {
            let cells = vec![HOSTILE.to_owned(); heads.len()];
            seen.add(name, Row { mark: "bad", cells });
            heads.len()
        });
        let page = page(&seen);
        assert_eq!(page.matches("<script>").count(), 1, "its own");
        assert!(!page.contains(HOSTILE));
        let cells: usize = rows.iter().sum();
        assert_eq!(page.matches(SHOWN).count(), names.len() + cells);
    }

    #[test]
    fn the_page_needs_nothing_that_its_policy_forbids() {
        let page = page(&Seen::default());
        for forbidden in [
            " style=",
            " onclick=",
            " onload=",
            "javascript:",
            "http://",
            "https://",
            "<form",
            "<iframe",
        ] {
            let own = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains(forbidden), "{forbidden}");
        }
        for part in [STYLE, SCRIPT] {
            assert!(!part.contains("</"), "it would end there");
        }
        assert!(!POLICY.contains("unsafe"));
    }
}
