//! Checks a request's AWS signature (version 4) by the published rules, on its own and not with the crate that Weir signs
//! with: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::http_server::Request;

/// A signature is good for this long before and after its time.
const TOLERANCE: TimeDelta = TimeDelta::minutes(15);

/// A key that the checker knows.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The token that must come along, for temporary credentials.
    pub session_token: Option<String>,
}

/// Checks signatures for one key, region and service. Clones share the clock.
#[derive(Clone, Debug)]
pub struct Verifier {
    credentials: Credentials,
    region: String,
    service: String,
    clock_skew: Arc<AtomicI64>,
}

impl Verifier {
    /// A checker whose clock is right.
    pub fn new(credentials: Credentials, region: &str, service: &str) -> Self {
        Self {
            credentials,
            region: region.to_owned(),
            service: service.to_owned(),
            clock_skew: Arc::default(),
        }
    }

    /// Sets the checker's clock forward by so many seconds (negative: back), as if the signer's were wrong.
    pub fn skew_clock(&self, seconds: i64) {
        self.clock_skew.store(seconds, Ordering::Relaxed);
    }

    /// Recomputes the signature.
    ///
    /// # Errors
    /// Says why the request is refused.
    pub fn verify(&self, request: &Request) -> Result<(), String> {
        let authorization = request.header("authorization");
        if authorization.is_empty() {
            return Err("the request is not signed".to_owned());
        }
        let fields =
            authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("not signed with AWS4-HMAC-SHA256")?;
        let field = |name: &str| {
            let mut fields = fields.split(',').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)).ok_or_else(|| format!("{name} is missing"))
        };
        let (credential, signed, signature) =
            (field("Credential=")?, field("SignedHeaders=")?, field("Signature=")?);

        let (access_key, scope) = credential.split_once('/').ok_or("the credential has no scope")?;
        if access_key != self.credentials.access_key {
            return Err(format!("the access key {access_key} is not known"));
        }
        let date = request.header("x-amz-date");
        self.check_time(date)?;
        let expected_scope = format!("{}/{}/{}/aws4_request", &date[..8], self.region, self.service);
        if scope != expected_scope {
            return Err(format!("the scope is {scope}, expected {expected_scope}"));
        }
        let token = self.credentials.session_token.as_deref().unwrap_or_default();
        if request.header("x-amz-security-token") != token {
            return Err("the session token is not the one of this key".to_owned());
        }

        let names: Vec<&str> = signed.split(';').collect();
        if !names.is_sorted() {
            return Err("the signed headers are not in order".to_owned());
        }
        let must_be_signed = |name: &str| name == "host" || (name.starts_with("x-amz-"));
        for name in request.headers.keys() {
            if must_be_signed(name.as_str()) && !names.contains(&name.as_str()) {
                return Err(format!("the header {name} is not signed"));
            }
        }
        let body_hash = hexadecimal(&Sha256::digest(&request.body));
        let claimed = request.header("x-amz-content-sha256");
        if !claimed.is_empty() && claimed != body_hash {
            return Err("the body is not the one whose hash was signed".to_owned());
        }

        let canonical = canonical_request(request, &names, signed, &body_hash)?;
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            hexadecimal(&Sha256::digest(canonical.as_bytes()))
        );
        let mut key = format!("AWS4{}", self.credentials.secret_key).into_bytes();
        for part in [&date[..8], &self.region, &self.service, "aws4_request"] {
            key = keyed_hash(&key, part);
        }
        if signature != hexadecimal(&keyed_hash(&key, &to_sign)) {
            return Err(format!("the signature does not match; the canonical request is\n{canonical}"));
        }
        Ok(())
    }

    fn check_time(&self, date: &str) -> Result<(), String> {
        let time = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ")
            .map_err(|_| format!("x-amz-date is {date:?}, expected a time like 20200223T170841Z"))?
            .and_utc();
        let now = now() + TimeDelta::seconds(self.clock_skew.load(Ordering::Relaxed));
        let apart = now - time;
        if apart > TOLERANCE {
            return Err(format!(
                "signature expired: {date} is {} s before the time of the service",
                apart.num_seconds()
            ));
        }
        if -apart > TOLERANCE {
            return Err(format!(
                "signature not yet current: {date} is {} s after the time of the service",
                -apart.num_seconds()
            ));
        }
        Ok(())
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from(std::time::SystemTime::now())
}

/// The text that is signed: what was asked, in one spelling.
fn canonical_request(
    request: &Request,
    names: &[&str],
    signed: &str,
    body_hash: &str,
) -> Result<String, String> {
    let mut text = format!("{}\n", request.method);
    // The path goes on the wire encoded once and is signed encoded twice (by every service but S3).
    let segments: Vec<String> = request.path.split('/').map(|segment| encode(segment.as_bytes())).collect();
    text.push_str(&segments.join("/"));
    text.push('\n');

    let mut pairs = Vec::new();
    for pair in request.query.as_deref().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((encode(&decode(name)?), encode(&decode(value)?)));
    }
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    text.push_str(&pairs.join("&"));
    text.push('\n');

    for name in names {
        let mut values = Vec::new();
        for value in request.headers.get_all(*name) {
            let value = value.to_str().map_err(|_| format!("the header {name} is no text"))?;
            values.push(value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
        }
        if values.is_empty() {
            return Err(format!("the signed header {name} did not come"));
        }
        let _ = writeln!(text, "{name}:{}", values.join(","));
    }
    let _ = write!(text, "\n{signed}\n{body_hash}");
    Ok(text)
}

fn keyed_hash(key: &[u8], text: &str) -> Vec<u8> {
    let mut hash = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    hash.update(text.as_bytes());
    hash.finalize().into_bytes().to_vec()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Percent-encodes everything but letters, digits and `-._~`.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte))
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    let problem = || format!("{text:?} is not percent-encoded well");
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or_else(problem)?, rest.next().ok_or_else(problem)?];
        let digits = std::str::from_utf8(&digits).map_err(|_| problem())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| problem())?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4::SigningParams;

    use super::*;

    fn verifier(token: Option<&str>) -> Verifier {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "secret".to_owned(),
            session_token: token.map(str::to_owned),
        };
        Verifier::new(credentials, "us-east-1", "es")
    }

    /// A request to `target`, signed by the crate that AWS's own clients use.
    fn signed(target: &str, token: Option<&str>, time: SystemTime) -> Request {
        let credentials = aws_credential_types::Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            token.map(str::to_owned),
            None,
            "test",
        );
        let identity = credentials.into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("es")
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let uri = format!("https://127.0.0.1:9200{target}");
        let body = "{\"index\":{}}\n{}\n";
        let headers = [("host", "127.0.0.1:9200"), ("content-type", "application/x-ndjson")];
        let signable =
            SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))
                .unwrap();
        let (instructions, _) = sign(signable, &parameters.into()).unwrap().into_parts();
        let mut request = http::Request::post(&uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        let (parts, ()) = request.into_parts();
        Request {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            body: body.into(),
        }
    }

    #[test]
    fn accepts_what_the_aws_crate_signs() {
        for target in
            ["/", "/_bulk", "/_bulk?b=2&a=1&empty", "/a%20b/%E3%81%82?filter_path=items.*,errors&x=%2F"]
        {
            let request = signed(target, None, SystemTime::now());
            assert_eq!(verifier(None).verify(&request), Ok(()), "{target}");
            let request = signed(target, Some("token/+="), SystemTime::now());
            assert_eq!(verifier(Some("token/+=")).verify(&request), Ok(()), "{target}");
        }
    }

    #[test]
    fn refuses_what_was_changed_and_says_why() {
        let good = signed("/_bulk?a=1", None, SystemTime::now());
        let check = |change: &dyn Fn(&mut Request), reason: &str| {
            let mut request = good.clone();
            change(&mut request);
            let error = verifier(None).verify(&request).unwrap_err();
            assert!(error.contains(reason), "{reason}: {error}");
        };
        check(&|request| request.path = "/_count".to_owned(), "does not match");
        check(&|request| request.query = None, "does not match");
        check(&|request| request.body = "{}\n".into(), "does not match");
        check(&|request| request.method = http::Method::GET, "does not match");
        check(
            &|request| drop(request.headers.insert("host", "elsewhere".parse().unwrap())),
            "does not match",
        );
        check(&|request| drop(request.headers.insert("x-amz-extra", "1".parse().unwrap())), "is not signed");
        check(&|request| drop(request.headers.remove("authorization")), "is not signed");
        let other = Credentials {
            access_key: "OTHER".to_owned(),
            secret_key: "secret".to_owned(),
            session_token: None,
        };
        let error = Verifier::new(other, "us-east-1", "es").verify(&good).unwrap_err();
        assert!(error.contains("AKIDEXAMPLE is not known"), "{error}");
        let other = Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "?".to_owned(),
            session_token: None,
        };
        assert!(
            Verifier::new(other.clone(), "us-east-1", "es")
                .verify(&good)
                .unwrap_err()
                .contains("does not match")
        );
        assert!(Verifier::new(other, "eu-west-1", "es").verify(&good).unwrap_err().contains("scope"));
    }

    #[test]
    fn refuses_a_clock_that_is_wrong() {
        let now = SystemTime::now();
        for (time, reason) in [
            (now - Duration::from_secs(16 * 60), "signature expired"),
            (now + Duration::from_secs(16 * 60), "not yet current"),
        ] {
            let error = verifier(None).verify(&signed("/", None, time)).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(verifier(None).verify(&signed("/", None, now - Duration::from_secs(14 * 60))), Ok(()));
        let skewed = verifier(None);
        skewed.skew_clock(3600);
        assert!(skewed.verify(&signed("/", None, now)).unwrap_err().contains("signature expired"));
    }
}
