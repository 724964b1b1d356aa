//! Real servers for tests: Elasticsearch, OpenSearch and moto (CloudWatch Logs), started by the scripts of
//! `tests/servers/` on free loopback ports. Where a machine lacks what a server needs, the test that wants it says so in
//! one line and passes; with `WEIR_REQUIRE_SERVERS=1` it fails.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that a server needs: its name, and arguments with which it answers at once.
type Need = (&'static str, &'static [&'static str]);

const JAVA: &[Need] = &[("java", &["-version"]), ("javac", &["-version"]), ("mvn", &["-v"])];
const PYTHON: &[Need] = &[("python3", &["-c", "import venv, ensurepip"])];

/// A running server. It ends when this is dropped, and also when the test's process does.
pub struct Server {
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
}

impl Server {
    /// A fresh Elasticsearch 7.1.1; `None` where it cannot be had.
    pub fn elasticsearch() -> Option<Self> {
        Self::start("elasticsearch", JAVA, &[])
    }

    /// The same with node settings, `name=value` each.
    pub fn elasticsearch_with(settings: &[&str]) -> Option<Self> {
        Self::start("elasticsearch", JAVA, settings)
    }

    /// A fresh OpenSearch 2.19.6; `None` where it cannot be had.
    pub fn opensearch() -> Option<Self> {
        Self::start("opensearch", JAVA, &[])
    }

    /// A fresh moto; `None` where it cannot be had.
    pub fn moto() -> Option<Self> {
        Self::start("moto", PYTHON, &[])
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it at once (SIGKILL), as a power cut does. Its data stay for [`Server::restart`].
    pub fn kill(&self) {
        let path = self.folder.join(format!("run/{}/pid", self.port));
        let pid = std::fs::read_to_string(&path);
        let pid = pid.expect("a server that was started has said its process").trim().to_owned();
        // Who watches it would take the end for the test's, and remove the data.
        std::fs::remove_file(&path).expect("the server's folder is the test's");
        let killed = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()), "process {pid} cannot be killed");
    }

    /// Starts it again on its port, over the data that it had.
    ///
    /// # Errors
    /// What the script said, when the server does not come up.
    pub fn restart(&self) -> Result<(), String> {
        run_start(&self.folder, self.port, &self.settings, true)
    }

    fn start(name: &str, needs: &[Need], settings: &[&str]) -> Option<Self> {
        let missing: Vec<&str> =
            needs.iter().filter(|need| !answers(need)).map(|(program, _)| *program).collect();
        let reason = if missing.is_empty() {
            match try_to_start(name, settings) {
                Ok(server) => return Some(server),
                Err(reason) => reason,
            }
        } else {
            format!("missing on this machine: {}", missing.join(", "))
        };
        assert!(std::env::var("WEIR_REQUIRE_SERVERS").as_deref() != Ok("1"), "{name} is required: {reason}");
        // A server that does not start on a machine that has all it needs is a failure, not a reason to skip.
        assert!(!missing.is_empty(), "{name} does not start: {reason}");
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        // Not println: the line must be seen though the test passes.
        let _ = writeln!(std::io::stderr(), "skipped {test}: {name}: {reason}");
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = script(&self.folder).args(["stop", &self.port.to_string()]).output();
    }
}

fn answers((program, arguments): &Need) -> bool {
    let run = Command::new(program).args(*arguments).stdin(Stdio::null()).output();
    run.is_ok_and(|output| output.status.success())
}

fn try_to_start(name: &str, settings: &[&str]) -> Result<Server, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers").join(name);
    let mut reason = String::new();
    // Between asking for a free port and its use another process may take it.
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        drop(listener);
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        match run_start(&folder, port, &settings, false) {
            Ok(()) => return Ok(Server { folder, port, settings }),
            Err(said) => reason = said,
        }
    }
    Err(reason)
}

fn run_start(folder: &Path, port: u16, settings: &[String], keeps_data: bool) -> Result<(), String> {
    let mut command = script(folder);
    command.args(["start", &port.to_string()]).args(settings).env("WATCH", std::process::id().to_string());
    if keeps_data {
        command.env("KEEP", "1");
    }
    let output = command.output().map_err(|error| format!("{}: {error}", folder.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn script(folder: &Path) -> Command {
    let mut command = Command::new("bash");
    command.arg(folder.join("start.sh")).stdin(Stdio::null());
    command
}
