//! The fake of Elasticsearch as an HTTP client sees it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use weir_test_support::FakeElasticsearch;
use weir_test_support::elasticsearch::{Fault, ItemFault};

async fn bulk(fake: &FakeElasticsearch, body: &str) -> reqwest::Result<Response> {
    let request =
        Client::new().post(format!("{}/_bulk", fake.url())).header("content-type", "application/x-ndjson");
    request.body(body.to_owned()).send().await
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn statuses(answer: &Value) -> Vec<u64> {
    let items = answer["items"].as_array().unwrap().iter();
    items.map(|item| item.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap()).collect()
}

const TWO: &str = "{\"create\":{\"_index\":\"i\",\"_id\":\"a\"}}\n{\"n\":1}\n{\"index\":{\"_index\":\"i\",\"_id\":\"b\"}}\n{\"n\":2}\n";

#[tokio::test]
async fn documents_are_kept_by_id_with_their_version() {
    let fake = FakeElasticsearch::start();
    let answer = json(bulk(&fake, TWO).await.unwrap()).await;
    assert_eq!((statuses(&answer), &answer["errors"]), (vec![201, 201], &Value::Bool(false)));
    let answer = json(bulk(&fake, TWO).await.unwrap()).await;
    assert_eq!((statuses(&answer), &answer["errors"]), (vec![409, 200], &Value::Bool(true)));
    let more = [
        r#"{"update":{"_index":"i","_id":"b"}}"#,
        r#"{"doc":{"m":{"x":1}}}"#,
        r#"{"update":{"_index":"i","_id":"c"}}"#,
        r#"{"doc":{}}"#,
        r#"{"delete":{"_index":"i","_id":"a"}}"#,
        r#"{"index":{"_index":"I"}}"#,
        "{}",
        r#"{"index":{"_index":"i","_id":"d"}}"#,
        r#"{"broken"#,
        r#"{"index":{"_index":"j"}}"#,
        "{}\n",
    ];
    assert_eq!(
        statuses(&json(bulk(&fake, &more.join("\n")).await.unwrap()).await),
        [200, 404, 200, 400, 400, 201]
    );
    let documents = fake.documents();
    assert_eq!(documents["i"].len(), 1);
    assert_eq!(documents["i"]["b"].json(), json!({"n": 2, "m": {"x": 1}}));
    assert_eq!(documents["i"]["b"].version, 3);
    assert_eq!(fake.count(), 2);
    let count = || async {
        json(reqwest::get(format!("{}/i,j*/_count", fake.url())).await.unwrap()).await["count"].clone()
    };
    assert_eq!(count().await, 0, "a search sees what was refreshed");
    Client::new().post(format!("{}/_refresh", fake.url())).send().await.unwrap();
    assert_eq!(count().await, 2);
    for bad in ["", "{}", "{\"index\":{}}", "{\"other\":{}}\n{}\n", "{\"index\":{\"_index\":\"i\"}}\n"] {
        assert_eq!(bulk(&fake, bad).await.unwrap().status(), StatusCode::BAD_REQUEST, "{bad:?}");
    }
}

#[tokio::test]
async fn gzip_and_filter_path_are_understood() {
    let fake = FakeElasticsearch::start();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(TWO.as_bytes()).unwrap();
    let url = format!("{}/_bulk?filter_path=errors,items.*.error,items.*.status", fake.url());
    let request =
        Client::new().post(url).header("content-type", "application/json").header("content-encoding", "gzip");
    let answer = json(request.body(packed.finish().unwrap()).send().await.unwrap()).await;
    assert_eq!(
        answer,
        json!({"errors": false, "items": [{"create": {"status": 201}}, {"index": {"status": 201}}]})
    );
    let seen = fake.requests();
    assert!(seen[0].compressed);
    assert_eq!(seen[0].request.body, TWO.as_bytes());
    let plain = Client::new().post(format!("{}/_bulk", fake.url())).body(TWO).send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn requests_fail_as_told() {
    let fake = FakeElasticsearch::start();
    for status in [400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504] {
        fake.faults().bulk.push_back(Some(Fault::Status(status)));
        assert_eq!(bulk(&fake, TWO).await.unwrap().status().as_u16(), status);
    }
    fake.faults().bulk.push_back(Some(Fault::RetryAfter(7)));
    assert_eq!(bulk(&fake, TWO).await.unwrap().headers()["retry-after"], "7");
    fake.faults().bulk.push_back(Some(Fault::ResetBeforeCommit));
    assert!(bulk(&fake, TWO).await.is_err());
    assert_eq!(fake.count(), 0);
    fake.faults().bulk.push_back(Some(Fault::ResetAfterCommit));
    assert!(bulk(&fake, TWO).await.is_err());
    assert_eq!(fake.count(), 2);
    fake.faults().bulk.push_back(Some(Fault::StatusAfterCommit(504)));
    assert_eq!(bulk(&fake, TWO).await.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    fake.faults().bulk.push_back(Some(Fault::CutBody));
    assert!(bulk(&fake, TWO).await.unwrap().bytes().await.is_err());
    fake.faults().bulk.push_back(Some(Fault::TruncatedJson));
    let half = bulk(&fake, TWO).await.unwrap().bytes().await.unwrap();
    assert!(serde_json::from_slice::<Value>(&half).is_err());
    fake.faults().bulk.push_back(Some(Fault::ItemMissing));
    assert_eq!(statuses(&json(bulk(&fake, TWO).await.unwrap()).await), [409]);
    fake.faults().bulk.push_back(Some(Fault::Slow(Duration::from_millis(300))));
    let slow = Client::builder().timeout(Duration::from_millis(50)).build().unwrap();
    let request = slow.post(format!("{}/_bulk", fake.url())).header("content-type", "application/json");
    assert!(request.body(TWO).send().await.unwrap_err().is_timeout());
    assert_eq!(fake.documents()["i"]["b"].version, 6);
    fake.faults().body_limit = Some(10);
    assert_eq!(bulk(&fake, TWO).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(fake.wait_for(Duration::from_secs(5), |seen| seen.len() == 20));
}

#[tokio::test]
async fn items_fail_as_told() {
    let fake = FakeElasticsearch::start();
    let mut left = 1;
    fake.faults().items = Some(Box::new(move |item| {
        if item.source.contains("\"n\":2") && left > 0 {
            left -= 1;
            return Some(ItemFault::rejected());
        }
        item.source.contains("bad").then(ItemFault::mapper_parsing)
    }));
    let answer = json(bulk(&fake, TWO).await.unwrap()).await;
    assert_eq!(statuses(&answer), [201, 429]);
    assert_eq!(answer["items"][1]["index"]["error"]["type"], "es_rejected_execution_exception");
    assert_eq!(statuses(&json(bulk(&fake, TWO).await.unwrap()).await), [409, 201]);
}

#[tokio::test]
async fn the_server_says_what_it_is_and_keeps_templates() {
    let fake = FakeElasticsearch::start();
    let client = Client::new();
    let about = client.get(fake.url()).send().await.unwrap();
    assert!(about.headers().get("x-elastic-product").is_none());
    assert_eq!(json(about).await["version"]["number"], "7.1.1");
    assert_eq!(client.head(fake.url()).send().await.unwrap().status(), StatusCode::OK);
    let legacy = format!("{}/_template/t", fake.url());
    let composable = format!("{}/_index_template/t", fake.url());
    assert_eq!(client.head(&legacy).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let body = r#"{"index_patterns":["route53-*"]}"#;
    assert_eq!(client.put(&legacy).body(body).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(client.head(&legacy).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(client.put(&composable).body(body).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    fake.set_version("8.15.0", None);
    let about = client.get(fake.url()).send().await.unwrap();
    assert_eq!(about.headers()["x-elastic-product"], "Elasticsearch");
    assert_eq!(client.put(&composable).body(body).send().await.unwrap().status(), StatusCode::OK);
    fake.set_version("2.19.6", Some("opensearch"));
    let typed = "{\"index\":{\"_index\":\"i\",\"_type\":\"_doc\"}}\n{}\n";
    assert_eq!(bulk(&fake, typed).await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        json(client.get(fake.url()).send().await.unwrap()).await["version"]["distribution"],
        "opensearch"
    );
    assert_eq!(fake.templates().len(), 2);
    fake.faults().authorization = Some("Basic dTpw".to_owned());
    assert_eq!(client.get(fake.url()).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let with = client.get(fake.url()).basic_auth("u", Some("p")).send().await.unwrap();
    assert_eq!(with.status(), StatusCode::OK);
}
