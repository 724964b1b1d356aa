//! Runs the `weir` binary in an environment of its own, and follows what it says. A surprise panics: these are tests' tools.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

/// How long anything may take before a test gives up: a slow machine with other work to do is no failure.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// What a run gets from outside.
pub struct Setting {
    program: PathBuf,
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// A process under way. It is killed when this is dropped.
pub struct Running {
    child: Child,
    log: Arc<Log>,
    stdout: Option<JoinHandle<Vec<u8>>>,
}

/// A process that has ended.
pub struct Ended {
    /// Its exit code; `None` when it was killed.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it logged.
    pub stderr: String,
}

#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogState {
    text: String,
    ended: bool,
}

impl Setting {
    /// An empty folder, AWS credentials that moto and the fakes take, nothing of the machine's own configuration. `program`
    /// is the binary; compiled filters are kept in `cache`, which all tests share, or each would compile them anew.
    pub fn new(program: impl Into<PathBuf>, cache: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let home = folder.path().display().to_string();
        let mut setting = Self { program: program.into(), folder, variables: Vec::new() };
        setting.set("HOME", &home);
        setting.set("AWS_EC2_METADATA_DISABLED", "true");
        setting.set("AWS_ACCESS_KEY_ID", "AKIDTEST");
        setting.set("AWS_SECRET_ACCESS_KEY", "secret");
        setting.set("WEIR_STATE_DIR", &format!("{home}/state"));
        setting.set("XDG_CACHE_HOME", cache);
        setting
    }

    /// Where it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable of its environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable out.
    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(other, _)| other != name);
    }

    /// Writes a pipeline file and answers its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Starts `weir` with these arguments.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_with_input(arguments, Stdio::null())
    }

    /// The same with something to read.
    pub fn start_with_input(&self, arguments: &[&str], stdin: Stdio) -> Running {
        self.start_program(&self.program, arguments, stdin)
    }

    /// Starts another program in its place: one that becomes `weir`.
    pub fn start_program(&self, program: &Path, arguments: &[&str], stdin: Stdio) -> Running {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stdout.read_to_end(&mut bytes);
            bytes
        });
        let log = Arc::<Log>::default();
        let (stderr, kept) = (child.stderr.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stderr);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                kept.state.lock().unwrap().text.push_str(&String::from_utf8_lossy(&line));
                kept.changed.notify_all();
                line.clear();
            }
            kept.state.lock().unwrap().ended = true;
            kept.changed.notify_all();
        });
        Running { child, log, stdout: Some(stdout) }
    }

    /// Runs `weir` to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait()
    }
}

/// Copies a folder and all in it, so that only this user can read it (as the folder of compiled filters must be); there may
/// be none.
pub fn copy_private(from: &Path, to: &Path) {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).into_iter().flatten() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_private(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

impl Running {
    /// Waits until the log holds a text.
    pub fn wait_for_log(&self, text: &str) {
        let state = self.log.state.lock().unwrap();
        let waiting = self
            .log
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !state.text.contains(text) && !state.ended);
        let said = waiting.unwrap().0.text.clone();
        assert!(said.contains(text), "weir did not say {text:?}, but:\n{said}");
    }

    fn wait_for_exit(&mut self) -> Option<i32> {
        // The pipe of the log ends with the process.
        let state = self.log.state.lock().unwrap();
        let waiting = self.log.changed.wait_timeout_while(state, PATIENCE, |state| !state.ended);
        let (ended, said) = waiting.map(|(state, _)| (state.ended, state.text.clone())).unwrap();
        assert!(ended, "weir does not end:\n{said}");
        self.child.wait().unwrap().code()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ended {
        let code = self.wait_for_exit();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        let stderr = self.log.state.lock().unwrap().text.clone();
        Ended { code, stdout, stderr }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.state.lock().unwrap().text.clone()
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to stop and waits for the end.
    pub fn stop(self) -> Ended {
        self.terminate();
        self.wait()
    }

    /// The same where something is waited for that does not come: after the second signal nothing is drained.
    pub fn stop_at_once(self) -> Ended {
        self.terminate();
        self.wait_for_log("stopping");
        self.terminate();
        self.wait()
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Asserts the exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stderr, String::from_utf8_lossy(&self.stdout));
        self
    }

    /// Asserts that the log holds a text.
    #[track_caller]
    pub fn expect_log(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "not in the log: {text:?}\n{}", self.stderr);
        self
    }
}
