//! A small HTTP/1.1 server on loopback that the fakes stand on: a function from request to reply, on a thread of its own,
//! so that it serves tests with and without an async runtime. What is asked and answered is the fakes' business.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// A request, with its body as it came (still compressed, if it was).
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, POST …
    pub method: Method,
    /// The path as written, percent signs included.
    pub path: String,
    /// What follows the question mark.
    pub query: Option<String>,
    /// The headers, names in small letters.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A header's text; empty when it is absent or no text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What a server does with a request.
pub enum Reply {
    /// Answers.
    Whole(Response<Bytes>),
    /// Announces the whole body, sends this many bytes of it and closes the connection.
    Cut(Response<Bytes>, usize),
    /// Resets the connection (RST) without an answer.
    Reset,
}

impl Reply {
    /// An answer with a status, a content type and a body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut response = Response::new(body.into());
        *response.status_mut() =
            StatusCode::from_u16(status).expect("the fakes answer with statuses that exist");
        let content_type = content_type.parse().expect("the fakes answer with content types that exist");
        response.headers_mut().insert("content-type", content_type);
        Self::Whole(response)
    }

    /// The same with one header more.
    pub fn header(self, name: &'static str, value: &str) -> Self {
        let value = value.parse().expect("the fakes answer with headers that exist");
        match self {
            Self::Whole(mut response) => {
                response.headers_mut().insert(name, value);
                Self::Whole(response)
            }
            Self::Cut(mut response, length) => {
                response.headers_mut().insert(name, value);
                Self::Cut(response, length)
            }
            Self::Reset => Self::Reset,
        }
    }
}

/// A running server. Dropping it closes the port and every connection.
pub struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Serves on 127.0.0.1 at `port` (0: a free one), over TLS if a configuration is given.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn start<F, R>(port: u16, tls: Option<Arc<rustls::ServerConfig>>, answer: F) -> io::Result<Self>
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = Reply> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("fake-server".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("the listener is not blocking");
                let accepting = accept_all(listener, tls.map(TlsAcceptor::from), Arc::new(answer));
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept_all<F, R>(listener: TcpListener, tls: Option<TlsAcceptor>, answer: Arc<F>)
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Reply> + Send + 'static,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (tls, answer) = (tls.clone(), answer.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, answer, |stream| stream).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, answer, |stream| stream.get_ref().0).await;
                    }
                }
            }
        });
    }
}

async fn serve<S, F, R>(stream: S, answer: Arc<F>, socket: impl Fn(&S) -> &TcpStream)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request) -> R,
    R: Future<Output = Reply>,
{
    let reset = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request: http::Request<Incoming>| {
        let (answer, reset) = (answer.clone(), reset.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| io::Error::other(error.to_string()))?.to_bytes();
            let request = Request {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().map(str::to_owned),
                headers: parts.headers,
                body,
            };
            match answer(request).await {
                Reply::Whole(response) => Ok(response.map(|bytes| ReplyBody {
                    length: bytes.len(),
                    bytes: Some(bytes),
                    cut: false,
                    waited: false,
                })),
                Reply::Cut(response, sent) => Ok(response.map(|bytes| ReplyBody {
                    length: bytes.len(),
                    bytes: Some(bytes.slice(..sent.min(bytes.len()))),
                    cut: true,
                    waited: false,
                })),
                Reply::Reset => {
                    reset.store(true, Ordering::Relaxed);
                    Err(io::Error::from(io::ErrorKind::ConnectionReset))
                }
            }
        }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = Pin::new(&mut connection).await;
    if reset.load(Ordering::Relaxed) {
        let stream = connection.into_parts().io.into_inner();
        let _ = socket(&stream).set_zero_linger();
    }
}

/// A body that may end before its announced length.
struct ReplyBody {
    length: usize,
    bytes: Option<Bytes>,
    cut: bool,
    waited: bool,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match self.bytes.take() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.cut => {
                // One turn later, so that what was announced and sent is on its way before the connection ends.
                if !std::mem::replace(&mut self.waited, true) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Err(io::Error::from(io::ErrorKind::BrokenPipe)))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.as_ref().is_none_or(Bytes::is_empty) && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length as u64)
    }
}
