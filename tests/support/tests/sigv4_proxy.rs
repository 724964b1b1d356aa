//! The https front with its signature check.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::{Certificate, Client, Response};
use weir_test_support::sigv4::Credentials;
use weir_test_support::{FakeElasticsearch, SigV4Proxy};

async fn bulk(proxy: &SigV4Proxy, client: &Client, secret: &str) -> Response {
    let url = format!("{}/_bulk?filter_path=errors", proxy.url());
    let body = "{\"index\":{\"_index\":\"i\",\"_id\":\"a\"}}\n{}\n";
    let identity = aws_credential_types::Credentials::new("AKID", secret, None, None, "test").into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("es")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let headers = [("content-type", "application/json")];
    let signable =
        SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))
            .unwrap();
    let (instructions, _) = sign(signable, &parameters.into()).unwrap().into_parts();
    let mut request = client.post(&url).header(headers[0].0, headers[0].1).body(body);
    for (name, value) in instructions.headers() {
        request = request.header(name, value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn only_right_signatures_pass() {
    let fake = FakeElasticsearch::start();
    let credentials =
        Credentials { access_key: "AKID".to_owned(), secret_key: "secret".to_owned(), session_token: None };
    let proxy = SigV4Proxy::start(&fake.url(), credentials, "us-east-1", "es").unwrap();
    let authority = Certificate::from_pem(proxy.ca_pem().as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([authority]).build().unwrap();

    let answer = bulk(&proxy, &client, "secret").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), r#"{"errors":false,"items":[{"index":{}}]}"#);
    assert_eq!((proxy.accepted(), fake.count()), (1, 1));

    let answer = bulk(&proxy, &client, "wrong").await;
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("the signature does not match"));
    proxy.skew_clock(16 * 60);
    let answer = bulk(&proxy, &client, "secret").await;
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("signature expired"));
    proxy.skew_clock(0);
    assert_eq!(client.get(proxy.url()).send().await.unwrap().status(), 403);
    assert!(proxy.wait_for_refused(3, Duration::from_secs(5)));
    assert!(proxy.refused()[2].contains("not signed"));

    let stranger = Client::new();
    assert!(stranger.get(proxy.url()).send().await.is_err(), "the authority is nobody's but the test's");
    assert_eq!((proxy.accepted(), fake.requests().len()), (1, 1));
}
