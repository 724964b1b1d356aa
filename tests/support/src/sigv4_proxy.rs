//! An https front before a server that speaks plain HTTP, as Amazon's managed Elasticsearch is reached: a certificate of
//! an own authority, and only requests with a right AWS signature pass.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;

use crate::http_server::{HttpServer, Reply, Request};
use crate::sigv4::{Credentials, Verifier};

/// A running proxy. Dropping it closes the port.
pub struct SigV4Proxy {
    server: HttpServer,
    ca_pem: String,
    verifier: Verifier,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    accepted: usize,
    refused: Vec<String>,
}

impl SigV4Proxy {
    /// Starts on a free port before `upstream` (`http://HOST:PORT`). Requests signed with the credentials for the region
    /// and service go through; others get 403 and the reason.
    ///
    /// # Errors
    /// When the certificates or the port cannot be had.
    pub fn start(upstream: &str, credentials: Credentials, region: &str, service: &str) -> Result<Self> {
        let (ca_pem, tls) = certificates()?;
        let verifier = Verifier::new(credentials, region, service);
        let tally = Arc::<Tally>::default();
        let uri: Uri = upstream.parse().with_context(|| format!("{upstream} is no URL"))?;
        let authority = uri.authority().with_context(|| format!("{upstream} has no host"))?.to_string();
        let (checking, counting) = (verifier.clone(), tally.clone());
        let server = HttpServer::start(0, Some(Arc::new(tls)), move |request| {
            let (authority, checked) = (authority.clone(), checking.verify(&request));
            counting.count(&checked);
            async move {
                match checked {
                    Ok(()) => forward(&authority, request).await.unwrap_or_else(|error| {
                        Reply::new(502, "text/plain", format!("the server behind the proxy: {error:#}"))
                    }),
                    Err(reason) => {
                        let body = serde_json::json!({ "message": reason }).to_string();
                        Reply::new(403, "application/json", body)
                    }
                }
            }
        })?;
        Ok(Self { server, ca_pem, verifier, tally })
    }

    /// Where it answers; the certificate is for this address.
    pub fn url(&self) -> String {
        format!("https://{}", self.server.address())
    }

    /// The certificate of the authority that signed the proxy's own.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// How many requests had a right signature.
    pub fn accepted(&self) -> usize {
        self.tally.counts.lock().expect("no thread panicked with it").accepted
    }

    /// Why requests were refused, one reason each.
    pub fn refused(&self) -> Vec<String> {
        self.tally.counts.lock().expect("no thread panicked with it").refused.clone()
    }

    /// Waits until so many requests were refused. False when they were not in time.
    pub fn wait_for_refused(&self, count: usize, timeout: Duration) -> bool {
        let counts = self.tally.counts.lock().expect("no thread panicked with it");
        let waited =
            self.tally.changed.wait_timeout_while(counts, timeout, |counts| counts.refused.len() < count);
        !waited.expect("no thread panicked with it").1.timed_out()
    }

    /// Sets the proxy's clock forward by so many seconds (negative: back), as if the signer's were wrong.
    pub fn skew_clock(&self, seconds: i64) {
        self.verifier.skew_clock(seconds);
    }
}

impl Tally {
    fn count(&self, checked: &Result<(), String>) {
        let mut counts = self.counts.lock().expect("no thread panicked with it");
        match checked {
            Ok(()) => counts.accepted += 1,
            Err(reason) => counts.refused.push(reason.clone()),
        }
        self.changed.notify_all();
    }
}

/// The authority's certificate, and a server's configuration with a certificate that it signed.
fn certificates() -> Result<(String, rustls::ServerConfig)> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, "Weir test authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok((authority.pem(), tls))
}

/// Passes a request on as it came, and the answer back.
async fn forward(authority: &str, request: Request) -> Result<Reply> {
    let stream = TcpStream::connect(authority).await.with_context(|| format!("connecting to {authority}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut target = request.path;
    if let Some(query) = request.query {
        target = format!("{target}?{query}");
    }
    let mut passed = http::Request::new(Full::new(request.body));
    *passed.method_mut() = request.method;
    *passed.uri_mut() = target.parse()?;
    *passed.headers_mut() = request.headers;
    let (parts, body) = sender.send_request(passed).await?.into_parts();
    let body: Bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let mut response = http::Response::from_parts(parts, body);
    response.headers_mut().remove("transfer-encoding");
    Ok(Reply::Whole(response))
}
