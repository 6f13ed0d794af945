//! `portcullis signing`: how a key that tokens or assertions are signed with takes another's place.
//!
//! The configuration is all the state there is: the order of its list says which key signs, and a comment beside it
//! says until when one that signs no more is needed. So whoever reviews or deploys the file sees it, and nothing else
//! has to be kept. Each step is one edit, read and compared again before it takes the file's place, and of one process at a time.

mod listed;
mod replace;
mod site;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::cli::key::parse_seconds;
use crate::cli::{CommandError, say};
use crate::clock::Clock;
use crate::keys::MAX_SIGNING_KEYS;
use listed::Listed;
use site::{Kind, Site};

/// How long a configuration may take to reach every process: until then, some still sign with the former key.
const SPREAD_SECONDS: u64 = 600;

/// How long those who fetch a key set may keep it: until then, some do not know a new key of assertions.
const KEPT_MINUTES: u64 = 10;

const EXAMPLES: &str = "Examples, in this order:
  portcullis signing add --config portcullis.yaml      make the next key, beside the one that signs
  portcullis signing use --config portcullis.yaml      when every process has it: sign with it
  portcullis signing list --config portcullis.yaml     which signs, and when the old one may go
  portcullis signing retire --config portcullis.yaml   when the tokens of the old one have ended";

/// Change the keys that tokens, or with `--assertions` assertions, are signed with.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Command {
    /// Make a new key file beside the one that signs, and list it second: it verifies and does not sign yet.
    Add(On),
    /// List the keys: which one signs, and when those that sign no more may go.
    List(On),
    /// Take a key out of the configuration that signs no more, when all that it signed has ended.
    Retire(Retire),
    /// Sign with the key that was added; the one that signed so far goes on verifying.
    Use(Use),
}

/// The configuration, and which of its keys.
#[derive(Args, Debug)]
pub struct On {
    /// The configuration file; it is edited in its place.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The keys of assertions (`assertion_key_files`) and not those of tokens (`key_files`).
    #[arg(long)]
    assertions: bool,
}

/// The key that is to sign.
#[derive(Args, Debug)]
pub struct Use {
    #[command(flatten)]
    on: On,
    /// The file, as the configuration names it; may be left out where one does not sign yet.
    #[arg(value_name = "KEY_FILE")]
    file: Option<String>,
    /// How long what the former key has signed lasts: the longest that any account gives its tokens
    /// (`token_auth_expiry_s`, 3600 where none says otherwise), or the longest `lifetime_seconds` of assertions.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_seconds)]
    tokens_last: u64,
}

/// The key that is to go.
#[derive(Args, Debug)]
pub struct Retire {
    #[command(flatten)]
    on: On,
    /// The file, as the configuration names it; may be left out where one signs no more.
    #[arg(value_name = "KEY_FILE")]
    file: Option<String>,
    /// At once, although what it signed may not have ended: for a key that somebody else has.
    #[arg(long)]
    now: bool,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(self) -> Result<(), CommandError> {
        let now = i64::try_from(Clock::system().unix_seconds()).map_err(CommandError::failed)?;
        // To the second, as it is shown and noted.
        let now = Timestamp::from_second(now).map_err(CommandError::failed)?;
        match self {
            Self::Add(on) => on.add(&on.edit()?, now),
            Self::List(on) => on.list(),
            Self::Retire(retire) => retire.run(now),
            Self::Use(it) => it.run(now),
        }
    }
}

impl On {
    fn kind(&self) -> Kind {
        if self.assertions {
            Kind::Assertions
        } else {
            Kind::Tokens
        }
    }

    fn read(&self) -> Result<Site<'_>, CommandError> {
        Site::read(&self.config, self.kind())
    }

    fn edit(&self) -> Result<Site<'_>, CommandError> {
        Site::edit(&self.config, self.kind())
    }

    fn add(&self, site: &Site<'_>, now: Timestamp) -> Result<(), CommandError> {
        let listed = site.listed()?;
        let entries = listed.entries();
        if let Some(next) = (1..entries.len()).find(|it| listed.may_go(*it).is_none()) {
            return Err(CommandError::failed(format!(
                "{0} is listed already and does not sign: `portcullis signing use {0}` has it sign, `portcullis signing \
                 retire {0} --now` takes it out",
                entries[next]
            )));
        }
        if entries.len() >= MAX_SIGNING_KEYS {
            return Err(CommandError::failed(format!(
                "{MAX_SIGNING_KEYS} keys are listed, and no more may be: `portcullis signing list` tells which may go"
            )));
        }
        let kind = self.kind();
        let name = format!("{}-{}.pem", kind.signed(), now.strftime("%Y%m%d-%H%M%S"));
        let model = site.path(0)?;
        let file = model.with_file_name(&name);
        let pem = kind.make().map_err(CommandError::failed)?;
        replace::create(&file, &pem, &model).map_err(CommandError::failed)?;
        let mut wanted = site.files();
        wanted.insert(1, in_folder_of(&wanted[0], &name));
        site.write(
            &listed.with_second(&in_folder_of(entries[0], &name)),
            &wanted,
        )
        .inspect_err(|_| drop(std::fs::remove_file(&file)))?;
        let wait = if self.assertions {
            format!(" and {KEPT_MINUTES} minutes have passed, which verifiers may keep a key set,")
        } else {
            String::new()
        };
        say(format!(
            "{} is made and listed second: it verifies, and {} still signs.\nBring both files to every process. When each \
             has them{wait} run `portcullis signing use`.",
            file.display(),
            entries[0]
        ));
        Ok(())
    }

    fn list(&self) -> Result<(), CommandError> {
        let site = self.read()?;
        let listed = site.listed()?;
        for (index, entry) in listed.entries().iter().enumerate() {
            let what = match (index, listed.may_go(index)) {
                (0, _) => "signs".to_owned(),
                (_, Some(time)) => format!("verifies, may go after {time}"),
                (_, None) => "verifies, does not sign yet".to_owned(),
            };
            say(format!("{entry}  {what}"));
        }
        Ok(())
    }
}

impl Use {
    fn run(&self, now: Timestamp) -> Result<(), CommandError> {
        let site = self.on.edit()?;
        let listed = site.listed()?;
        let is_next = |it: usize| listed.may_go(it).is_none();
        let none = "no key waits to sign: `portcullis signing add` makes one";
        let index = chosen(&listed, self.file.as_deref(), is_next, none)?;
        let former = listed.entries()[0].to_owned();
        let lasts = Duration::from_secs(self.tokens_last.saturating_add(SPREAD_SECONDS));
        let time = now.checked_add(lasts);
        let time = time.map_err(|_| CommandError::usage("`--tokens-last` is too long"))?;
        let mut wanted = site.files();
        let next = wanted.remove(index);
        wanted.insert(0, next);
        let setting = self.on.kind().setting();
        let noted = || {
            let mut text = listed.with_first(index);
            for entry in 0..=1 {
                text = Listed::find(&text, setting)?.forgetting(entry);
            }
            Ok(Listed::find(&text, setting)?.noting(1, time))
        };
        let text = noted().map_err(|it| site.by_hand(it, &wanted))?;
        site.write(&text, &wanted)?;
        say(format!(
            "{} signs from now on, and {former} goes on verifying.\n{former} may go after {time}: {} for what it has signed, \
             {} minutes for this configuration to reach every process. Then run `portcullis signing retire`.",
            listed.entries()[index],
            told(self.tokens_last),
            SPREAD_SECONDS / 60
        ));
        Ok(())
    }
}

impl Retire {
    fn run(&self, now: Timestamp) -> Result<(), CommandError> {
        let site = self.on.edit()?;
        let listed = site.listed()?;
        let is_old = |it: usize| listed.may_go(it).is_some();
        if let ([only], None) = (listed.entries().as_slice(), &self.file) {
            let name = only.rsplit('/').next().unwrap_or_default();
            return Err(CommandError::failed(format!(
                "{name} is the only key, and it signs: nothing to take out"
            )));
        }
        let none = "no key is noted to sign no more; name the one that is meant, with `--now`";
        let index = chosen(&listed, self.file.as_deref(), is_old, none)?;
        let entry = listed.entries()[index].to_owned();
        let early = match listed.may_go(index) {
            Some(time) if time > now => Some(format!("{entry} may go after {time}")),
            Some(_) => None,
            None => Some(format!("it is not known since when {entry} signs no more")),
        };
        if let Some(why) = early.filter(|_| !self.now) {
            return Err(CommandError::failed(format!(
                "{why}; with `--now` what it signed is refused from now on"
            )));
        }
        let file = site.path(index)?;
        let mut wanted = site.files();
        wanted.remove(index);
        site.write(&listed.without(index), &wanted)?;
        say(format!(
            "{entry} is taken out: what it signed is refused wherever this configuration is in force.\nWhen that is \
             everywhere, delete {}.",
            file.display()
        ));
        Ok(())
    }
}

/// Gives the entry that is meant: the one that is named, or the only one of which that holds. Never the first, which signs.
fn chosen(
    listed: &Listed<'_>,
    named: Option<&str>,
    holds: impl Fn(usize) -> bool,
    none: &str,
) -> Result<usize, CommandError> {
    let entries = listed.entries();
    if let Some(named) = named {
        let found = entries.iter().position(|it| *it == named);
        return match found {
            Some(0) => Err(CommandError::failed(format!(
                "{named} is the key that signs"
            ))),
            Some(index) => Ok(index),
            None => Err(CommandError::usage(format!(
                "{named} is not listed; there are {}",
                entries.join(", ")
            ))),
        };
    }
    let of_them: Vec<_> = (1..entries.len()).filter(|it| holds(*it)).collect();
    match of_them[..] {
        [] => Err(CommandError::failed(none)),
        [only] => Ok(only),
        _ => {
            let names: Vec<_> = of_them.iter().map(|it| entries[*it]).collect();
            let message = format!("name the one that is meant: {}", names.join(" or "));
            Err(CommandError::usage(message))
        }
    }
}

/// Gives the path of this name in the folder of another path, as that is written.
fn in_folder_of(path: &str, name: &str) -> String {
    let folder = path.rfind('/').map_or("", |it| &path[..=it]);
    format!("{folder}{name}")
}

/// A time as it is given.
fn told(seconds: u64) -> String {
    match seconds {
        it if it % 86_400 == 0 => format!("{}d", it / 86_400),
        it if it % 3600 == 0 => format!("{}h", it / 3600),
        it if it % 60 == 0 => format!("{}m", it / 60),
        it => format!("{it}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names what is in a folder.
    fn names(folder: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let names = entries.map(|it| it.expect("an entry").file_name().into_string());
        let mut names: Vec<_> = names.map(|it| it.expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn an_edit_that_somebody_makes_meanwhile_is_kept_and_the_made_key_is_not() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let config = folder.path().join("c.yaml");
        let key = crate::keys::made::p256_pem().expect("a key");
        std::fs::write(folder.path().join("a.pem"), &*key).expect("a file");
        let text = "listen: { grpc: [\"127.0.0.1:0\"] }\nsigning: { assertion_key_files: [a.pem] }\nplatforms:\n  \
                    - { name: p, preset: opentact }\n";
        std::fs::write(&config, text).expect("a file");
        let on = On {
            config: config.clone(),
            assertions: true,
        };
        let now = Timestamp::UNIX_EPOCH;
        let before = ["a.pem", "c.yaml"];

        let site = on.edit().expect("a configuration");
        // Of two runs, the second does nothing.
        let second = on.edit().map(|_| ()).expect_err("a lock").message;
        assert!(second.contains("another `portcullis signing`"), "{second}");
        // Looking is no editing.
        on.list().expect("a list");

        let edited = format!("{text}# Somebody's.\n");
        std::fs::write(&config, &edited).expect("a file");
        let refused = on.add(&site, now).expect_err("a change").message;
        assert!(refused.contains("was changed meanwhile"), "{refused}");
        assert_eq!(std::fs::read_to_string(&config).expect("a file"), edited);
        assert_eq!(names(folder.path()), before);
        drop(site);

        let site = on.edit().expect("the lock went with the first");
        on.add(&site, now).expect("an edit");
        assert_eq!(names(folder.path()).len(), 3);
        let text = std::fs::read_to_string(&config).expect("a file");
        assert!(
            text.contains("# Somebody's.") && text.contains("assertions-1970"),
            "{text}"
        );
    }
}
