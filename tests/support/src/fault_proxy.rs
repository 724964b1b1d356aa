//! A TCP proxy before a server that breaks connections in the ways in which networks do: refused, closed, reset in the
//! middle of a request or an answer, silent, slow, and TLS that fails. What HTTP says through it is not its business.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use crate::http_client::authority_of;
use crate::sigv4_proxy::certificates;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// It is closed as soon as it is there.
    Close,
    /// It is reset as soon as it is there.
    Reset,
    /// It gets bytes that are neither HTTP nor TLS.
    Garbage,
    /// It is never answered, and nothing is read from it.
    Silent,
    /// So many bytes of what the client sends go through; then it is reset on both sides.
    ResetAfterSent(usize),
    /// So many bytes of the answers go through; then it is reset.
    ResetAfterAnswered(usize),
    /// So many bytes of the answers go through; then it is closed in good order.
    CloseAfterAnswered(usize),
    /// Answers come a few bytes at a time, with this pause.
    SlowAnswer(Duration),
    /// Requests are read a few bytes at a time, with this pause.
    SlowRequest(Duration),
    /// It is closed when nothing has moved for so long.
    CloseIdle(Duration),
    /// TLS only: the certificate is of an authority that nobody knows.
    UnknownAuthority,
}

/// A running proxy. Dropping it closes the port and every connection.
pub struct FaultProxy {
    address: SocketAddr,
    ca_pem: Option<String>,
    script: Arc<Mutex<Script>>,
    refusing: watch::Sender<bool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What connections get.
#[derive(Default)]
pub struct Script {
    /// The next connections, one entry each; `None` goes through.
    pub next: VecDeque<Option<ConnectionFault>>,
    /// How many connections got a fault.
    pub failed: usize,
}

/// The server side of TLS, right and wrong.
struct Tls {
    right: TlsAcceptor,
    wrong: TlsAcceptor,
}

struct Shared {
    upstream: String,
    tls: Option<Tls>,
    script: Arc<Mutex<Script>>,
}

impl FaultProxy {
    /// Starts on a free port before `upstream` (`http://HOST:PORT`); over TLS if wanted.
    ///
    /// # Errors
    /// When the port or the certificates cannot be had.
    pub fn start(upstream: &str, with_tls: bool) -> Result<Self> {
        let (mut tls, mut ca_pem) = (None, None);
        if with_tls {
            let ((right_pem, right), (_, wrong)) = (certificates()?, certificates()?);
            ca_pem = Some(right_pem);
            let acceptor = |configuration| TlsAcceptor::from(Arc::new(configuration));
            tls = Some(Tls { right: acceptor(right), wrong: acceptor(wrong) });
        }
        let script = Arc::<Mutex<Script>>::default();
        let shared = Arc::new(Shared { upstream: authority_of(upstream)?, tls, script: script.clone() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("a free port on loopback")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (refusing, refuse) = watch::channel(false);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("fault-proxy".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = serve(listener, address, shared, refuse) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, ca_pem, script, refusing, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The authority that vouches for it, where it speaks TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// What connections get; hold the guard no longer than for changing it.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no thread panicked with it")
    }

    /// From now on connections are refused and those that are open are gone, or all is well again.
    pub fn refuse(&self, refuses: bool) {
        self.refusing.send_replace(refuses);
    }

    /// Whether connections are refused.
    pub fn is_refusing(&self) -> bool {
        *self.refusing.borrow()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    first: std::net::TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut refuse: watch::Receiver<bool>,
) {
    let mut listener = TcpListener::from_std(first).ok();
    loop {
        let mut connections = tokio::task::JoinSet::new();
        while !*refuse.borrow_and_update() {
            let open = match &listener {
                Some(open) => open,
                None => listener.insert(bind(address).await),
            };
            tokio::select! {
                accepted = open.accept() => {
                    if let Ok((stream, _)) = accepted {
                        let shared = shared.clone();
                        // What happens to a connection is the client's to see.
                        connections.spawn(async move { drop(pass(stream, &shared).await) });
                    }
                }
                _ = refuse.changed() => {}
            }
        }
        drop(listener.take());
        connections.shutdown().await;
        while *refuse.borrow_and_update() {
            if refuse.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The port was this proxy's a moment ago.
async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

async fn pass(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let fault = {
        let mut script = shared.script.lock().expect("no thread panicked with it");
        let fault = script.next.pop_front().flatten();
        script.failed += usize::from(fault.is_some());
        fault
    };
    match fault {
        Some(ConnectionFault::Close) => return Ok(()),
        Some(ConnectionFault::Reset) => return stream.set_zero_linger(),
        Some(ConnectionFault::Silent) => return std::future::pending().await,
        Some(ConnectionFault::Garbage) => {
            let mut stream = stream;
            stream.write_all(b"\x00\x01 what is this? \r\n\r\n").await?;
            return stream.shutdown().await;
        }
        _ => {}
    }
    let Some(tls) = &shared.tls else { return carry(stream, |stream| stream, shared, fault).await };
    let acceptor = if fault == Some(ConnectionFault::UnknownAuthority) { &tls.wrong } else { &tls.right };
    carry(acceptor.accept(stream).await?, |stream| stream.get_ref().0, shared, fault).await
}

/// Carries bytes both ways until one side ends or the fault's time has come.
async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: S,
    socket: impl Fn(&S) -> &TcpStream,
    shared: &Shared,
    fault: Option<ConnectionFault>,
) -> io::Result<()> {
    let mut server = TcpStream::connect(&shared.upstream).await?;
    server.set_nodelay(true)?;
    let (mut sent, mut answered) = (0, 0);
    let (mut request, mut answer) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let (request_chunk, answer_chunk) = match fault {
        Some(ConnectionFault::SlowRequest(_)) => (400, answer.len()),
        Some(ConnectionFault::SlowAnswer(_)) => (request.len(), 40),
        _ => (request.len(), answer.len()),
    };
    let idle = match fault {
        Some(ConnectionFault::CloseIdle(idle)) => idle,
        _ => Duration::from_secs(3600),
    };
    loop {
        tokio::select! {
            read = client.read(&mut request[..request_chunk]) => {
                let mut length = read?;
                if length == 0 {
                    return Ok(());
                }
                if let Some(ConnectionFault::SlowRequest(pause)) = fault {
                    tokio::time::sleep(pause).await;
                }
                let limit = match fault {
                    Some(ConnectionFault::ResetAfterSent(limit)) => limit,
                    _ => usize::MAX,
                };
                length = length.min(limit.saturating_sub(sent));
                server.write_all(&request[..length]).await?;
                sent += length;
                if sent >= limit {
                    server.set_zero_linger()?;
                    return socket(&client).set_zero_linger();
                }
            }
            read = server.read(&mut answer[..answer_chunk]) => {
                let mut length = read?;
                if length == 0 {
                    return client.shutdown().await;
                }
                if let Some(ConnectionFault::SlowAnswer(pause)) = fault {
                    tokio::time::sleep(pause).await;
                }
                let limit = match fault {
                    Some(ConnectionFault::ResetAfterAnswered(limit) | ConnectionFault::CloseAfterAnswered(limit)) => limit,
                    _ => usize::MAX,
                };
                length = length.min(limit.saturating_sub(answered));
                client.write_all(&answer[..length]).await?;
                client.flush().await?;
                answered += length;
                if answered >= limit {
                    return match fault {
                        Some(ConnectionFault::CloseAfterAnswered(_)) => client.shutdown().await,
                        _ => socket(&client).set_zero_linger(),
                    };
                }
            }
            () = tokio::time::sleep(idle) => return client.shutdown().await,
        }
    }
}
