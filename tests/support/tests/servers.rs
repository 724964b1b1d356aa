//! The real servers start, do what they are there for, and stop.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use serde_json::json;
use weir_test_support::Server;
use weir_test_support::http_client::{call, cloudwatch_logs};

/// Stores a document, counts it, and sees that the server is gone once it is dropped.
fn check(server: Server, number: &str) {
    let url = server.url();
    assert_eq!(call("GET", &url, &[], "").unwrap().json()["version"]["number"], number);
    let put = format!("{url}/i/_doc/1?refresh=true");
    let answer = call("PUT", &put, &[("content-type", "application/json")], r#"{"a":1}"#).unwrap();
    assert_eq!(answer.status, 201);
    assert_eq!(call("GET", &format!("{url}/i/_count"), &[], "").unwrap().json()["count"], 1);
    drop(server);
    assert!(call("GET", &url, &[], "").is_err());
}

#[test]
fn elasticsearch_starts_and_stops() {
    if let Some(server) = Server::elasticsearch() {
        check(server, "7.1.1");
    }
}

#[test]
fn opensearch_starts_and_stops() {
    if let Some(server) = Server::opensearch() {
        check(server, "2.19.6");
    }
}

#[test]
fn moto_starts_and_stops() {
    let Some(server) = Server::moto() else { return };
    let url = server.url();
    cloudwatch_logs(&url, "CreateLogGroup", &json!({"logGroupName": "/g"})).unwrap();
    let groups = cloudwatch_logs(&url, "DescribeLogGroups", &json!({})).unwrap();
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/g");
    drop(server);
    assert!(call("GET", &url, &[], "").is_err());
}
