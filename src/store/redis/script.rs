//! What is asked of the server, and the scripts for what no single command does.
//!
//! Each script touches the one key it is given, so it runs on a Cluster, and is atomic because
//! the server runs one at a time. The server forgets scripts when it restarts, so each is called
//! by its digest first and sent along only where the server does not know it.

use bytes::Bytes;
use redis::{Cmd, Pipeline, ServerErrorKind, ToRedisArgs, Value};
use sha1::{Digest, Sha1};

use super::link::Link;
use crate::store::StoreError;

/// KEYS: the key. ARGV: the value it must have, the new value, and its lifetime if it has one.
const REPLACE: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2])
end
return 1";

/// KEYS: the key. ARGV: the value it must have.
const REMOVE: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// KEYS: the key. ARGV: how much to add, and the lifetime of a new counter. It answers with text,
/// since a number of Lua is exact only up to 2^53.
const ADD: &str = "\
local created = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
if created then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])";

/// The scripts, ready to be called.
pub(super) struct Scripts {
    pub(super) add: Script,
    pub(super) remove: Script,
    pub(super) replace: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            add: Script::new(ADD),
            remove: Script::new(REMOVE),
            replace: Script::new(REPLACE),
        }
    }
}

pub(super) struct Script {
    source: &'static str,
    digest: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self {
            source,
            digest: format!("{:x}", Bytes::copy_from_slice(&Sha1::digest(source))),
        }
    }

    /// Begins a call on a key; what is added goes to ARGV.
    pub(super) fn call(&self, key: &str) -> Call {
        let begun =
            |command, script: &str| Call::command(command).arg(script).arg(1).arg(key).first;
        Call {
            first: begun("EVALSHA", &self.digest),
            if_unknown: Some(begun("EVAL", self.source)),
        }
    }
}

/// One command, or one script that is run like a command.
pub(super) struct Call {
    first: Pipeline,
    /// The same with the script itself.
    if_unknown: Option<Pipeline>,
}

impl Call {
    pub(super) fn command(name: &str) -> Self {
        let mut first = Pipeline::with_capacity(1);
        first.cmd(name);
        Self {
            first,
            if_unknown: None,
        }
    }

    /// Begins the command that writes a value, with its lifetime in milliseconds.
    pub(super) fn set(key: &str, value: &[u8], ttl: Option<u64>) -> Self {
        let mut first = Pipeline::with_capacity(1);
        first.add_command(set(key, value, ttl));
        Self {
            first,
            if_unknown: None,
        }
    }

    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.first.arg(&argument);
        if let Some(call) = &mut self.if_unknown {
            call.arg(&argument);
        }
        self
    }

    /// Sends it and gives the server's answer, which may be an error of the server.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if none came.
    pub(super) async fn make(&self, link: &Link) -> Result<Value, StoreError> {
        self.make_at(link, false).await
    }

    /// The same at a server that is taking the key's slot from another, and takes commands for it only so.
    ///
    /// # Errors
    /// As [`Call::make`].
    pub(super) async fn make_asking(&self, link: &Link) -> Result<Value, StoreError> {
        self.make_at(link, true).await
    }

    async fn make_at(&self, link: &Link, asking: bool) -> Result<Value, StoreError> {
        let answer = send(&self.first, link, asking).await?;
        match (&answer, &self.if_unknown) {
            (Value::ServerError(error), Some(call))
                if error.kind() == Some(ServerErrorKind::NoScript) =>
            {
                send(call, link, asking).await
            }
            _ => Ok(answer),
        }
    }
}

/// Gives the command that writes a value, with its lifetime in milliseconds.
pub(super) fn set(key: &str, value: &[u8], ttl: Option<u64>) -> Cmd {
    // Room for the numerals of a lifetime, too.
    let mut set = Cmd::with_capacity(5, "SETPX".len() + key.len() + value.len() + 20);
    set.arg("SET").arg(key).arg(value);
    if let Some(ttl) = ttl {
        set.arg("PX").arg(ttl);
    }
    set
}

async fn send(call: &Pipeline, link: &Link, asking: bool) -> Result<Value, StoreError> {
    if !asking {
        return link.ask_one(call).await;
    }
    // It is for the next command on the connection, and nothing comes between the commands of a pipeline.
    let mut both = Pipeline::with_capacity(2);
    both.cmd("ASKING");
    for command in call.cmd_iter() {
        both.add_command(command.clone());
    }
    let answer = link.ask(&both).await?.pop();
    answer.ok_or_else(|| StoreError::Unavailable("no answer".to_owned()))
}
