//! All documents: their links lead somewhere, and their commands are commands.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders without documents of ours.
const APART: [&str; 4] = ["target", "fuzz", "src", "proto"];

/// Every document, by its path in the tree.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && !APART.contains(&&*name) {
                folders.push(path);
            } else if name.ends_with(".md") {
                let text = fs::read_to_string(&path).expect("a document");
                found.push((path.strip_prefix(root).expect("within").to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// What GitHub calls the headings of a document.
fn anchors(text: &str) -> Vec<String> {
    let mut in_block = false;
    let headings = text.lines().filter(|line| {
        in_block ^= line.starts_with("```");
        !in_block && line.starts_with('#')
    });
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_within_the_tree_leads_somewhere() {
    let documents = documents();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for (path, text) in &documents {
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|it| it.split(')').next())
        {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => root.join(path),
                file => root.join(path).parent().expect("a folder").join(file),
            };
            let text = fs::read_to_string(&target).unwrap_or_default();
            let leads = target.exists()
                && (anchor.is_empty() || anchors(&text).contains(&anchor.to_owned()));
            if !leads {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(documents.len() > 5, "{documents:?}");
}

/// All that is written in the folder.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else {
            text.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
    text
}

#[test]
fn what_the_runbook_looks_for_in_logs_and_metrics_is_said_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let said = sources(&root.join("src"));
    let metrics = fs::read_to_string(root.join("deploy/RUNNING.md")).expect("a document");
    let runbook = fs::read_to_string(root.join("deploy/RUNBOOK.md")).expect("a document");
    let runbook = runbook.split_whitespace().collect::<Vec<_>>().join(" ");
    let quoted = runbook
        .split("| grep '")
        .skip(1)
        .filter_map(|it| it.split('\'').next());
    // A field of a line, as JSON has it, is looked for by others than words.
    let words: Vec<_> = quoted.filter(|it| !it.starts_with('"')).collect();
    assert!(words.len() > 3, "{words:?}");
    for phrase in words {
        assert!(
            said.contains(phrase) || metrics.contains(phrase),
            "nobody says {phrase:?}"
        );
    }
    let names = runbook.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let names = names.filter(|it| it.starts_with("portcullis_"));
    for name in names {
        assert!(
            metrics.contains(&format!("| `{name}` |")),
            "there is no metric {name}"
        );
    }
}

/// What `--help` says, by the words before it.
#[derive(Default)]
struct Helps(HashMap<Vec<String>, String>);

impl Helps {
    fn of(&mut self, words: &[String]) -> &str {
        self.0.entry(words.to_vec()).or_insert_with(|| {
            let help = Command::new(env!("CARGO_BIN_EXE_portcullis"))
                .args(words)
                .arg("--help")
                .output()
                .expect("the binary that was built");
            String::from_utf8(help.stdout).expect("UTF-8")
        })
    }

    /// The commands below these words.
    fn commands(&mut self, words: &[String]) -> Vec<String> {
        let help = self.of(words);
        let Some((_, commands)) = help.split_once("\nCommands:\n") else {
            return Vec::new();
        };
        let lines = commands.lines().take_while(|it| !it.is_empty());
        let names = lines.filter(|it| it.starts_with("  ") && !it.starts_with("   "));
        names
            .filter_map(|it| it.split_whitespace().next().map(str::to_owned))
            .collect()
    }

    /// What is wrong with a command, if anything.
    fn wrong(&mut self, command: &str) -> Option<String> {
        let mut words: Vec<String> = Vec::new();
        let mut rest = command.split_whitespace().skip(1).peekable();
        loop {
            let commands = self.commands(&words);
            match rest.peek() {
                Some(word) if commands.iter().any(|it| it == word) => {
                    words.push((*word).to_owned());
                    rest.next();
                }
                Some(word) if !commands.is_empty() && !word.starts_with(['-', '…', '(', '[']) => {
                    return Some(format!("{command}: there is no {word}"));
                }
                // Or a group by itself, in prose.
                _ => break,
            }
        }
        let help = self.of(&words).to_owned();
        let unknown = rest.find(|word| {
            let flag = word.trim_matches(['[', ']', '(', ')', ',', '.']);
            let flag = flag.split('=').next().unwrap_or_default();
            flag.starts_with('-') && flag.len() > 1 && !help.contains(flag)
        });
        unknown.map(|flag| format!("{command}: there is no {flag}"))
    }
}

/// The commands that a document shows: in blocks, and between backticks.
fn shown(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    let mut prose = String::new();
    let text = text.replace("\\\n", " ");
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if !in_block {
            prose.push_str(line);
            prose.push(' ');
            continue;
        }
        // Behind a prompt, variables, or what leads into a container.
        for part in line
            .split([';', '|'])
            .flat_map(|it| it.split("&&"))
            .flat_map(|it| it.split("$("))
        {
            let part = part.split(" #").next().unwrap_or_default().trim_start();
            let part = part
                .rsplit_once(" -- portcullis ")
                .map_or(part.to_owned(), |it| format!("portcullis {}", it.1));
            let mut words = part
                .split_whitespace()
                .skip_while(|it| *it == "$" || it.contains('='));
            if words.next() == Some("portcullis") {
                let words: Vec<_> = words
                    .take_while(|it| !it.starts_with(['>', '&', '<']))
                    .collect();
                found.push(format!(
                    "portcullis {}",
                    words.join(" ").trim_end_matches(')')
                ));
            }
        }
    }
    for code in prose.split('`').skip(1).step_by(2) {
        if code.starts_with("portcullis ") {
            found.push(
                code.split(['|', '\\', '>'])
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            );
        }
    }
    found
}

#[test]
fn every_command_of_the_documents_is_one_with_the_flags_it_has() {
    let mut helps = Helps::default();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in documents() {
        for command in shown(&text) {
            seen += 1;
            wrong.extend(
                helps
                    .wrong(&command)
                    .map(|it| format!("{}: {it}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 50, "{seen}");
    assert!(helps.wrong("portcullis key revolve ID").is_some());
    assert!(helps.wrong("portcullis key revoke ID --force").is_some());
}
