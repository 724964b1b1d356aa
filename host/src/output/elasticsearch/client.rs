//! Requests to the servers: which one is asked, what goes with every request, and which servers are dead for a while. What
//! an answer means is left to the callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use rand::seq::IndexedRandom;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Identity, Method, Proxy, Url, redirect};
use tokio_util::sync::CancellationToken;

use super::auth::{AuthOptions, Signer, api_key_header, basic_header};
use super::hosts::Address;
use super::options::{ElasticsearchOptions, TlsOptions};
use super::response::shortened;

/// The longest that connecting may take; the option `timeout` holds for a whole request.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// An answer of more bytes is not read to its end: a bulk answer has some hundred bytes for each of its items.
const ANSWER_BYTES: usize = 256 << 20;

/// A pool of connections to all servers.
pub(super) struct Client {
    name: String,
    http: reqwest::Client,
    hosts: Vec<Host>,
    signer: Option<Signer>,
    healthcheck_path: String,
    custom_headers: HeaderMap,
}

struct Host {
    address: Address,
    /// How this host is asked: its own credentials, or the output's.
    authorization: Option<HeaderValue>,
    is_dead: AtomicBool,
    requests: AtomicUsize,
}

/// The body of a request, ready to be sent any number of times.
#[derive(Clone, Default)]
pub(super) struct Payload {
    /// The bytes as they go over the network.
    pub bytes: Bytes,
    /// Whether they are gzip.
    pub is_gzip: bool,
    /// Their SHA-256 in hexadecimal, where requests are signed.
    pub sha256: Option<String>,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// Who answered, for messages.
    pub from: String,
}

impl Client {
    /// Prepares the client: reads certificates and finds credentials. Connects to no server.
    ///
    /// # Errors
    /// When a certificate cannot be read, or there are no AWS credentials.
    pub(super) async fn open(name: &str, options: &ElasticsearchOptions) -> Result<Self> {
        let mut custom_headers = HeaderMap::new();
        for (key, value) in &options.custom_headers {
            let key: HeaderName =
                key.parse().with_context(|| format!("{key:?} in custom_headers is no header"))?;
            custom_headers
                .insert(key, value.parse().context("a value of custom_headers is no header's value")?);
        }
        // The proxy of the environment is not used: as in Logstash, it is said by an option.
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
            .timeout(options.timeout);
        if let Some(url) = &options.proxy {
            builder = builder.proxy(Proxy::all(url).context("`proxy` is no URL")?);
        }
        builder = with_tls(builder, &options.tls)?;
        let http = builder.build().context("cannot prepare the HTTP client")?;

        let shared = match &options.auth {
            AuthOptions::None | AuthOptions::SigV4(_) => None,
            AuthOptions::Basic(user, password) => Some(basic_header(user, password)?),
            AuthOptions::ApiKey(key) => Some(api_key_header(key)?),
        };
        let signer = match &options.auth {
            AuthOptions::SigV4(options) => Some(Signer::open(options.clone()).await?),
            _ => None,
        };
        let mut hosts = Vec::new();
        for address in &options.hosts.addresses {
            let own = address
                .credentials
                .as_ref()
                .map(|(user, password)| basic_header(user, password))
                .transpose()?;
            hosts.push(Host {
                address: address.clone(),
                authorization: own.or_else(|| shared.clone()),
                is_dead: AtomicBool::new(false),
                requests: AtomicUsize::new(0),
            });
        }
        let healthcheck_path = options.hosts.healthcheck_path.clone();
        Ok(Client { name: name.to_owned(), http, hosts, signer, healthcheck_path, custom_headers })
    }

    /// Whether payloads need their hash.
    pub(super) fn signs(&self) -> bool {
        self.signer.is_some()
    }

    /// The servers' names, for messages.
    pub(super) fn servers(&self) -> String {
        let names: Vec<String> = self.hosts.iter().map(|host| host.address.to_string()).collect();
        names.join(", ")
    }

    /// Sends a request to one of the servers: to one of the least busy that live, or to any if none does.
    ///
    /// # Errors
    /// When there is no answer; the server is then dead until a check says otherwise.
    pub(super) async fn request(&self, method: Method, path: &str, payload: &Payload) -> Result<Answer> {
        let host = self.pick()?;
        host.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.request_to(host, method, path, payload).await;
        host.requests.fetch_sub(1, Ordering::Relaxed);
        match &answer {
            Ok(_) => {
                if host.is_dead.swap(false, Ordering::Relaxed) {
                    tracing::info!(output = self.name, server = %host.address, "server lives again");
                }
            }
            Err(_) => {
                if !host.is_dead.swap(true, Ordering::Relaxed) && self.hosts.len() > 1 {
                    tracing::warn!(output = self.name, server = %host.address, "server does not answer; left out for now");
                }
            }
        }
        answer
    }

    fn pick(&self) -> Result<&Host> {
        let mut alive: Vec<&Host> =
            self.hosts.iter().filter(|host| !host.is_dead.load(Ordering::Relaxed)).collect();
        if alive.is_empty() {
            alive = self.hosts.iter().collect();
        }
        let busy = |host: &&Host| host.requests.load(Ordering::Relaxed);
        let least = alive.iter().map(busy).min().unwrap_or(0);
        alive.retain(|host| busy(host) <= least);
        // A request that began between the two looks may have left none.
        let picked = alive.choose(&mut rand::rng()).copied().or_else(|| self.hosts.first());
        picked.context("there are no hosts")
    }

    /// The headers of a request, but those of a signature.
    fn headers(&self, host: &Host, payload: &Payload) -> HeaderMap {
        let mut headers = self.custom_headers.clone();
        if !payload.bytes.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if payload.is_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(authorization) = &host.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers
    }

    async fn request_to(&self, host: &Host, method: Method, path: &str, payload: &Payload) -> Result<Answer> {
        let url = host.address.request_url(path);
        let url =
            Url::parse(&url).with_context(|| format!("the URL of a request to {} is bad", host.address))?;
        let mut headers = self.headers(host, payload);
        if let Some(signer) = &self.signer {
            let sha256 = payload.sha256.as_deref().unwrap_or(SHA256_OF_NOTHING);
            signer.sign(&method, &url, sha256, &mut headers).await?;
        }
        let request = self.http.request(method, url).headers(headers).body(payload.bytes.clone());
        let unreachable = || format!("cannot reach {}", host.address);
        // The URL of an error may have a secret in its query.
        let mut response =
            request.send().await.map_err(reqwest::Error::without_url).with_context(unreachable)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(reqwest::Error::without_url).with_context(unreachable)?
        {
            if body.len() + chunk.len() > ANSWER_BYTES {
                anyhow::bail!("the answer of {} does not end", host.address);
            }
            body.extend_from_slice(&chunk);
        }
        if let Some(signer) = &self.signer
            && matches!(status, 401 | 403)
        {
            signer.forget();
        }
        Ok(Answer { status, body: body.into(), from: host.address.to_string() })
    }

    /// Looks at the dead servers once, and takes those that answer well back.
    async fn check_dead(&self) {
        for host in self.hosts.iter().filter(|host| host.is_dead.load(Ordering::Relaxed)) {
            let answer =
                self.request_to(host, Method::HEAD, &self.healthcheck_path, &Payload::default()).await;
            // A server that refuses to say how it is does live.
            let lives = answer.is_ok_and(|answer| answer.status < 500);
            if lives && host.is_dead.swap(false, Ordering::Relaxed) {
                tracing::info!(output = self.name, server = %host.address, "server lives again");
            }
        }
    }
}

/// Looks at the dead servers every `delay`, until the stop or until the client is gone.
pub(super) async fn resurrect(
    client: std::sync::Weak<Client>,
    delay: std::time::Duration,
    stop: CancellationToken,
) {
    // A delay of nothing would leave no time for anything else.
    let delay = delay.max(std::time::Duration::from_millis(1));
    loop {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return,
        }
        let Some(client) = client.upgrade() else { return };
        let client: Arc<Client> = client;
        client.check_dead().await;
    }
}

const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn with_tls(mut builder: reqwest::ClientBuilder, options: &TlsOptions) -> Result<reqwest::ClientBuilder> {
    if let Some(path) = &options.authority {
        let name = || format!("ssl_certificate_authorities: {}", path.display());
        let pem = std::fs::read(path).with_context(name)?;
        let certificates = Certificate::from_pem_bundle(&pem).with_context(name)?;
        if certificates.is_empty() {
            anyhow::bail!("{} has no certificate in it", path.display());
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let Some((certificate, key)) = &options.identity {
        let mut pem = std::fs::read(key).with_context(|| format!("ssl_key: {}", key.display()))?;
        pem.push(b'\n');
        let name = || format!("ssl_certificate: {}", certificate.display());
        pem.extend(std::fs::read(certificate).with_context(name)?);
        let name = || format!("ssl_certificate {} and ssl_key {}", certificate.display(), key.display());
        builder = builder.identity(Identity::from_pem(&pem).with_context(name)?);
    }
    if !options.verify {
        tracing::warn!("ssl_verification_mode is none: anyone on the network may pose as the server");
        builder = builder.tls_danger_accept_invalid_certs(true).tls_danger_accept_invalid_hostnames(true);
    }
    Ok(builder)
}

impl Answer {
    /// Whether the request was carried out.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer in a sentence, with what to do about it where that is known.
    pub(super) fn problem(&self) -> String {
        let advice = match self.status {
            301 | 302 | 307 | 308 => "it sends elsewhere; write that URL in hosts",
            400 => "it takes the request for wrong",
            401 => "check the credentials (user and password, api_key or aws_sigv4)",
            403 => {
                "check the credentials, the access policy and whether the cluster or index is blocked for writes"
            }
            404 => "is this the URL of Elasticsearch or OpenSearch?",
            413 => "the request is too large for it; a smaller bulk_bytes helps",
            429 => "it has too much to do",
            503 => "it is not ready",
            _ => "it is in trouble",
        };
        let text = String::from_utf8_lossy(&self.body);
        let text = shortened(text.trim());
        if text.is_empty() {
            format!("{} answers {}: {advice}", self.from, self.status)
        } else {
            format!("{} answers {}: {advice}; it says: {text}", self.from, self.status)
        }
    }
}
