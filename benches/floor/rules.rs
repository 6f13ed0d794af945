//! Whether a decision costs more where a platform has more rules: one rule an operation, the one that counts last.

use std::fmt::Write as _;

use crate::question;

const OPERATIONS: &str = include_str!("../../tests/golden/infobip/operations.txt");

/// How many rules the platform has: one, some, and one for each operation that Infobip publishes.
pub const COUNTS: [usize; 3] = [1, 50, 943];

/// What the question asks for.
const ASKED: (&str, &str) = ("POST", "/sms/3/messages");

/// Gives the bench's configuration with this many rules on the platform that is asked.
pub fn config(count: usize) -> String {
    let lines = OPERATIONS.lines().filter(|it| !it.starts_with(['#', '[']));
    let operations = lines.filter_map(|it| it.split_once(' '));
    let operations =
        operations.flat_map(|(methods, path)| methods.split(',').map(move |it| (it, path)));
    let others = operations.filter(|it| *it != ASKED).take(count - 1);
    let mut rules = String::new();
    for (method, path) in others.chain([ASKED]) {
        writeln!(
            rules,
            "      - {{ methods: [{method}], paths: [\"{path}\"], scopes_any: [message:send, sms:manage, sms:message:send] }}"
        )
        .expect("a string takes all");
    }
    assert_eq!(rules.lines().count(), count);
    let platform = "{ name: infobip, preset: infobip, hosts: [infobip.example.com] }";
    let with_rules = format!(
        "name: infobip\n    preset: infobip\n    hosts: [infobip.example.com]\n    rules:\n{rules}"
    );
    assert!(question::CONFIG.contains(platform));
    question::CONFIG.replace(platform, &with_rules)
}
