//! The fake of CloudWatch Logs as AWS's own client sees it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::operation::filter_log_events::builders::FilterLogEventsFluentBuilder;
use weir_test_support::FakeCloudWatch;
use weir_test_support::cloudwatch::{Fault, Outcome, TokenBucket, Visible};
use weir_test_support::sigv4::{self, Verifier};

fn client(fake: &FakeCloudWatch) -> Client {
    let configuration = aws_sdk_cloudwatchlogs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .endpoint_url(fake.url())
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(configuration)
}

/// Pages to the end with unchanged parameters; the messages, and how many pages it took.
async fn all(question: FilterLogEventsFluentBuilder) -> (Vec<String>, usize) {
    let (mut messages, mut pages, mut token) = (Vec::new(), 0, None);
    loop {
        let page = question.clone().set_next_token(token).send().await.unwrap();
        pages += 1;
        messages.extend(page.events().iter().map(|event| event.message().unwrap().to_owned()));
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return (messages, pages);
        }
    }
}

/// The error's type in the service's words; `connection` when there was no answer.
async fn error(question: FilterLogEventsFluentBuilder) -> String {
    match question.send().await.unwrap_err() {
        SdkError::ServiceError(error) => error.err().code().unwrap_or("?").to_owned(),
        SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => "connection".to_owned(),
        error => format!("{error:?}"),
    }
}

#[tokio::test]
async fn events_come_in_the_order_of_time_over_all_streams() {
    let fake = FakeCloudWatch::start();
    let id = fake.put("/g", "b", 2000, "second");
    fake.put("/g", "a", 1000, "first");
    fake.set_now(50);
    fake.put("/g", "a", 2000, "before second");
    fake.put("/g", "c", 3000, "last");
    fake.put("/other", "c", 2000, "elsewhere");
    let client = client(&fake);
    let ask = || client.filter_log_events().log_group_name("/g");
    assert_eq!(all(ask()).await.0, ["first", "before second", "second", "last"]);
    let page = ask().start_time(2000).end_time(2000).send().await.unwrap();
    assert_eq!(page.events().len(), 2, "both ends are inclusive");
    assert_eq!(page.events()[1].event_id(), Some(id.as_str()));
    assert_eq!(page.events()[0].ingestion_time(), Some(50));
    assert_eq!(all(ask().log_stream_names("a")).await.0, ["first", "before second"]);
    assert_eq!(all(ask().log_stream_name_prefix("c")).await.0, ["last"]);
    assert_eq!(all(ask().filter_pattern("second -before")).await.0, ["second"]);
    assert_eq!(all(ask().filter_pattern("?first ?last")).await.0, ["first", "last"]);
    let by_identifier = client.filter_log_events();
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/g";
    assert_eq!(all(by_identifier.log_group_identifier(arn)).await.0.len(), 4);
    assert_eq!(error(client.filter_log_events().log_group_name("/none")).await, "ResourceNotFoundException");
    assert_eq!(error(ask().log_stream_names("none")).await, "ResourceNotFoundException");
    assert_eq!(
        error(ask().log_stream_names("a").log_stream_name_prefix("a")).await,
        "InvalidParameterException"
    );
    assert_eq!(error(ask().limit(10_001)).await, "InvalidParameterException");
    let calls = fake.calls();
    assert_eq!(calls[0].parameters["logGroupName"], "/g");
    assert_eq!(calls[0].access_key, "AKID");
    assert_eq!(calls[0].outcome, Outcome::Events(4, false));
}

#[tokio::test]
async fn pages_are_cut_by_number_and_bytes_and_tokens_belong_to_a_question() {
    let fake = FakeCloudWatch::start();
    for number in 0..10 {
        fake.put("/g", "s", 1000 + number, &format!("{number}{}", "x".repeat(300_000)));
    }
    let client = client(&fake);
    let ask = || client.filter_log_events().log_group_name("/g");
    assert_eq!(all(ask()).await.1, 4, "three of 300 kB fit into a page");
    assert_eq!(all(ask().limit(2)).await.1, 5);
    fake.faults().short_pages = Some(1);
    fake.faults().empty_pages = 2;
    fake.faults().trailing_token = true;
    let (messages, pages) = all(ask()).await;
    assert_eq!((messages.len(), pages), (10, 33));
    *fake.faults() = Default::default();

    let token = ask().send().await.unwrap().next_token().unwrap().to_owned();
    let again = ask().next_token(&token).send().await.unwrap();
    assert_eq!(again.events()[0].timestamp(), Some(1003));
    assert_eq!(error(ask().start_time(1).next_token(&token)).await, "InvalidParameterException");
    fake.put("/other", "s", 1, "");
    let other = client.filter_log_events().log_group_name("/other").next_token(&token);
    assert_eq!(error(other).await, "InvalidParameterException");
    fake.faults().token_life_calls = Some(3);
    assert_eq!(error(ask().next_token(&token)).await, "InvalidParameterException");
    fake.faults().token_life_calls = None;
    assert!(ask().next_token(&token).send().await.is_ok());
    fake.expire_tokens();
    assert_eq!(error(ask().next_token(&token)).await, "InvalidParameterException");
}

#[tokio::test]
async fn an_event_becomes_visible_late() {
    let fake = FakeCloudWatch::start();
    fake.set_now(5000);
    fake.put_visible("/g", "s", 1000, "by call", Visible::AfterCalls(1));
    fake.put_visible("/g", "s", 1000, "by time", Visible::At(6000));
    let client = client(&fake);
    let ask = || client.filter_log_events().log_group_name("/g");
    assert!(all(ask()).await.0.is_empty());
    assert_eq!(all(ask()).await.0, ["by call"]);
    fake.set_now(6000);
    assert_eq!(all(ask()).await.0, ["by call", "by time"]);
}

#[tokio::test]
async fn faults_come_as_told() {
    let fake = FakeCloudWatch::start();
    fake.put("/g", "s", 1000, "here");
    let client = client(&fake);
    let ask = || client.filter_log_events().log_group_name("/g");
    let faults = [
        (Fault::Throttling, "ThrottlingException"),
        (Fault::ServiceUnavailable, "ServiceUnavailableException"),
        (Fault::AccessDenied, "AccessDeniedException"),
        (Fault::ResourceNotFound, "ResourceNotFoundException"),
        (Fault::ExpiredCredentials, "ExpiredTokenException"),
        (Fault::Reset, "connection"),
        (Fault::Cut, "connection"),
    ];
    for (fault, expected) in faults {
        fake.faults().script.extend([Some(fault), None]);
        assert_eq!(error(ask()).await, expected);
        assert_eq!(all(ask()).await.0, ["here"]);
    }
    // Only what a token asks for can have an expired one.
    fake.faults().short_pages = Some(1);
    fake.put("/g", "s", 2000, "there");
    let token = ask().send().await.unwrap().next_token().unwrap().to_owned();
    fake.faults().script.extend([Some(Fault::InvalidParameter), Some(Fault::InvalidParameter)]);
    assert_eq!(error(ask().next_token(&token)).await, "InvalidParameterException");
    assert!(ask().send().await.is_ok());
    fake.faults().short_pages = None;
    fake.faults().groups.insert("/g".to_owned(), Fault::AccessDenied);
    assert_eq!(error(ask()).await, "AccessDeniedException");
    fake.faults().groups.clear();
    fake.faults().throttle = Some(TokenBucket::new(0.001, 2.0));
    assert!(ask().send().await.is_ok() && ask().send().await.is_ok());
    assert_eq!(error(ask()).await, "ThrottlingException");
    assert!(fake.wait_for(Duration::from_secs(5), |calls| calls.len() == 21));
}

#[tokio::test]
async fn signatures_are_checked_where_asked_for() {
    let fake = FakeCloudWatch::start();
    fake.put("/g", "s", 1000, "here");
    let credentials = |secret: &str| sigv4::Credentials {
        access_key: "AKID".to_owned(),
        secret_key: secret.to_owned(),
        session_token: None,
    };
    let client = client(&fake);
    let ask = || client.filter_log_events().log_group_name("/g");
    fake.faults().signature = Some(Verifier::new(credentials("secret"), "us-east-1", "logs"));
    assert_eq!(all(ask()).await.0, ["here"]);
    fake.faults().signature = Some(Verifier::new(credentials("other"), "us-east-1", "logs"));
    assert_eq!(error(ask()).await, "InvalidSignatureException");
}

#[tokio::test]
async fn groups_are_described_in_pages() {
    let fake = FakeCloudWatch::start();
    for number in 0..60 {
        fake.create_group(&format!("/aws/route53/{number:02}"));
    }
    fake.create_group("/other");
    let client = client(&fake);
    let first = client.describe_log_groups().log_group_name_prefix("/aws/").send().await.unwrap();
    assert_eq!(first.log_groups().len(), 50);
    let second = client.describe_log_groups().log_group_name_prefix("/aws/");
    let second = second.set_next_token(first.next_token().map(str::to_owned)).send().await.unwrap();
    assert_eq!(second.log_groups().len(), 10);
    assert_eq!(second.next_token(), None);
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/route53/59";
    assert_eq!(second.log_groups()[9].log_group_arn(), Some(arn));
}
