//! How the page looks and behaves in a real browser.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::status::site::{allowed, denied, on_redis, start, stranger};
use crate::support::browser::{Browser, ENTER, TAB};
use crate::support::check::CheckClient;
use crate::support::redis::{Product, RedisServer};
use crate::support::server::Server;

/// Where pictures of the page are put for people to look at, if anywhere.
const PICTURES: &str = "PORTCULLIS_TEST_PICTURES";

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn open(server: &Server) -> Browser {
    let browser = Browser::start();
    browser.open(&format!("http://{}/", server.admin()));
    browser
}

fn picture(browser: &Browser, name: &str) {
    if let Some(place) = std::env::var_os(PICTURES) {
        browser.picture(&Path::new(&place).join(format!("{name}.png")));
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().expect("a list").iter();
    values.map(|it| it.as_f64().expect("a number")).collect()
}

/// What of a card is waited for: how many there were.
fn has_counted(card: &str, count: u32) -> String {
    format!(
        "document.querySelector('[data-text=\"{card}.more\"]').textContent.startsWith('{count} since')"
    )
}

#[tokio::test]
async fn figures_change_by_themselves_and_what_is_hostile_is_text_that_runs_nothing() {
    let server = start();
    let browser = open(&server);
    browser.await_that(&has_counted("allowed", 0));
    let mut client = CheckClient::connect(server.grpc()).await;
    for _ in 0..3 {
        allowed(&mut client).await;
    }
    let [first, second] = denied(&mut client).await;
    browser.await_that(&has_counted("allowed", 3));
    browser.await_that(&has_counted("denied", 2));
    browser
        .await_that("document.querySelector('[data-text=\"known.figure\"]').textContent !== '–'");
    browser.await_that(
        "document.querySelector('[data-line=\"allowed.line\"]').getAttribute('d').includes('L')",
    );

    let said = "return [...document.querySelectorAll('table.refused tbody tr')].map((it) => it.innerText).join('\\n');";
    let said = browser.run(said);
    let said = said.as_str().expect("a text");
    for shown in [
        first.metadata["decision_id"].as_str(),
        second.metadata["decision_id"].as_str(),
        "/orders/<script>hacked('3')</script>",
        "<b>orders</b>\"'&{{script}}",
        "account shop, user u-bo",
        "192.0.2.7",
    ] {
        assert!(said.contains(shown), "{shown} in {said}");
    }
    // The same as the page is loaded, and as its script makes it.
    let table = "return document.querySelector('table.refused').outerHTML;";
    let made = browser.run(table);
    browser.open(&format!("http://{}/", server.admin()));
    assert_eq!(
        browser.run(table).as_str().map(squeezed),
        made.as_str().map(squeezed)
    );

    let run = "return [typeof hacked, document.images.length, document.scripts.length,
                       document.querySelectorAll('table svg, td b b, th b').length];";
    assert_eq!(browser.run(run), serde_json::json!(["undefined", 0, 1, 0]));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let origin = format!("http://{}/", server.admin());
    let asked = browser.requests();
    let elsewhere: Vec<_> = asked
        .iter()
        .filter(|it| !it.starts_with(&origin) && !it.starts_with("data:"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!(asked.contains(&format!("{origin}status.json")), "{asked:?}");
}

/// Without what stands between elements, which nobody sees.
fn squeezed(html: &str) -> String {
    html.replace(">\n", ">")
}

#[tokio::test]
async fn a_keyboard_reaches_every_control_in_order_and_each_shows_that_it_is_there() {
    let server = start();
    let browser = open(&server);
    browser.await_that("!document.getElementById('pause').hidden");
    let focused = "const it = document.activeElement;
        const style = getComputedStyle(it);
        const box = it.getBoundingClientRect();
        return [it.innerText, style.outlineStyle, parseFloat(style.outlineWidth), box.top >= 0 && box.width > 0];";
    for name in [
        "Skip to the content",
        "Pause updates",
        "Metrics",
        "Readiness",
        "Liveness",
        "This page as JSON",
    ] {
        browser.press(TAB);
        assert_eq!(
            browser.run(focused),
            serde_json::json!([name, "solid", 3, true])
        );
    }
    browser.run("document.activeElement.blur();");
    browser.open(&format!("http://{}/", server.admin()));
    browser.press(TAB);
    browser.press(ENTER);
    assert_eq!(browser.run("return document.activeElement.id;"), "content");

    browser.run("document.getElementById('pause').focus();");
    let pressed = "document.getElementById('pause').getAttribute('aria-pressed')";
    browser.press(" ");
    browser.await_that(&format!("{pressed} === 'true'"));
    let mut client = CheckClient::connect(server.grpc()).await;
    allowed(&mut client).await;
    browser.press(" ");
    browser.await_that(&format!("{pressed} === 'false'"));
    browser.await_that(&has_counted("allowed", 1));
    // Nothing worth an interruption has happened.
    let spoken = browser.run("return document.getElementById('said').textContent;");
    assert_eq!(spoken, "Ready. Nothing needs attention.");
}

#[tokio::test]
async fn a_store_that_fails_is_told_by_a_word_a_mark_and_aloud() {
    let mut redis = RedisServer::start(Product::Valkey);
    let server = on_redis(&redis.url());
    let browser = open(&server);
    let mut client = CheckClient::connect(server.grpc()).await;
    assert_eq!(stranger(&mut client, 1).await, 401);
    browser.await_that(&has_counted("denied", 1));
    browser.await_that("document.querySelector('[data-text=\"lag.figure\"]').textContent !== '–'");
    browser.await_that(
        "document.getElementById('said').textContent === 'Ready. Nothing needs attention.'",
    );

    redis.stop();
    let begun = Instant::now();
    let said = "return document.getElementById('said').textContent;";
    // Goes on to ask, since what failed is failing for as long as somebody sees it fail.
    for number in 2.. {
        assert_eq!(stranger(&mut client, number).await, 503);
        if browser.run(said)
            == "Ready. Needs attention: Store, Changes in the store, Failures of ours."
        {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", browser.run(said));
    }
    let rows = "return [...document.querySelectorAll('table.health tbody tr')]
        .filter((it) => it.dataset.is !== 'good')
        .map((it) => [it.dataset.is, it.cells[0].innerText, it.cells[1].innerText]);";
    let rows = browser.run(rows);
    let want = serde_json::json!([
        ["bad", "Store", "Failing"],
        ["bad", "Changes in the store", "Not told"],
        ["bad", "Failures of ours", "Failing"],
    ]);
    assert_eq!(rows, want);
    picture(&browser, "failing");
    let shape = "return getComputedStyle(document.querySelector('table.health tr[data-is=bad] b'), '::before').content;";
    let shape = browser.run(shape);
    assert!(shape.as_str().is_some_and(|it| it.contains('■')), "{shape}");
    let last = browser.run("return document.querySelector('table.refused tbody tr').innerText;");
    assert!(
        last.as_str().is_some_and(|it| it.contains("fault: store")),
        "{last}"
    );
}

#[tokio::test]
async fn a_process_that_answers_no_more_is_told_and_what_is_shown_is_not_taken_for_new() {
    let mut server = start();
    let browser = open(&server);
    server.kill();
    browser.await_that("document.getElementById('standing').innerText.includes('No answer')");
    browser.await_that(
        "document.getElementById('said').textContent === 'No answer. What is shown is old.'",
    );
    assert_eq!(
        browser.run("return document.title;"),
        "No answer · Portcullis"
    );
}

#[tokio::test]
async fn everybody_can_read_it_in_the_light_and_in_the_dark_on_a_screen_and_on_a_phone() {
    let server = start();
    let mut client = CheckClient::connect(server.grpc()).await;
    for _ in 0..3 {
        allowed(&mut client).await;
        denied(&mut client).await;
    }
    let browser = open(&server);
    browser.await_that(
        "document.querySelector('[data-line=\"allowed.line\"]').getAttribute('d').includes('L')",
    );
    for (scheme, width, height) in [
        ("light", 1280, 900),
        ("dark", 1280, 900),
        ("light", 800, 900),
        ("light", 360, 740),
        ("dark", 320, 640),
    ] {
        browser.prefer(scheme);
        browser.resize(width, height);
        let dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches;");
        assert_eq!(dark, scheme == "dark");
        picture(&browser, &format!("{scheme}-{width}"));
        let faint = browser.run(FAINT);
        assert_eq!(faint, serde_json::json!([]), "{scheme} {width}");
        let wide = "const it = document.documentElement; return [it.scrollWidth, it.clientWidth];";
        let wide = numbers(&browser.run(wide));
        assert!(wide[0] <= wide[1], "{scheme} {width}: {wide:?}");
        let cut = browser.run(CUT);
        assert_eq!(cut, serde_json::json!([]), "{scheme} {width}");
        let (seen, want) = (roles(&browser), EXPECTED_ROLES);
        for (role, least) in want {
            let count = seen.iter().filter(|it| *it == role).count();
            assert!(count >= *least, "{width}: {count} of {role}");
        }
    }
}

/// Texts whose contrast to what is behind them is below 4.5 (WCAG 2.2, 1.4.3).
const FAINT: &str = r"
const channel = (it) => { it /= 255; return it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4; };
const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = (it) => {
  for (; it; it = it.parentElement) {
    const colour = parts(getComputedStyle(it).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const faint = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let checked = 0;
while (texts.nextNode()) {
  const it = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !it.checkVisibility() || it.closest('script')) continue;
  const [text, ground] = [light(parts(getComputedStyle(it).color)), light(behind(it))];
  const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
  checked += 1;
  if (contrast < 4.5) faint.push(`${texts.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
}
if (checked < 50) faint.push(`only ${checked} texts`);
return faint;";

/// Texts that reach beyond the screen, or beyond what they stand in.
const CUT: &str = r"
const cut = [];
for (const it of document.querySelectorAll('main p, main h2, main h3, main th, main td, header p, footer a')) {
  const box = it.getBoundingClientRect();
  if (it.closest('thead, .apart') || !it.checkVisibility()) continue;
  if (box.right > innerWidth + 0.5 || box.left < -0.5 || it.scrollWidth > it.clientWidth + 1)
    cut.push(`${it.textContent}: ${box.left} ${box.right} ${it.scrollWidth} ${it.clientWidth}`);
}
return cut;";

/// What a screen reader is told that there is, however the page is laid out, and how often at least.
const EXPECTED_ROLES: &[(&str, usize)] = &[
    ("banner", 1),
    ("main", 1),
    ("contentinfo", 1),
    ("navigation", 1),
    ("region", 4),
    ("status", 1),
    ("table", 4),
    ("columnheader", 16),
    ("rowheader", 15),
    ("cell", 40),
    ("article", 5),
];

fn roles(browser: &Browser) -> Vec<String> {
    let tree = browser.tell("Accessibility.getFullAXTree", &serde_json::json!({}));
    let nodes = tree["nodes"].as_array().expect("nodes").iter();
    let nodes = nodes.filter(|it| it["ignored"] != true);
    let roles = nodes.filter_map(|it| it["role"]["value"].as_str());
    roles.map(str::to_owned).collect()
}
