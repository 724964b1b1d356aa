//! The socket in a pipeline's `state_dir` over which a running process is asked: lines of JSON, one request and one answer a
//! connection. `weir status`, `weir audit` and `weir swap` ask. What is answered is left to `observe` and `swapper`.
//!
//! A request is `{"request": "status"}`, `{"request": "ledger", "question": …}`, `{"request": "swap", "swap": {…}}`,
//! `{"request": "back", "filter": "…"}` (or no filter) or `{"request": "reload"}`; the answer is `{"answer": …}` or
//! `{"error": "…"}`. Before it there may be lines `{"progress": "…"}` that say what is being done. Only the user of the process can
//! reach the socket (mode 0600).

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::input::cloudwatch_logs::recorded::RecordedQuestion;
use crate::observe::Observed;
use crate::swapper::{SwapRequest, Swapper};

/// The socket's name in the `state_dir`.
pub const SOCKET: &str = "control.sock";

/// The longest path that a socket's address holds, on every system.
const LONGEST_PATH: usize = 100;
/// Connections at the same time; others wait to be accepted.
const MOST_CONNECTIONS: usize = 8;
/// How long a request may be awaited, and between two lines of an answer.
const LONGEST_CONNECTION: Duration = Duration::from_secs(10);
/// The same of a change of the filters: compiling and running beside the line take their time.
const LONGEST_CHANGE: Duration = Duration::from_secs(900);
/// Lines of progress that wait to be written.
const PROGRESS_LENGTH: usize = 16;
/// The longest request, in bytes.
const LONGEST_REQUEST: u64 = 64 << 10;
/// The longest answer, in bytes.
const LONGEST_ANSWER: u64 = 64 << 20;

/// A socket that is served. Dropping this ends it and takes the file away.
pub struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_file(&self.path);
    }
}

/// Serves the socket of a `state_dir`. The caller holds the ledger's lock, so what stands there is of a process that has
/// ended.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(state_dir: &Path, pipeline: Arc<Observed>, swapper: Arc<Swapper>) -> Result<Control> {
    let path = state_dir.join(SOCKET);
    let listener = listen(state_dir).with_context(|| format!("cannot listen on {}", path.display()))?;
    let task = tokio::spawn(accept_all(listener, Served { pipeline, swapper }));
    Ok(Control { path, task })
}

/// Makes the socket under another name, so that nobody finds it before it is closed to others.
fn listen(state_dir: &Path) -> io::Result<UnixListener> {
    let (folder, new) = (reachable(state_dir)?, format!("{SOCKET}.new"));
    match fs::remove_file(state_dir.join(&new)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(folder.path.join(&new))?;
    fs::set_permissions(state_dir.join(&new), fs::Permissions::from_mode(0o600))?;
    fs::rename(state_dir.join(&new), state_dir.join(SOCKET))?;
    Ok(listener)
}

/// A folder by a path that is short enough for a socket's address.
struct Reachable {
    path: PathBuf,
    _open: Option<fs::File>,
}

fn reachable(folder: &Path) -> io::Result<Reachable> {
    if folder.as_os_str().len() + SOCKET.len() + ".new/".len() <= LONGEST_PATH {
        return Ok(Reachable { path: folder.to_path_buf(), _open: None });
    }
    let open = fs::File::open(folder)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    if !path.exists() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "the path of the state_dir is too long for a socket",
        ));
    }
    Ok(Reachable { path, _open: Some(open) })
}

/// Who answers.
#[derive(Clone)]
struct Served {
    pipeline: Arc<Observed>,
    swapper: Arc<Swapper>,
}

async fn accept_all(listener: UnixListener, served: Served) {
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let served = served.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    // Who asks and goes away is nothing to tell.
                    let _ = answer_one(stream, served).await;
                });
            }
            // No descriptor is left.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer_one(stream: tokio::net::UnixStream, served: Served) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = tokio::io::BufReader::new(reader.take(LONGEST_REQUEST));
    tokio::time::timeout(LONGEST_CONNECTION, reader.read_until(b'\n', &mut line)).await??;
    let (progress, mut said) = mpsc::channel(PROGRESS_LENGTH);
    let answering = tokio::spawn(async move { answer(&line, served, progress).await });
    // A change goes on when nobody listens any more; what came of it is logged and in the status.
    while let Some(text) = said.recv().await {
        write_line(&mut writer, &json!({ "progress": text })).await?;
    }
    let answered = answering.await.context("the answer ended unexpectedly").and_then(|answer| answer);
    let answer = match answered {
        Ok(answer) => json!({ "answer": answer }),
        Err(error) => json!({ "error": format!("{error:#}") }),
    };
    write_line(&mut writer, &answer).await?;
    writer.shutdown().await
}

async fn write_line(writer: &mut tokio::net::unix::OwnedWriteHalf, line: &Json) -> io::Result<()> {
    let line = format!("{line}\n");
    tokio::time::timeout(LONGEST_CONNECTION, writer.write_all(line.as_bytes())).await?
}

#[derive(Deserialize)]
struct Request {
    request: String,
    #[serde(default)]
    question: Json,
    #[serde(default)]
    swap: SwapRequest,
    #[serde(default)]
    filter: Option<String>,
}

/// A change of the filters, told whom to say what is being done.
type Change = Box<dyn FnOnce(&Swapper, &dyn Fn(&str)) -> Result<Json> + Send>;

async fn answer(line: &[u8], served: Served, progress: mpsc::Sender<String>) -> Result<Json> {
    let request: Request = serde_json::from_slice(line).context("a request is a line of JSON")?;
    let Served { pipeline, swapper } = served;
    let change = async |work: Change| {
        let work = move || {
            // Who does not read the progress misses some of it.
            work(&swapper, &|text| drop(progress.try_send(text.to_owned())))
        };
        tokio::task::spawn_blocking(work).await.context("the change ended unexpectedly")?
    };
    match request.request.as_str() {
        "status" => {
            let figures = tokio::task::spawn_blocking(move || pipeline.figures());
            Ok(serde_json::to_value(figures.await.context("the figures cannot be read")?)?)
        }
        "ledger" => {
            let question: RecordedQuestion =
                serde_json::from_value(request.question).context("that is no question about the ledger")?;
            let recorded = tokio::task::spawn_blocking(move || pipeline.recorded(&question));
            Ok(serde_json::to_value(recorded.await.context("the ledger cannot be read")??)?)
        }
        "swap" => {
            let swap = request.swap;
            change(Box::new(move |swapper, say| Ok(serde_json::to_value(swapper.swap(&swap, say)?)?))).await
        }
        "back" => {
            let filter = request.filter;
            let back = move |swapper: &Swapper, say: &dyn Fn(&str)| -> Result<Json> {
                Ok(serde_json::to_value(swapper.back(filter.as_deref(), say)?)?)
            };
            change(Box::new(back)).await
        }
        "reload" => {
            let reload = |swapper: &Swapper, say: &dyn Fn(&str)| -> Result<Json> {
                Ok(json!({ "reload": swapper.reload(say)? }))
            };
            change(Box::new(reload)).await
        }
        other => bail!("this version of Weir ({}) has no request {other:?}", env!("CARGO_PKG_VERSION")),
    }
}

/// Asks the process that runs in a `state_dir`. `None`: there is none. Blocks, for some seconds at most.
///
/// # Errors
/// When it does not answer, or answers with an error.
pub fn ask(state_dir: &Path, request: &str) -> Result<Option<Json>> {
    ask_about(state_dir, request, &Json::Null)
}

/// The same with a question that says more.
///
/// # Errors
/// As [`ask`].
pub fn ask_about(state_dir: &Path, request: &str, question: &Json) -> Result<Option<Json>> {
    exchange(state_dir, &json!({ "request": request, "question": question }), LONGEST_CONNECTION, &mut |_| {})
}

/// Asks it to change its filters: a request with all that belongs to it. `say` is told what is being done. Blocks until the
/// change has come to its end.
///
/// # Errors
/// As [`ask`]; the error that is answered is why the change was refused.
pub fn ask_for_change(state_dir: &Path, request: &Json, say: &mut dyn FnMut(&str)) -> Result<Option<Json>> {
    exchange(state_dir, request, LONGEST_CHANGE, say)
}

fn exchange(
    state_dir: &Path,
    request: &Json,
    limit: Duration,
    say: &mut dyn FnMut(&str),
) -> Result<Option<Json>> {
    let path = state_dir.join(SOCKET);
    let connected = reachable(state_dir).and_then(|folder| UnixStream::connect(folder.path.join(SOCKET)));
    let mut stream = match connected {
        Ok(stream) => stream,
        // The file of a process that was killed stays.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot ask over {}", path.display())),
    };
    let mut send = || -> io::Result<()> {
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(LONGEST_CONNECTION))?;
        stream.write_all(format!("{request}\n").as_bytes())
    };
    let unanswered = || format!("no answer over {}", path.display());
    send().with_context(unanswered)?;
    let mut reader = BufReader::new((&stream).take(LONGEST_ANSWER));
    let mut answer = loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).with_context(unanswered)?;
        let answer: Json = serde_json::from_slice(&line)
            .with_context(|| format!("the answer over {} cannot be read", path.display()))?;
        match answer["progress"].as_str() {
            Some(progress) => say(progress),
            None => break answer,
        }
    };
    match (answer["answer"].take(), &answer["error"]) {
        (Json::Null, Json::String(error)) => Err(anyhow!("{error}")),
        (Json::Null, _) => bail!("the answer over {} is none", path.display()),
        (answer, _) => Ok(Some(answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ask(folder.path(), "status").unwrap().is_none());
        assert!(ask(&folder.path().join("none"), "status").unwrap().is_none());
        // What a killed process leaves.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap());
        assert!(ask(folder.path(), "status").unwrap().is_none());
    }

    #[tokio::test]
    async fn a_long_path_is_reached_and_only_the_user_may() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("l".repeat(120));
        for folder in [folder.path(), &long] {
            fs::create_dir_all(folder).unwrap();
            // A second time: what is left is replaced.
            for _ in 0..2 {
                let listener = listen(folder).unwrap();
                let mode = fs::metadata(folder.join(SOCKET)).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                let reached = reachable(folder).unwrap();
                let stream = UnixStream::connect(reached.path.join(SOCKET));
                assert!(stream.is_ok(), "{stream:?}");
                listener.accept().await.unwrap();
            }
        }
    }
}
