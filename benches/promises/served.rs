//! Servers, each a process of its own, as they are or under callgrind, on the cores that are given to them.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::asked::{Kind, Question};
use crate::asker::{Answered, Asker, End, Place, Shape, load};
use crate::site;
use crate::support::http::fetch;
use crate::support::process::{Process, command};
use crate::support::{free_port, loopback};

pub const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

/// A load that fills buffers and tables before anything is measured.
const WARMING: (Shape, End) = (
    Shape {
        connections: 1,
        streams: 10,
    },
    End::Answers(300),
);

/// How long a start is looked for, and how often: callgrind on a machine that is busy takes its time.
const START_PATIENCE: Duration = Duration::from_secs(180);
const START_PAUSE: Duration = Duration::from_micros(200);

/// Which program, and what it is told.
#[derive(Clone, Copy, Debug)]
pub enum Program<'p> {
    /// `portcullis serve` with this configuration and directory.
    Portcullis { config: &'p str, directory: &'p str },
    /// The same out of this program, on runtimes of this form.
    Formed {
        form: &'p str,
        config: &'p str,
        directory: &'p str,
    },
    /// c, with this answer.
    Constant(&'p Bytes),
    /// c, which sends these commands first.
    Bare {
        answer: &'p Bytes,
        redis: &'p str,
        commands: &'p str,
    },
}

/// What stands before a command: where it runs, and what counts it.
#[derive(Clone, Debug, Default)]
pub struct Wrapping(pub Vec<String>);

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Server<'r> {
    runtime: &'r Runtime,
    process: Process,
    grpc: SocketAddr,
    /// Where it is asked.
    pub place: Place,
    admin: Option<SocketAddr>,
    /// The caller who has not asked yet, of those who ask once.
    next: Cell<u64>,
    dir: TempDir,
}

/// Makes the runtime of the generator: one thread, which stays on the core that the servers leave to it.
pub fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

impl<'r> Server<'r> {
    /// Starts one and waits until it is ready.
    pub fn start(runtime: &'r Runtime, program: Program<'_>, wrapping: &Wrapping) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self::start_in(runtime, dir, program, wrapping).0
    }

    /// The same in a directory with what was left there; tells how long it took.
    pub fn start_in(
        runtime: &'r Runtime,
        dir: TempDir,
        program: Program<'_>,
        wrapping: &Wrapping,
    ) -> (Self, Duration) {
        let (grpc, admin) = (loopback(free_port()), loopback(free_port()));
        let mut words = wrapping.0.clone();
        words.extend(command_line(program, dir.path(), grpc, admin));
        let mut command = command(&words[0]);
        command.args(&words[1..]);
        let is_portcullis = matches!(program, Program::Portcullis { .. } | Program::Formed { .. });
        let begun = Instant::now();
        let server = Self {
            runtime,
            process: Process::spawn("the server", command),
            grpc,
            place: Place::Tcp(grpc),
            admin: is_portcullis.then_some(admin),
            next: Cell::new(1),
            dir,
        };
        server.await_ready(begun);
        (server, begun.elapsed())
    }

    /// Looks oftener than [`Process::await_start`], since how long it takes is measured.
    fn await_ready(&self, begun: Instant) {
        let is_ready = || match self.admin {
            Some(admin) => fetch(admin, "/readyz").is_ok_and(|it| it.status == 200),
            None => std::net::TcpStream::connect(self.grpc).is_ok(),
        };
        while !is_ready() {
            assert!(begun.elapsed() < START_PATIENCE, "{}", self.process.log());
            std::thread::sleep(START_PAUSE);
        }
    }

    /// Asks until the answer is right, loads it for a moment with the same, and gives that answer.
    pub fn warm(&self, question: &Arc<Question>) -> Bytes {
        let ask = || {
            let answer = async {
                let asker = Asker::connect(&self.place).await;
                asker.answer(question.frame(0)).await.ok()
            };
            let answer = self.runtime.block_on(answer);
            answer.filter(|it| question.is_answered_by(it))
        };
        // The first is no hit, so that whose answer is kept is the second.
        let answer = self.process.await_start("answering rightly", || {
            ask()?;
            ask()
        });
        self.load_raw(question, WARMING.0, WARMING.1);
        answer
    }

    /// Loads it, and makes sure that every answer came as it was to.
    pub fn load(&self, question: &Arc<Question>, shape: Shape, end: End) -> Answered {
        let before = self.counted(question);
        let answered = self.load_raw(question, shape, end);
        self.assert_counted(question, before, answered.answers);
        answered
    }

    /// Loads it without a look at its metrics, so that nothing else is done meanwhile.
    pub fn load_raw(&self, question: &Arc<Question>, shape: Shape, end: End) -> Answered {
        let first = match question.kind {
            Kind::Miss => self.next.get(),
            _ => 0,
        };
        let load = load(&self.place, question, first, shape, end);
        let answered = self.runtime.block_on(load);
        if question.kind == Kind::Miss {
            self.next.set(first + answered.answers);
            assert!(first + answered.answers <= question.callers);
        }
        answered
    }

    /// Makes sure that so many answers more than `before` came as they were to.
    pub fn assert_counted(&self, question: &Question, before: Option<u64>, answers: u64) {
        if let (Some(before), Some(after)) = (before, self.counted(question)) {
            let what = "not every answer was what was asked for";
            assert_eq!(after - before, answers, "{what}: {:?}", question.kind);
        }
    }

    /// How many answers to this question Portcullis has counted; `None` for those that count nothing.
    pub fn counted(&self, question: &Question) -> Option<u64> {
        self.metric("portcullis_checks_total", question.counted_as())
    }

    /// The sum of a metric over all that have such labels.
    pub fn metric(&self, name: &str, labels: &str) -> Option<u64> {
        let admin = self.admin?;
        // Under callgrind, an answer may take longer than the client waits.
        let metrics = self
            .process
            .await_start("telling its metrics", || fetch(admin, "/metrics").ok());
        let found = metrics.text().lines().filter_map(|line| {
            let (what, value) = line.rsplit_once(' ')?;
            let counts = what.starts_with(name) && what.contains(labels);
            counts.then(|| value.parse::<u64>().ok())?
        });
        Some(found.sum())
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How long it has run on a core so far.
    pub fn busy(&self) -> Duration {
        self.scheduled(0)
    }

    /// How long it has waited for one, since others ran.
    pub fn waited(&self) -> Duration {
        self.scheduled(1)
    }

    /// A time that the scheduler tells of each thread, all together.
    fn scheduled(&self, field: usize) -> Duration {
        let tasks = format!("/proc/{}/task", self.id());
        let tasks = fs::read_dir(tasks).expect("a running process on Linux");
        let nanoseconds = |task: &Path| {
            let text = fs::read_to_string(task.join("schedstat")).ok()?;
            text.split(' ').nth(field)?.parse::<u64>().ok()
        };
        let times = tasks.flatten().filter_map(|it| nanoseconds(&it.path()));
        Duration::from_nanos(times.sum())
    }

    /// How much memory it has, in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("a running process on Linux");
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|it| it.trim().strip_suffix(" kB"));
        let kilobytes = kilobytes.and_then(|it| it.parse::<u64>().ok());
        kilobytes.expect("a number of kilobytes") * 1024
    }

    /// Asks it over its Unix socket from now on, which [`site::on_unix_too`] gives it.
    pub fn turn_to_unix(&mut self) {
        self.place = Place::Unix(self.dir.path().join(site::SOCKET));
    }

    /// Ends it, waits until it has, and gives what it leaves.
    pub fn stop(mut self) -> TempDir {
        self.process.stop();
        self.dir
    }
}

fn command_line(
    program: Program<'_>,
    dir: &Path,
    grpc: SocketAddr,
    admin: SocketAddr,
) -> Vec<String> {
    let write = |name: &str, content: &[u8]| -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, content).expect("a writable temporary directory");
        path
    };
    let in_words = |path: PathBuf| path.display().to_string();
    let bench = || in_words(std::env::current_exe().expect("the path of this program"));
    let configure = |config: &str, directory: &str| {
        for (name, text) in site::files(directory) {
            write(name, text.as_bytes());
        }
        let config = config
            .replace("{grpc}", &grpc.port().to_string())
            .replace("{admin}", &admin.port().to_string())
            .replace("{dir}", &dir.display().to_string());
        in_words(write("portcullis.yaml", config.as_bytes()))
    };
    match program {
        Program::Portcullis { config, directory } => {
            let config = configure(config, directory);
            vec![PORTCULLIS.into(), "serve".into(), "--config".into(), config]
        }
        Program::Formed {
            form,
            config,
            directory,
        } => {
            let config = configure(config, directory);
            vec![bench(), "formed".into(), form.into(), config]
        }
        Program::Constant(answer) => {
            let answer = in_words(write("answer.bin", answer));
            vec![bench(), "c".into(), grpc.to_string(), answer]
        }
        Program::Bare {
            answer,
            redis,
            commands,
        } => {
            let answer = in_words(write("answer.bin", answer));
            let commands = in_words(write("commands.jsonl", commands.as_bytes()));
            let told = [grpc.to_string(), answer, redis.to_owned(), commands];
            [bench(), "bare".to_owned()]
                .into_iter()
                .chain(told)
                .collect()
        }
    }
}
