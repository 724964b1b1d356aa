//! The seed's target as it is reached: over https with an own authority's certificate and AWS signatures, which a proxy
//! before a real Elasticsearch checks.

use std::path::Path;

use weir_test_support::sigv4::Credentials;
use weir_test_support::weir::PATIENCE;
use weir_test_support::{FakeCloudWatch, Server, Setting, SigV4Proxy};

use crate::{LOG_GROUP, empty_setting, search, seed_pipeline};

#[test]
fn only_right_signatures_reach_elasticsearch() {
    let Some(elasticsearch) = Server::elasticsearch() else { return };
    let credentials = Credentials {
        access_key: "AKIDTEST".to_owned(),
        secret_key: "secret".to_owned(),
        session_token: None,
    };
    let proxy = SigV4Proxy::start(&elasticsearch.url(), credentials, "us-east-1", "es").unwrap();
    let cloudwatch = FakeCloudWatch::start();
    let line = "1.0 2020-02-23T17:08:41Z Z1CV60OKBEMYL2 example.name MX NOERROR UDP CDG3-C2 192.0.2.7 -";
    for number in 0..100 {
        cloudwatch.put(
            LOG_GROUP,
            "Z1CV60OKBEMYL2/CDG3-C2",
            1_582_477_748_000 + number,
            &format!("{line}{number}"),
        );
    }
    let mut setting = empty_setting();
    setting.set("WEIR_CLOUDWATCH_ENDPOINT", &cloudwatch.url());
    setting.set("WEIR_ELASTICSEARCH", &proxy.url());
    setting.write("ca.pem", proxy.ca_pem());
    let pipeline = signed_pipeline(&setting);

    // A wrong key, and a clock that is wrong: both are said, waited for, and end when they are told to.
    setting.set("AWS_SECRET_ACCESS_KEY", "wrong");
    let running = setting.start(&["run", "--once", &pipeline]);
    running.wait_for_log("403");
    running.wait_for_log("the signature does not match");
    assert!(proxy.wait_for_refused(2, PATIENCE));
    assert_ne!(running.stop_at_once().code, None);
    assert_eq!(proxy.accepted(), 0);

    setting.set("AWS_SECRET_ACCESS_KEY", "secret");
    proxy.skew_clock(3600);
    let running = setting.start(&["run", "--once", &pipeline]);
    running.wait_for_log("signature expired");
    assert_eq!(proxy.accepted(), 0);

    // The clock is set right, and the same run goes on.
    proxy.skew_clock(0);
    running.wait().expect_code(0);
    assert!(proxy.accepted() > 0);
    search::refresh(&elasticsearch.url());
    assert_eq!(search::count(&elasticsearch.url()), 100);
    let types = search::types(&elasticsearch.url(), "resolver_ipaddress");
    assert_eq!(types.get("route53-2020-02-24").map(String::as_str), Some("ip"));
}

/// The seed's pipeline with its signing turned on, in the setting's folder.
fn signed_pipeline(setting: &Setting) -> String {
    let file = seed_pipeline();
    let folder = file.parent().unwrap_or(Path::new("."));
    let template = std::fs::read_to_string(folder.join("route53-template.json")).unwrap();
    setting.write("route53-template.json", &template);
    let text = std::fs::read_to_string(&file).unwrap();
    let turned_on = text.replace("# aws_sigv4 =", "aws_sigv4 =");
    assert_ne!(text, turned_on, "the pipeline shows how requests are signed");
    let with_authority = "ssl_certificate_authorities = [\"ca.pem\"]\nretry_initial_interval = \"50ms\"\n\
                          retry_max_interval = \"200ms\"\n";
    setting.write("signed.toml", &format!("{turned_on}\n{with_authority}"))
}
