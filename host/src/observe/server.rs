//! The HTTP server of `[observe] listen`: `/metrics`, `/status` and `/health`, for GET alone. Connections are few, short and
//! bounded in size and time; who may reach the address is left to the pipeline file.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::metrics::write_metrics;
use super::{Observed, PipelineFigures, Stage};

/// Connections at the same time; others wait to be accepted.
const MOST_CONNECTIONS: usize = 16;

/// How long a connection may take in all.
const LONGEST_CONNECTION: Duration = Duration::from_secs(15);

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// A running server. It ends when this is dropped.
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves the figures of these pipelines. Port 0 takes a free one.
///
/// # Errors
/// When the address cannot be had.
pub async fn serve(address: SocketAddr, pipelines: Vec<Arc<Observed>>) -> Result<Server> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address} ([observe] listen)"))?;
    let address = listener.local_addr().context("cannot listen ([observe] listen)")?;
    let task = tokio::spawn(accept_all(listener, pipelines.into()));
    Ok(Server { address, task })
}

async fn accept_all(listener: TcpListener, pipelines: Arc<[Arc<Observed>]>) {
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let pipelines = pipelines.clone();
                tokio::spawn(async move {
                    let _permit = permit;
                    serve_connection(stream, pipelines).await;
                });
            }
            // No descriptor is left, or the other side went away at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, pipelines: Arc<[Arc<Observed>]>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let pipelines = pipelines.clone();
        async move { Ok::<_, Infallible>(answer(&request, pipelines).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_CONNECTION)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A reader that goes away or takes too long is nothing to tell.
    let _ = tokio::time::timeout(LONGEST_CONNECTION, connection).await;
}

async fn answer(request: &Request<Incoming>, pipelines: Arc<[Arc<Observed>]>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is answered\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => match figures(pipelines).await {
            Some(figures) => text(StatusCode::OK, "text/plain; version=0.0.4", write_metrics(&figures)),
            None => failed(),
        },
        "/status" => {
            match figures(pipelines).await.and_then(|figures| serde_json::to_string(&figures).ok()) {
                Some(json) => text(StatusCode::OK, "application/json", json + "\n"),
                None => failed(),
            }
        }
        "/health" => health(&pipelines),
        _ => {
            text(StatusCode::NOT_FOUND, "text/plain", "there are /metrics, /status and /health\n".to_owned())
        }
    }
}

async fn figures(pipelines: Arc<[Arc<Observed>]>) -> Option<Vec<PipelineFigures>> {
    let read = move || pipelines.iter().map(|pipeline| pipeline.figures()).collect();
    tokio::task::spawn_blocking(read).await.ok()
}

/// 200 once every pipeline is open, 503 before and after. That something is waited for is no illness of the process: to
/// start it anew would not help.
fn health(pipelines: &[Arc<Observed>]) -> Response<Full<Bytes>> {
    let stages: serde_json::Map<String, serde_json::Value> = pipelines
        .iter()
        .map(|pipeline| (pipeline.name().to_owned(), pipeline.stage().word().into()))
        .collect();
    let is_well =
        pipelines.iter().all(|pipeline| matches!(pipeline.stage(), Stage::Running | Stage::Stopping));
    let (status, word) =
        if is_well { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    text(status, "application/json", format!("{}\n", json!({ "status": word, "pipelines": stages })))
}

fn failed() -> Response<Full<Bytes>> {
    let message = "the figures cannot be read\n".to_owned();
    text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", message)
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
