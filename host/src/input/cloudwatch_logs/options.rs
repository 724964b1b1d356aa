//! The options of `[input] type = "cloudwatch_logs"`: Logstash's, and those of exact reading.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use crate::config::Section;

/// Where a group that no run has read yet begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartPosition {
    /// At the oldest event that is kept.
    #[default]
    Beginning,
    /// At the time of the start.
    End,
    /// So many seconds before the start.
    SecondsBack(u64),
}

/// `[input] type = "cloudwatch_logs"`.
#[derive(Clone, Debug)]
pub struct CloudwatchLogsOptions {
    /// `log_group`: names of groups, or their ARNs; beginnings of names with `log_group_prefix`.
    pub log_group: Vec<String>,
    /// `log_group_prefix`: all groups whose names begin so are read, those that appear later too.
    pub log_group_prefix: bool,
    /// `region`.
    pub region: String,
    /// `start_position`.
    pub start_position: StartPosition,
    /// `sincedb_path`: a file of Logstash's with a first position for groups.
    pub sincedb_path: Option<PathBuf>,
    /// `interval`: the pause after everything was read.
    pub interval: Duration,
    /// `lookback`: how long after its time an event may become visible and still be delivered, exactly once.
    pub lookback: Duration,
    /// `filter_pattern`, in the service's own language.
    pub filter_pattern: Option<String>,
    /// `endpoint_url` (Logstash: `endpoint`).
    pub endpoint_url: Option<String>,
    /// `profile` in the shared AWS files.
    pub profile: Option<String>,
    /// `role_arn`: a role to take on.
    pub role_arn: Option<String>,
    /// `role_session_name`.
    pub role_session_name: String,
    /// `external_id` that the role's account asks for.
    pub external_id: Option<String>,
    /// `access_key_id` and `secret_access_key`, with `session_token` where there is one.
    pub credentials: Option<StaticCredentials>,
    /// `source_id`: stands for region and group in the identity of events.
    pub source_id: Option<String>,
    /// `requests_per_second` to the service, of all inputs with the same account and region together.
    pub requests_per_second: f64,
}

impl CloudwatchLogsOptions {
    /// What stands for a group in the identity of its events; it does not depend on anything that may change.
    pub(super) fn source_of(&self, group: &str) -> String {
        match &self.source_id {
            Some(source_id) => source_id.clone(),
            None if group.starts_with("arn:") => group.trim_end_matches(":*").to_owned(),
            None => format!("{}/{group}", self.region),
        }
    }
}

/// Credentials as the file has them.
#[derive(Clone)]
pub struct StaticCredentials {
    /// `access_key_id`.
    pub access_key_id: String,
    /// `secret_access_key`.
    pub secret_access_key: String,
    /// `session_token`.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Reads the options of `[input] type = "cloudwatch_logs"`.
pub fn read_options(section: &mut Section) -> CloudwatchLogsOptions {
    let log_group = section.required_texts("log_group");
    let log_group_prefix = section.boolean("log_group_prefix").unwrap_or(false);
    check_groups(section, &log_group, log_group_prefix);
    let interval = section.duration("interval").unwrap_or(Duration::from_secs(60));
    let lookback = section.duration("lookback").unwrap_or(Duration::from_secs(3600));
    if lookback > Duration::from_secs(14 * 86_400) {
        section.problem(
            "lookback",
            "`lookback` is over 14 days",
            "the service takes no events that are older",
        );
    }
    let requests_per_second = section.number("requests_per_second").unwrap_or(5.0);
    if !(0.01..=1000.0).contains(&requests_per_second) {
        section.problem("requests_per_second", "`requests_per_second` is out of range", "write 0.01 to 1000");
    }
    let source_id = section.text("source_id");
    if source_id.is_some() && (log_group_prefix || log_group.len() > 1) {
        section.problem(
            "source_id",
            "`source_id` stands for one log group and there may be several",
            "give every group an [[input]] and a source_id of its own, or leave source_id out",
        );
    }
    CloudwatchLogsOptions {
        log_group,
        log_group_prefix,
        region: section.text_or("region", "us-east-1"),
        start_position: read_start_position(section),
        sincedb_path: section.path("sincedb_path"),
        interval,
        lookback,
        filter_pattern: section.text("filter_pattern"),
        endpoint_url: read_endpoint(section),
        profile: section.text("profile"),
        role_arn: section.text("role_arn"),
        role_session_name: section.text_or("role_session_name", "weir"),
        external_id: read_external_id(section),
        credentials: read_credentials(section),
        source_id,
        requests_per_second,
    }
}

fn check_groups(section: &mut Section, groups: &[String], prefix: bool) {
    for (number, group) in groups.iter().enumerate() {
        if groups[..number].contains(group) {
            section.element_problem(
                "log_group",
                number,
                &format!("{group:?} is named twice"),
                "name it once",
            );
        } else if group.is_empty() || group.len() > 2048 || group.contains(char::is_whitespace) {
            section.element_problem(
                "log_group",
                number,
                &format!("{group:?} is no name of a log group"),
                "write it as the service shows it, such as \"/aws/route53/example.name\"",
            );
        } else if prefix && group.starts_with("arn:") {
            section.element_problem(
                "log_group",
                number,
                "an ARN is no beginning of a name",
                "write the beginning of the name, or leave log_group_prefix out",
            );
        }
    }
}

fn read_start_position(section: &mut Section) -> StartPosition {
    let written = section.json("start_position");
    match &written {
        None => return StartPosition::Beginning,
        Some(Json::String(word)) if word == "beginning" => return StartPosition::Beginning,
        Some(Json::String(word)) if word == "end" => return StartPosition::End,
        // In quotes it is no number, as in Logstash, unless it came by a variable.
        Some(Json::String(text))
            if !section.is_from_variable("start_position") || text.trim().parse::<i64>().is_err() => {}
        Some(Json::Number(number)) if !number.is_i64() => {}
        Some(_) => match section.integer("start_position").map(u64::try_from) {
            Some(Ok(seconds)) => return StartPosition::SecondsBack(seconds),
            Some(Err(_)) => {}
            None => return StartPosition::default(),
        },
    }
    let written = written.unwrap_or_default();
    section.problem(
        "start_position",
        &format!("`start_position` is {written}"),
        "write \"beginning\", \"end\", or whole seconds back without quotes, such as 3600",
    );
    StartPosition::default()
}

fn read_endpoint(section: &mut Section) -> Option<String> {
    let key = if section.is_set("endpoint_url") { "endpoint_url" } else { "endpoint" };
    if key == "endpoint_url" && section.is_set("endpoint") {
        section.problem("endpoint", "`endpoint` is another name of `endpoint_url`", "leave one of them out");
    }
    let url = section.text(key)?;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        section.problem(key, &format!("{url:?} is no URL"), "write it like \"https://host:port\"");
    }
    Some(url)
}

fn read_external_id(section: &mut Section) -> Option<String> {
    let external_id = section.text("external_id");
    if external_id.is_some() && !section.is_set("role_arn") {
        section.problem(
            "external_id",
            "`external_id` belongs to a role",
            "name the role with role_arn, or leave external_id out",
        );
    }
    external_id
}

fn read_credentials(section: &mut Section) -> Option<StaticCredentials> {
    let access_key_id = section.text("access_key_id");
    let secret_access_key = section.password("secret_access_key");
    let session_token = section.password("session_token");
    match (access_key_id, secret_access_key) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Some(StaticCredentials { access_key_id, secret_access_key, session_token })
        }
        (None, None) if session_token.is_none() => None,
        _ => {
            section.problem(
                "access_key_id",
                "`access_key_id` and `secret_access_key` belong together",
                "write both, or neither: credentials then come from the environment, a profile or a role",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, problems: &[&str]) -> CloudwatchLogsOptions {
        let mut section = Section::parse(text);
        let options = read_options(&mut section);
        let found = section.into_problems();
        assert_eq!(found.len(), problems.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(problems) {
            assert!(found.contains(expected), "{text}: {found}");
        }
        options
    }

    #[test]
    fn defaults_are_logstashs() {
        let options = check("log_group = \"/a\"", &[]);
        assert_eq!(options.log_group, ["/a"]);
        assert_eq!((options.region.as_str(), options.interval), ("us-east-1", Duration::from_secs(60)));
        assert_eq!(options.start_position, StartPosition::Beginning);
        assert_eq!(options.lookback, Duration::from_secs(3600));
    }

    #[test]
    fn forms() {
        let options = check("log_group = [\"/a\", \"/b\"]\nstart_position = 3600\ninterval = 5", &[]);
        assert_eq!(options.start_position, StartPosition::SecondsBack(3600));
        assert_eq!(options.interval, Duration::from_secs(5));
        let options =
            check("log_group = \"/a\"\nendpoint = \"http://127.0.0.1:5000\"\nstart_position = \"end\"", &[]);
        assert_eq!(options.endpoint_url.as_deref(), Some("http://127.0.0.1:5000"));
        assert_eq!(options.start_position, StartPosition::End);
    }

    #[test]
    fn mistakes_are_told() {
        check("", &["log_group"]);
        check("log_group = [\"/a\", \"/a\"]", &["twice"]);
        check("log_group = \"/a\"\nstart_position = \"start\"", &["\"beginning\""]);
        check("log_group = \"/a\"\nstart_position = -5", &["whole seconds back"]);
        check("log_group = \"/a\"\nstart_position = 5.5", &["whole seconds back"]);
        check("log_group = \"/a\"\nstart_position = \"3600\"", &["without quotes"]);
        check("log_group = \"/a\"\naccess_key_id = \"x\"", &["belong together"]);
        check("log_group = [\"/a\", \"/b\"]\nsource_id = \"x\"", &["source_id"]);
        check("log_group = \"/a\"\nendpoint_url = \"host:80\"", &["no URL"]);
        check(
            "log_group = \"/a\"\nlookback = \"20d\"\nrequests_per_second = 0",
            &["14 days", "out of range"],
        );
        check("log_group = \"/a\"\nloockback = 5", &["lookback"]);
        check("log_group = \"/a\"\nexternal_id = \"x\"", &["role_arn"]);
    }
}
