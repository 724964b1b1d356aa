//! Who asks: Basic, API keys, and AWS signatures (SigV4) over the request as it is sent. What the servers let one do is left
//! to them.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use crate::config::Section;

/// Credentials are asked for again when they have less than this left, so that a request does not outlive them.
const EXPIRY_MARGIN: Duration = Duration::from_secs(120);

/// Credentials that name no end are asked for again after this, in case their file was changed.
const REFRESH_INTERVAL: Duration = Duration::from_secs(900);

/// How requests say who asks, as the options have it.
#[derive(Clone, PartialEq, Eq)]
pub enum AuthOptions {
    /// They do not, unless a host's URL has a user and password.
    None,
    /// `user` and `password`, or `cloud_auth`.
    Basic(String, String),
    /// `api_key`, as it stands in the header.
    ApiKey(String),
    /// `aws_sigv4`.
    SigV4(SigV4Options),
}

/// Without what is secret.
impl fmt::Debug for AuthOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthOptions::None => f.write_str("None"),
            AuthOptions::Basic(user, _) => write!(f, "Basic({user:?})"),
            AuthOptions::ApiKey(_) => f.write_str("ApiKey"),
            AuthOptions::SigV4(options) => write!(f, "{options:?}"),
        }
    }
}

/// Whose AWS signature goes with requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigV4Options {
    /// The region of the domain.
    pub region: String,
    /// `es` for a domain, `aoss` for a serverless collection.
    pub service: String,
    /// A profile of the AWS configuration files.
    pub profile: Option<String>,
    /// A role to be assumed.
    pub role_arn: Option<String>,
}

/// Reads the options from the output's section. `tls`: whether the hosts speak https.
pub(super) fn read_auth(section: &mut Section, tls: bool) -> AuthOptions {
    let ways = ["user", "cloud_auth", "api_key", "aws_sigv4"];
    let set: Vec<&str> = ways.into_iter().filter(|way| section.is_set(way)).collect();
    if let [first, .., last] = set[..] {
        let message = format!("`{first}` and `{last}` both say who asks");
        section.problem(last, &message, "keep one of them");
    }
    let mut options = AuthOptions::None;
    let (user, password) = (section.text("user"), section.password("password"));
    match (user, password) {
        (Some(user), Some(password)) => options = AuthOptions::Basic(user, password),
        (None, None) => {}
        (Some(_), None) => section.problem("user", "`user` needs a `password`", "add password = \"${…}\""),
        (None, Some(_)) => section.problem("password", "`password` needs a `user`", "add user = \"…\""),
    }
    if let Some(text) = section.password("cloud_auth") {
        match text.split_once(':') {
            Some((user, password)) => options = AuthOptions::Basic(user.to_owned(), password.to_owned()),
            None => section.problem("cloud_auth", "`cloud_auth` has no colon", "write user:password"),
        }
    }
    if let Some(key) = section.password("api_key") {
        match api_key_text(&key) {
            Some(key) => options = AuthOptions::ApiKey(key),
            None => {
                let fix = "write id:key, or the base64 text that Elasticsearch gave";
                section.problem("api_key", "`api_key` is in no form that Elasticsearch knows", fix);
            }
        }
        if !tls {
            let message = "`api_key` would go over the network in the clear";
            section.problem(
                "api_key",
                message,
                "write https:// in hosts; Elasticsearch takes keys over TLS only",
            );
        }
    }
    if let Some(mut table) = section.section("aws_sigv4") {
        options = AuthOptions::SigV4(SigV4Options {
            region: table.required_text("region"),
            service: table.one_of("service", &["es", "aoss"]).unwrap_or_else(|| "es".to_owned()),
            profile: table.text("profile"),
            role_arn: table.text("role_arn"),
        });
    }
    options
}

/// `id:key` is sent as base64; base64 text and cloud keys (`essu_…`) go as they are.
fn api_key_text(key: &str) -> Option<String> {
    if let Some((id, secret)) = key.split_once(':') {
        let plain = !id.is_empty() && !secret.is_empty() && !secret.contains(':');
        return plain.then(|| STANDARD.encode(key));
    }
    let is_base64 = !key.is_empty() && STANDARD.decode(key).is_ok();
    (is_base64 || key.starts_with("essu_")).then(|| key.to_owned())
}

/// The header of Basic authorization.
pub(super) fn basic_header(user: &str, password: &str) -> Result<HeaderValue> {
    secret_header(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// The header of an API key.
pub(super) fn api_key_header(key: &str) -> Result<HeaderValue> {
    secret_header(&format!("ApiKey {key}"))
}

fn secret_header(text: &str) -> Result<HeaderValue> {
    let mut value =
        HeaderValue::from_str(text).context("the credentials have letters that no HTTP header can hold")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Signs requests with AWS credentials, which it asks for anew before they end.
pub(super) struct Signer {
    options: SigV4Options,
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<Kept>>,
}

#[derive(Clone)]
struct Kept {
    credentials: Credentials,
    until: SystemTime,
}

impl Signer {
    /// Finds the credentials: environment, profile, web identity, container or instance, as all AWS tools do.
    ///
    /// # Errors
    /// When there are none. Other failures come with the first request, and are tried again there.
    pub(super) async fn open(options: SigV4Options) -> Result<Self> {
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).region(Region::new(options.region.clone()));
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        let provider = match &options.role_arn {
            None => config.credentials_provider().context("no AWS credentials were found")?,
            Some(role) => {
                let assumed = aws_config::sts::AssumeRoleProvider::builder(role)
                    .session_name("weir")
                    .configure(&config)
                    .build();
                SharedCredentialsProvider::new(assumed.await)
            }
        };
        let signer = Signer { options, provider, kept: Mutex::new(None) };
        match signer.provider.provide_credentials().await {
            Ok(credentials) => signer.keep(credentials),
            Err(error @ CredentialsError::CredentialsNotLoaded(_)) => {
                let error = anyhow!(error);
                bail!(
                    "no AWS credentials for aws_sigv4: {error:#}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a \
                     profile, or run where a role is attached"
                );
            }
            Err(error) => tracing::warn!("cannot get AWS credentials yet: {:#}", anyhow!(error)),
        }
        Ok(signer)
    }

    /// A signer with fixed credentials.
    #[cfg(test)]
    fn fixed(options: SigV4Options, credentials: Credentials) -> Self {
        let provider = SharedCredentialsProvider::new(credentials);
        Signer { options, provider, kept: Mutex::new(None) }
    }

    fn keep(&self, credentials: Credentials) {
        let until = match credentials.expiry() {
            Some(expiry) => expiry - EXPIRY_MARGIN,
            None => SystemTime::now() + REFRESH_INTERVAL,
        };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Kept { credentials, until });
    }

    /// Asks for the credentials anew at the next request: a server refused the ones that were kept.
    pub(super) fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn credentials(&self) -> Result<Credentials> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept
            && kept.until > SystemTime::now()
        {
            return Ok(kept.credentials);
        }
        let credentials = self.provider.provide_credentials().await.context("cannot get AWS credentials")?;
        self.keep(credentials.clone());
        Ok(credentials)
    }

    /// Adds the signature over method, URL, host, time and body.
    ///
    /// # Errors
    /// When there are no credentials at present, or the URL cannot be signed.
    pub(super) async fn sign(
        &self,
        method: &Method,
        url: &Url,
        body_sha256: &str,
        headers: &mut HeaderMap,
    ) -> Result<()> {
        let credentials = self.credentials().await?;
        self.sign_with(credentials, SystemTime::now(), method, url, body_sha256, headers)
    }

    fn sign_with(
        &self,
        credentials: Credentials,
        time: SystemTime,
        method: &Method,
        url: &Url,
        body_sha256: &str,
        headers: &mut HeaderMap,
    ) -> Result<()> {
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.options.region)
            .name(&self.options.service)
            .time(time)
            .settings(settings)
            .build()
            .context("cannot sign a request")?
            .into();
        let body = SignableBody::Precomputed(body_sha256.to_owned());
        let request = SignableRequest::new(method.as_str(), url.as_str(), std::iter::empty(), body);
        let request = request.context("cannot sign a request")?;
        let (instructions, _) = sign(request, &params).context("cannot sign a request")?.into_parts();
        for (name, value) in instructions.headers() {
            let name: HeaderName = name.parse().context("cannot sign a request")?;
            let mut value = HeaderValue::from_str(value).context("cannot sign a request")?;
            value.set_sensitive(name == AUTHORIZATION || name.as_str() == "x-amz-security-token");
            headers.insert(name, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_published_rules() {
        // The values of "GET vanilla query" of AWS's SigV4 test suite (service and region as there), with the payload's
        // hash in a header of its own.
        let options = SigV4Options {
            region: "us-east-1".into(),
            service: "service".into(),
            profile: None,
            role_arn: None,
        };
        let credentials =
            Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "test");
        let signer = Signer::fixed(options, credentials.clone());
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let signature = |url: &str, hash: &str| {
            let mut headers = HeaderMap::new();
            let url = Url::parse(url).expect("it is a URL");
            let signed = signer.sign_with(credentials.clone(), time, &Method::POST, &url, hash, &mut headers);
            signed.expect("it can be signed");
            assert_eq!(headers["x-amz-content-sha256"], hash);
            assert_eq!(headers["x-amz-date"], "20150830T123600Z");
            headers["authorization"].to_str().expect("it is ASCII").to_owned()
        };
        let plain = signature("https://example.amazonaws.com/_bulk", empty);
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                        SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=";
        assert!(plain.starts_with(expected), "{plain}");
        assert_eq!(plain, signature("https://example.amazonaws.com:443/_bulk", empty));
        assert_ne!(plain, signature("https://example.amazonaws.com/_bulk?a=b", empty));
        assert_ne!(plain, signature("https://example.amazonaws.com/_bulk", &empty.replace('e', "f")));
        assert_ne!(plain, signature("https://example.amazonaws.org/_bulk", empty));
    }
}
