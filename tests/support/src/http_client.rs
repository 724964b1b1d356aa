//! HTTP requests to servers on loopback: one by a test that is no async function, and those that a front passes on.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::http_server::{self as server, Reply};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Sends one request over a connection of its own and waits for the answer. Not for async functions.
///
/// # Errors
/// When the server does not answer.
pub fn call(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Result<Answer> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    let authority = authority_of(url)?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::builder().method(method).uri(target).header("host", &authority);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream =
            TcpStream::connect(&authority).await.with_context(|| format!("connecting to {authority}"))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await?.into_parts();
        Ok(Answer { status: parts.status.as_u16(), body: body.collect().await?.to_bytes() })
    })
}

/// A call of CloudWatch Logs in its JSON 1.1 protocol, with an `Authorization` that names a key and nothing more: enough
/// for moto and for the fake.
///
/// # Errors
/// When the service does not answer, or answers with an error.
pub fn cloudwatch_logs(url: &str, operation: &str, parameters: &Value) -> Result<Value> {
    let target = format!("Logs_20140328.{operation}");
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target.as_str()),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/logs/aws4_request, SignedHeaders=host, Signature=0",
        ),
    ];
    let answer = call("POST", url, &headers, parameters.to_string())?;
    anyhow::ensure!(
        answer.status == 200,
        "{operation}: {} {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    Ok(answer.json())
}

/// Host and port of a URL.
pub(crate) fn authority_of(url: &str) -> Result<String> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    Ok(uri.authority().with_context(|| format!("{url} has no host"))?.to_string())
}

/// Passes a request on as it came, and the answer back.
pub(crate) async fn forward(authority: &str, request: server::Request) -> Result<Reply> {
    let stream = TcpStream::connect(authority).await.with_context(|| format!("connecting to {authority}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut target = request.path;
    if let Some(query) = request.query {
        target = format!("{target}?{query}");
    }
    let mut passed = Request::new(Full::new(request.body));
    *passed.method_mut() = request.method;
    *passed.uri_mut() = target.parse()?;
    *passed.headers_mut() = request.headers;
    let (parts, body) = sender.send_request(passed).await?.into_parts();
    let body: Bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut response = http::Response::from_parts(parts, body);
    response.headers_mut().remove("transfer-encoding");
    Ok(Reply::Whole(response))
}
