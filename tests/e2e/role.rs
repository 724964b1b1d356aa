//! Logs of another account: a role is taken on at the token service, with the external id that its account asks for, and
//! every request is signed with what came of it.

use weir_test_support::FakeCloudWatch;
use weir_test_support::cloudwatch::ROLE_ACCESS_KEY;

use crate::empty_setting;

#[test]
fn a_role_of_another_account_reads_its_logs() {
    let cloudwatch = FakeCloudWatch::start();
    let group = "arn:aws:logs:us-east-1:999999999999:log-group:/other/account";
    cloudwatch.put("/other/account", "s", 1_700_000_000_000, "from another account");
    let mut setting = empty_setting();
    setting.set("AWS_ENDPOINT_URL_STS", &cloudwatch.url());
    let role = "arn:aws:iam::999999999999:role/log-reader";
    let pipeline = setting.write(
        "role.toml",
        &format!(
            "[pipeline]\nstate_dir = \"state\"\n[input]\ntype = \"cloudwatch_logs\"\nlog_group = \"{group}:*\"\n\
             endpoint_url = \"{}\"\nrole_arn = \"{role}\"\nrole_session_name = \"weir-test\"\n\
             external_id = \"agreed upon\"\n[output]\ntype = \"stdout\"\ncodec = \"json_lines\"\n",
            cloudwatch.url()
        ),
    );
    let ended = setting.run(&["run", "--once", &pipeline]).expect_code(0);
    let document: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(document["message"], "from another account");

    let calls = cloudwatch.calls();
    let (assumed, read): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.operation == "AssumeRole");
    for call in &assumed {
        assert_eq!(call.parameters["RoleArn"], role);
        assert_eq!(call.parameters["RoleSessionName"], "weir-test");
        assert_eq!(call.parameters["ExternalId"], "agreed upon");
        assert_eq!(call.access_key, "AKIDTEST");
    }
    assert!(!assumed.is_empty() && !read.is_empty());
    for call in &read {
        assert_eq!(call.access_key, ROLE_ACCESS_KEY);
        assert_eq!(call.parameters["logGroupIdentifier"], group);
    }
}
