//! What is kept in memory: of each identity, and of a server that has nothing to do; and how large the program is.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::asked::{Kind, Question};
use crate::asker::End;
use crate::served::{PORTCULLIS, Program, Server};
use crate::site::{AUDIT, EMBEDDED, PRESETS, config, redis};
use crate::support::redis::RedisServer;
use crate::table::{Row, Target};
use crate::{BUSY, KNOWN, MANY, Setting};

const MIB: f64 = 1024.0 * 1024.0;

/// Gives the row of bytes an identity, and the memory of a server by how many it keeps.
pub fn of_identities(setting: &Setting, store: &RedisServer, callers: u64) -> (Row, String) {
    let question = Arc::new(Question::new(Kind::Miss).of_callers(callers));
    let config = config(&redis(store), AUDIT, PRESETS);
    let program = Program::Portcullis {
        config: &config,
        directory: "",
    };
    let server = Server::start(&setting.runtime, program, &setting.on("0"));
    // Whatever a load takes by itself is there before the first identity is counted.
    server.warm(&Arc::new(Question::new(Kind::Hit)));
    let empty = server.resident();
    let mut told = format!(
        "| identities cached | resident, MiB | bytes an identity |\n|---|---|---|\n| 0 | {:.1} | |\n",
        empty as f64 / MIB
    );
    let (mut kept, mut promised) = (0, (0, 0.0));
    let counts = [1_000, 10_000, KNOWN, MANY];
    for count in counts.into_iter().filter(|it| *it <= callers) {
        // The caller of the warming is one of them.
        server.load(
            &question,
            BUSY,
            End::Answers(count - kept - u64::from(kept == 0)),
        );
        let cached = server.metric("portcullis_cache_entries", "identity");
        assert!(cached.is_some_and(|it| it * 10 >= count * 9), "{cached:?}");
        let resident = server.resident();
        let bytes = resident.saturating_sub(empty) as f64 / count as f64;
        if count <= KNOWN {
            promised = (count, bytes);
        }
        told.push_str(&format!(
            "| {count} | {:.1} | {bytes:.0} |\n",
            resident as f64 / MIB
        ));
        kept = count;
    }
    let (kept, bytes) = promised;
    let promise = format!("bytes a cached identity, {kept} of them, resident");
    let row = Row::judge(
        &promise,
        format!("{bytes:.0} B"),
        bytes,
        Target::AtMost(600.0),
        " B",
    );
    let few = (kept < KNOWN).then(|| format!("promised of {KNOWN}"));
    (row.unless(few), told)
}

/// Gives the row of a server that has nothing to do.
pub fn idle(setting: &Setting) -> Row {
    let config = config(EMBEDDED, AUDIT, PRESETS);
    let program = Program::Portcullis {
        config: &config,
        directory: "",
    };
    let server = Server::start(&setting.runtime, program, &setting.on("0,1"));
    let resident = server.resident() as f64 / MIB;
    Row::judge(
        "idle memory, three presets, embedded store",
        format!("{resident:.1} MiB"),
        resident,
        Target::AtMost(15.0),
        " MiB",
    )
}

/// Gives the row of the program's size.
pub fn program() -> Row {
    const PROMISE: &str = "stripped binary";
    let is_release = Path::new(PORTCULLIS)
        .components()
        .any(|it| it.as_os_str() == "release");
    if !is_release {
        return Row::not_measured(PROMISE, "only as it is released", "≤ 15 MB");
    }
    let bytes = fs::metadata(PORTCULLIS).expect("the binary that was built");
    let size = bytes.len() as f64 / 1e6;
    Row::judge(
        PROMISE,
        format!("{size:.1} MB"),
        size,
        Target::AtMost(15.0),
        " MB",
    )
}
