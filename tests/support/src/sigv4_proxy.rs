//! An https front before a server that speaks plain HTTP, as Amazon's managed Elasticsearch is reached: a certificate of
//! an own authority, and only requests with a right AWS signature pass.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::http_client::{authority_of, forward};
use crate::http_server::{HttpServer, Reply};
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
        let authority = authority_of(upstream)?;
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
pub(crate) fn certificates() -> Result<(String, rustls::ServerConfig)> {
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
