//! The control socket: how commands reach the directory of a running server.
//!
//! Apart from the other listeners because it has no authentication but the file system's: whoever
//! may open the socket, mode 0600, has the server's rights anyway. One connection is one command: a
//! line of JSON in (a `Request`), lines of JSON out ([`Line`] or `Explained`), the last of which
//! says how it ended. It decides nothing and prints nothing; [`Operations`] and [`Explainer`] do the
//! work.

pub mod client;

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::current::Current;
use crate::directory::operations::Operations;
use crate::directory::operations::words::{Clear, Line, Operation, OperationError};
use crate::explain::Explainer;
use crate::explain::report::Report;

/// The longest request, in bytes: a directory file of half a million users, more or less.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many commands are served at once; further ones wait to be accepted.
const COMMANDS_AT_ONCE: usize = 8;

/// How long a request may take to arrive, so that a stopped command does not keep others waiting.
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);

/// How many lines may wait for the command to read them.
const LINES_AHEAD: usize = 64;

/// What is asked of a running server.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    /// Something of its directory.
    Directory(Operation),
    /// Every step of the decision about a `CheckRequest`, in base64.
    Explain(Clear),
}

/// What a decision came to, in one line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Explained {
    /// Its report.
    Done(Box<Report>),
    /// There is none.
    Error(OperationError),
}

/// What does the work.
#[derive(Clone, Debug)]
pub struct Served {
    /// On the directory.
    pub operations: Operations,
    /// On questions why.
    pub explainer: Explainer,
}

/// A control socket that listens. The file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
}

impl ControlSocket {
    /// Listens at `path`. A socket that a dead process left behind is replaced, one that answers is
    /// not, and neither is anything else that stands there.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::AddrInUse`] where another process answers.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        check_free(path).await?;
        let directory = Private::make(path)?;
        let bound = directory.0.join("s");
        let listener = UnixListener::bind(&bound)?;
        fs::set_permissions(&bound, Permissions::from_mode(0o600))?;
        let inode = inode(&fs::symlink_metadata(&bound)?);
        // In one step, so that at no moment there is a socket which others may open.
        fs::rename(&bound, path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode,
        })
    }

    /// Serves commands until `end` is over; those that have begun are let finish.
    pub async fn serve(self, served: impl Into<Current<Served>>, end: impl Future<Output = ()>) {
        let served = served.into();
        let mut commands = JoinSet::new();
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                accepted = self.listener.accept(), if commands.len() < COMMANDS_AT_ONCE => {
                    match accepted {
                        Ok((stream, _)) => {
                            let served = Served::clone(&served.get());
                            commands.spawn(async move { serve_one(stream, &served).await });
                        }
                        Err(error) => {
                            tracing::warn!("the control socket cannot accept: {error}");
                            // Out of file descriptors, for one; without a pause it would spin.
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
                Some(_) = commands.join_next() => {}
            }
        }
        drop(self);
        while commands.join_next().await.is_some() {}
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Unless somebody has put another one there.
        if fs::symlink_metadata(&self.path).is_ok_and(|it| inode(&it) == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A directory that nobody else can look into, beside the socket; it goes with this value.
struct Private(PathBuf);

impl Private {
    fn make(beside: &Path) -> io::Result<Self> {
        // Short, since the path of a socket has 107 bytes at most.
        let name = format!(".pc{}", std::process::id());
        let path = beside.with_file_name(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn check_free(path: &Path) -> io::Result<()> {
    let in_use = |message| Err(io::Error::new(io::ErrorKind::AddrInUse, message));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => in_use("something else stands there"),
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
            Ok(_) => in_use("another process answers there"),
        },
    }
}

fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Serves one command. A command that goes away takes its operation with it.
async fn serve_one(stream: UnixStream, served: &Served) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let request = tokio::time::timeout(REQUEST_PATIENCE, read_request(&mut read)).await;
    let late = || Err(problem("the request did not arrive in time".to_owned()));
    let work = async {
        match request.unwrap_or_else(|_| late()) {
            // Somebody looked whether anybody is there.
            Ok(None) => Ok(()),
            Ok(Some(Request::Directory(operation))) => {
                perform(operation, &served.operations, &mut write).await
            }
            Ok(Some(Request::Explain(message))) => {
                let explained = explain(&message, &served.explainer).await;
                write_line(&mut write, &explained).await
            }
            Err(error) => write_line(&mut write, &Line::Error(error)).await,
        }
    };
    let gone = async { read.read_u8().await };
    tokio::select! {
        _ = work => {}
        _ = gone => {}
    }
}

async fn perform(
    operation: Operation,
    operations: &Operations,
    write: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let (lines, sent) = mpsc::channel(LINES_AHEAD);
    let work = async {
        let done = operations.perform(operation, &lines).await;
        drop(lines);
        Ok(done.map_or_else(Line::Error, Line::Done))
    };
    let (last, ()) = tokio::try_join!(work, pass_on(sent, write))?;
    write_line(write, &last).await
}

async fn explain(message: &Clear, explainer: &Explainer) -> Explained {
    let Ok(message) = BASE64.decode(message.expose()) else {
        return Explained::Error(problem("what is to be explained is not base64".to_owned()));
    };
    let report = explainer.explain(message.into()).await;
    // Nothing of the request, which may be anybody's.
    tracing::info!(outcome = &*report.verdict.outcome, "explained a decision");
    Explained::Done(Box::new(report))
}

async fn read_request(
    read: &mut (impl AsyncBufReadExt + Unpin),
) -> Result<Option<Request>, OperationError> {
    let mut request = Zeroizing::new(Vec::new());
    let mut read = read.take(REQUEST_BYTES_MAX as u64 + 1);
    let failed = |it: io::Error| OperationError::Fault(format!("the request cannot be read: {it}"));
    read.read_until(b'\n', &mut request).await.map_err(failed)?;
    if request.is_empty() {
        return Ok(None);
    }
    if request.len() > REQUEST_BYTES_MAX {
        return Err(problem(too_large()));
    }
    // Serde's own words could show a part of the request, which may be a secret.
    let request: Result<Value, _> = serde_json::from_slice(&request);
    let request = request.map_err(|_| problem("the request is not JSON".to_owned()))?;
    serde_json::from_value(request).map(Some).map_err(|_| {
        let message = "the server does not know this request; is it of the same version?";
        problem(message.to_owned())
    })
}

async fn pass_on(mut lines: mpsc::Receiver<Line>, write: &mut OwnedWriteHalf) -> io::Result<()> {
    while let Some(line) = lines.recv().await {
        write_line(write, &line).await?;
    }
    Ok(())
}

async fn write_line(write: &mut OwnedWriteHalf, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = Zeroizing::new(serde_json::to_vec(line)?);
    bytes.push(b'\n');
    write.write_all(&bytes).await
}

fn problem(message: String) -> OperationError {
    OperationError::Problems(vec![message])
}

fn too_large() -> String {
    let mebibytes = REQUEST_BYTES_MAX / (1024 * 1024);
    format!("more than {mebibytes} MiB cannot be sent at once; import the file in parts")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use tempfile::TempDir;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use crate::clock::Clock;
    use crate::control::client::{AskError, ask};
    use crate::credential::Fingerprinter;
    use crate::directory::Directory;
    use crate::directory::operations::words::Outcome;
    use crate::directory::pepper::Peppers;
    use crate::directory::records::RecordKind;
    use crate::envoy::OnFault;
    use crate::keys::asserting::AssertionKeys;
    use crate::platform::Platforms;
    use crate::proof::Prover;
    use crate::store::embedded::Embedded;

    use super::*;

    struct Site {
        dir: TempDir,
    }

    impl Site {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("control.sock")
        }

        fn files(&self) -> Vec<String> {
            let files = fs::read_dir(self.dir.path()).unwrap();
            files
                .map(|it| it.unwrap().file_name().into_string().unwrap())
                .collect()
        }

        async fn serve(&self) -> (JoinHandle<()>, oneshot::Sender<()>) {
            let store = Arc::new(Embedded::memory(Clock::system()).unwrap());
            let prover = Prover::new(Fingerprinter::random().unwrap(), 100, 1).unwrap();
            let peppers = Peppers::ephemeral().unwrap();
            let directory = Directory::new(store, peppers, prover, Clock::system());
            let platforms = BTreeMap::from([("p".to_owned(), Default::default())]);
            let explainer = Explainer {
                directory: directory.clone(),
                platforms: Platforms::default(),
                fingerprinter: Fingerprinter::random().unwrap(),
                client_address: None,
                assertion_keys: AssertionKeys::default(),
                on_fault: OnFault::Deny,
            };
            let served = Served {
                operations: Operations::new(directory, platforms),
                explainer,
            };
            let (end, ended) = oneshot::channel();
            let socket = ControlSocket::bind(&self.path()).await.unwrap();
            let serving = socket.serve(served, async {
                let _ = ended.await;
            });
            (tokio::spawn(serving), end)
        }

        async fn send(&self, bytes: Vec<u8>) -> String {
            let stream = UnixStream::connect(self.path()).await.unwrap();
            let (mut read, mut write) = stream.into_split();
            // A refusal may come before all is sent.
            let sending = tokio::spawn(async move {
                let _ = write.write_all(&bytes).await;
                write
            });
            let mut answer = String::new();
            let _ = read.read_to_string(&mut answer).await;
            drop(sending.await);
            answer
        }
    }

    fn list() -> Operation {
        Operation::List {
            kind: RecordKind::User,
            platform: "p".into(),
            account: None,
        }
    }

    #[tokio::test]
    async fn a_socket_is_for_its_owner_and_goes_with_the_server() {
        let site = Site::new();
        let (serving, end) = site.serve().await;
        let mode = fs::symlink_metadata(site.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(site.files(), ["control.sock"]);
        end.send(()).unwrap();
        serving.await.unwrap();
        assert!(site.files().is_empty());
    }

    #[tokio::test]
    async fn only_what_a_dead_process_left_behind_is_replaced() {
        let site = Site::new();
        let (serving, end) = site.serve().await;
        let refused = ControlSocket::bind(&site.path()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        let path = site.path();
        let asked = tokio::task::spawn_blocking(move || ask(&path, list(), || (), |_| ()));
        let listed = asked.await.unwrap().unwrap();
        assert_eq!(listed, Outcome::Listed { records: 0 });
        end.send(()).unwrap();
        serving.await.unwrap();

        drop(std::os::unix::net::UnixListener::bind(site.path()).unwrap());
        assert!(matches!(
            ask(&site.path(), list(), || (), |_| ()),
            Err(AskError::Absent(_))
        ));
        drop(ControlSocket::bind(&site.path()).await.unwrap());

        fs::write(site.path(), "precious").unwrap();
        let refused = ControlSocket::bind(&site.path()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read_to_string(site.path()).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_socket_that_another_server_has_put_there_is_left_alone() {
        let site = Site::new();
        let (serving, end) = site.serve().await;
        fs::remove_file(site.path()).unwrap();
        let other = std::os::unix::net::UnixListener::bind(site.path()).unwrap();
        end.send(()).unwrap();
        serving.await.unwrap();
        assert_eq!(site.files(), ["control.sock"]);
        drop(other);
    }

    #[tokio::test]
    async fn a_request_that_is_none_is_answered_without_its_words() {
        let site = Site::new();
        let (_serving, _end) = site.serve().await;
        let huge = [b"\"".as_slice(), &vec![b'x'; REQUEST_BYTES_MAX]].concat();
        let cases = [
            ("not JSON", b"hunter2\n".to_vec(), "not JSON"),
            (
                "no operation",
                b"{\"hunter2\":{}}\n".to_vec(),
                "same version",
            ),
            (
                "a wrong field",
                b"{\"directory\":{\"show\":{\"hunter2\":1}}}\n".to_vec(),
                "same version",
            ),
            (
                "no base64",
                b"{\"explain\":\"hunter2!\"}\n".to_vec(),
                "not base64",
            ),
            ("too large", huge, "more than 64 MiB"),
        ];
        for (name, request, want) in cases {
            let answer = site.send(request).await;
            assert!(answer.starts_with("{\"error\":"), "{name}: {answer}");
            assert!(answer.contains(want), "{name}: {answer}");
            assert!(!answer.contains("hunter2"), "{name}: {answer}");
        }
        drop(UnixStream::connect(site.path()).await.unwrap());
        let answer = site
            .send(b"{\"directory\":{\"list\":{\"kind\":\"key\",\"platform\":\"p\"}}}\n".to_vec())
            .await;
        assert_eq!(answer, "{\"done\":{\"listed\":{\"records\":0}}}\n");
    }
}
