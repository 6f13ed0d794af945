//! What a miss costs, on a real Redis: against c that only sends the commands.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use crate::asked::{Kind, Question};
use crate::asker::{End, Shape};
use crate::served::{Program, Server};
use crate::site::{AUDIT, PRESETS, config, redis};
use crate::support::redis::RedisServer;
use crate::table::{Row, Target};
use crate::{BUSY, Setting, counted};

const PROMISE: &str = "miss on Redis, instructions against c with a bare client, 4 × 10";
const MOST: f64 = 1.3;

/// How many misses are counted, and how many are measured by the clock.
const COUNTED: u64 = 500;
const TIMED: u64 = 4000;

/// One after the other, so that a miss's commands stand together.
const ALONE: Shape = Shape {
    connections: 1,
    streams: 1,
};

/// The check value of the peppers, which is read at the end of each trip.
const LAST_OF_A_TRIP: &str = "pc:m:peppers";

/// How long is waited for what is written in the background.
const SILENCE: Duration = Duration::from_millis(300);

/// What keys of records begin with, and those of when keys were used last.
const ASKED: [&str; 2] = ["pc:", "pcu:"];

/// Measures it, where so many callers are known to the Redis; tells what a miss asks.
pub fn measure(
    setting: &Setting,
    store: &RedisServer,
    callers: u64,
    answer: &Bytes,
) -> (Row, String) {
    let question = Arc::new(Question::new(Kind::Miss).of_callers(callers));
    let config = config(&redis(store), AUDIT, PRESETS);
    let program = Program::Portcullis {
        config: &config,
        directory: "",
    };
    let one = setting.on("0");
    let server = Server::start(&setting.runtime, program, &one);
    // Enough that all accounts were read.
    server.load(&question, BUSY, End::Answers(setting.of(1000)));
    let commands = commands(store, || {
        server.load(&question, ALONE, End::Answers(1));
    });
    let before = statistics(store);
    let [miss, misses] = [TIMED, TIMED].map(|it| cost(&server, &question, setting.of(it)));
    let asked = statistics(store)
        .into_iter()
        .map(|(name, calls)| {
            let more = calls - before.get(&name).copied().unwrap_or(0);
            (name, more as f64 / (2 * setting.of(TIMED)) as f64)
        })
        .filter(|it| it.1 >= 0.05)
        .map(|(name, calls)| format!("{calls:.2} {}", name.to_uppercase()));
    let asked: Vec<_> = asked.collect();
    drop(server);
    let url = store.url();
    let bare_program = Program::Bare {
        answer,
        redis: &url,
        commands: &commands,
    };
    // Whatever is asked there, it is no key that counts.
    let any = Arc::new(Question::new(Kind::Hit).of_callers(callers));
    let bare = Server::start(&setting.runtime, bare_program, &one);
    bare.warm(&any);
    let [bare, bares] = [TIMED, TIMED].map(|it| cost(&bare, &any, setting.of(it)));
    let (miss, bare) = (miss.min(misses), bare.min(bares));
    let told = format!(
        "A miss sends {}, in {} round trips that wait for each other, and what is written in the background. CPU a miss, user and kernel: {miss:.0} µs, bare {bare:.0} µs, {:.2}.",
        asked.join(" and "),
        commands.lines().filter(|it| it.contains("\"GET\"")).count(),
        miss / bare
    );
    let row = match setting.uncounted() {
        Some(why) => Row::not_measured(PROMISE, why, &format!("≤ {MOST}")),
        None => {
            let counts = [(program, &question), (bare_program, &any)].map(|(program, question)| {
                let server = Server::start(&setting.runtime, program, &counted::counting(&one));
                server.load_raw(question, BUSY, End::Answers(setting.of(300)));
                counted::count(&server, true);
                counted::per_request(&server, question, BUSY, setting.of(COUNTED))
            });
            Row::ratio(PROMISE, (counts[0], counts[1]), Target::AtMost(MOST))
        }
    };
    (row, told)
}

/// Gives what a request costs by the clock, in microseconds.
fn cost(server: &Server<'_>, question: &Arc<Question>, requests: u64) -> f64 {
    let before = server.busy();
    server.load(question, BUSY, End::Answers(requests));
    (server.busy() - before).as_secs_f64() * 1e6 / requests as f64
}

/// Gives the commands that the Redis is sent for what is done, those of a round trip in a line, as JSON.
fn commands(store: &RedisServer, done: impl FnOnce()) -> String {
    // What was done before is written by then.
    std::thread::sleep(SILENCE);
    let mut stream = TcpStream::connect(store.address()).expect("a Redis that listens");
    stream.set_read_timeout(Some(SILENCE)).expect("a socket");
    stream.write_all(b"MONITOR\r\n").expect("a socket");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("+OK"));
    done();
    let begun = Instant::now();
    let (mut trips, mut trip) = (Vec::new(), Vec::new());
    for line in lines.take_while(|_| begun.elapsed() < SILENCE) {
        // `+1795361664.123456 [0 127.0.0.1:1234] "GET" "key"`
        let words = line.split_once("] ").expect("a command").1;
        let words: Vec<_> = words.split('"').skip(1).step_by(2).collect();
        // Others are sent all the time, whatever is asked.
        if words
            .get(1)
            .is_some_and(|key| ASKED.iter().any(|it| key.starts_with(it)))
        {
            let is_last = words[0] != "GET" || words[1] == LAST_OF_A_TRIP;
            trip.push(json!(words));
            if is_last {
                trips.push(json!(std::mem::take(&mut trip)).to_string());
            }
        }
    }
    assert!(
        trip.is_empty() && trips.len() > 1,
        "not a miss: {trips:?} {trip:?}"
    );
    trips.join("\n")
}

/// Gives how often each command was called.
fn statistics(store: &RedisServer) -> BTreeMap<String, u64> {
    let client = ::redis::Client::open(store.url()).expect("a URL");
    let mut connection = client.get_connection().expect("a Redis that listens");
    let mut info = ::redis::cmd("INFO");
    let told: String = info
        .arg("commandstats")
        .query(&mut connection)
        .expect("statistics");
    let calls = told.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let (calls, _) = rest.split_once(',')?;
        Some((name.to_owned(), calls.parse().ok()?))
    });
    calls.collect()
}
