//! A compose file's services, each with the files that its container would find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{Process, command};

const FOLDER: &str = "deploy/examples/envoy-redis";

/// What stands in the compose file for the Redis, and here for the test's.
const REDIS_URL: &str = "redis://redis:6379";

/// The example after `./setup`, in a place of its own.
pub(crate) struct Composed {
    root: TempDir,
    services: Value,
}

/// A service.
pub(crate) struct Service {
    /// Its command, with paths that are there.
    pub(crate) command: Vec<String>,
    /// What is asked whether it is well.
    pub(crate) healthcheck: Vec<String>,
    environment: Vec<(String, String)>,
    files: PathBuf,
}

impl Composed {
    /// Copies the example, and runs its `./setup`.
    pub(crate) fn set_up() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
        let to = root.path().join(FOLDER);
        fs::create_dir_all(&to).expect("a folder");
        for entry in fs::read_dir(tree.join(FOLDER)).expect("a folder") {
            let entry = entry.expect("an entry").path();
            // Whoever has tried the example out has more there.
            if entry.is_file() {
                fs::copy(&entry, to.join(entry.file_name().expect("a name"))).expect("a copy");
            }
        }
        let text = fs::read_to_string(root.path().join(FOLDER).join("compose.yaml"));
        let file: Value = serde_saphyr::from_str(&text.expect("a file")).expect("YAML");
        let services = file["services"].clone();
        let composed = Self { root, services };
        let said = composed.set_up_again();
        assert!(said.contains("made secrets/"), "{said}");
        composed
    }

    /// Runs `./setup` and gives what it said.
    pub(crate) fn set_up_again(&self) -> String {
        let ran = Command::new(self.folder().join("setup")).output();
        let ran = ran.expect("a shell");
        let said = [ran.stdout, ran.stderr].concat();
        String::from_utf8(said).expect("UTF-8")
    }

    /// Where the example is.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join(FOLDER)
    }

    /// Whether there is a service of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.services.get(name).is_some()
    }

    /// A service as it is written, with what it takes from elsewhere in the file.
    pub(crate) fn value(&self, name: &str) -> Value {
        let mut service = self.services[name].clone();
        let own = service.as_object_mut().expect("a service");
        if let Some(Value::Object(shared)) = own.remove("<<") {
            for (key, value) in shared {
                own.entry(key).or_insert(value);
            }
        }
        service
    }

    /// A service, with its files laid out.
    pub(crate) fn service(&self, name: &str) -> Service {
        let service = self.value(name);
        let files = self.root.path().join("containers").join(name);
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let parts: Vec<_> = volume.as_str().expect("a text").split(':').collect();
            let (source, target) = (self.folder().join(parts[0]), below(&files, parts[1]));
            if source.is_dir() {
                fs::create_dir_all(&target).expect("a folder");
            } else {
                fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
                fs::copy(&source, &target).expect("a copy");
            }
        }
        let mapped = |it: String| match it.starts_with('/') {
            true => below(&files, &it).display().to_string(),
            false => it,
        };
        let environment = service["environment"].as_object().cloned();
        let environment = environment.unwrap_or_default().into_iter();
        Service {
            command: texts(&service["command"]).into_iter().map(mapped).collect(),
            healthcheck: texts(&service["healthcheck"]["test"]),
            environment: environment
                .map(|(name, value)| (name, value.as_str().expect("a text").to_owned()))
                .collect(),
            files,
        }
    }
}

/// Gives each service by its name.
pub(crate) fn services(composed: &Composed) -> Vec<(String, Value)> {
    let names = composed.services.as_object().expect("services").keys();
    names.map(|it| (it.clone(), composed.value(it))).collect()
}

impl Service {
    /// Where a file of the container is.
    pub(crate) fn path(&self, target: &str) -> PathBuf {
        below(&self.files, target)
    }

    /// Starts it as a process.
    pub(crate) fn start(&self, redis: &str) -> Process {
        let mut command = command(env!("CARGO_BIN_EXE_portcullis"));
        command.args(&self.command).envs(self.variables(redis));
        Process::spawn("portcullis", command)
    }

    /// Runs it to its end, and gives what it said.
    pub(crate) fn run(&self, redis: &str) -> String {
        let words: Vec<_> = self.command.iter().map(String::as_str).collect();
        let (done, said) = self.ran(&words, redis);
        assert!(done, "{said}");
        said
    }

    /// Runs a command in the container, on its configuration; tells whether it was done, and what it said.
    pub(crate) fn command(&self, words: &[&str], redis: &str) -> (bool, String) {
        let config = self.path("/etc/portcullis/portcullis.yaml");
        let config = config.to_str().expect("a path in UTF-8");
        self.ran(&[words, &[config]].concat(), redis)
    }

    fn ran(&self, words: &[&str], redis: &str) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let ran = command.args(words).envs(self.variables(redis)).output();
        let ran = ran.expect("the binary that was built");
        let said = [ran.stdout, ran.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (ran.status.success(), said)
    }

    fn variables(&self, redis: &str) -> Vec<(String, String)> {
        let environment = self.environment.iter();
        let variables: Vec<_> = environment
            .map(|(name, value)| (name.clone(), value.replace(REDIS_URL, redis)))
            .collect();
        assert!(variables.iter().any(|it| it.1 == redis), "{variables:?}");
        variables
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .map(|it| it.as_str().expect("a text").to_owned())
        .collect()
}
