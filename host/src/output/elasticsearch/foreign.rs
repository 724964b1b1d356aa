//! Options of Logstash's `elasticsearch` output (12.1.6), and of its forks for AWS and OpenSearch, that weir does not have:
//! each is told by name, with what to write instead, or taken with a warning where nothing is lost without it.

use crate::config::Section;

/// What an option is for is done here by another one, or not at all.
const REFUSED: [(&str, &str); 38] = [
    ("ca_trusted_fingerprint", "name the authority's certificate (PEM) by ssl_certificate_authorities"),
    ("cacert", "its name is ssl_certificate_authorities now"),
    ("ssl", "its name is ssl_enabled now"),
    ("ssl_certificate_verification", "its name is ssl_verification_mode (\"full\", \"none\") now"),
    ("ssl_truststore_path", "name a PEM file by ssl_certificate_authorities"),
    ("ssl_truststore_type", "name a PEM file by ssl_certificate_authorities"),
    ("ssl_truststore_password", "name a PEM file by ssl_certificate_authorities"),
    ("truststore", "name a PEM file by ssl_certificate_authorities"),
    ("truststore_password", "name a PEM file by ssl_certificate_authorities"),
    ("ssl_keystore_path", "name PEM files by ssl_certificate and ssl_key"),
    ("ssl_keystore_type", "name PEM files by ssl_certificate and ssl_key"),
    ("ssl_keystore_password", "name PEM files by ssl_certificate and ssl_key"),
    ("keystore", "name PEM files by ssl_certificate and ssl_key"),
    ("keystore_password", "name PEM files by ssl_certificate and ssl_key"),
    ("ssl_supported_protocols", "remove it: TLS 1.2 and 1.3 are spoken, the newest that the server knows"),
    ("ssl_cipher_suites", "remove it: only suites that count as safe today are used"),
    ("http_compression", "its name is compression_level (0 to 9) now"),
    ("failure_type_logging_whitelist", "its name is silence_errors_in_log now"),
    ("ilm_rollover_alias", "write index = \"<alias>\" and put the policy into the template's settings"),
    ("ilm_policy", "write index = \"<alias>\" and put the policy into the template's settings"),
    ("ilm_pattern", "write index = \"<alias>\" and put the policy into the template's settings"),
    ("auth_type", "write aws_sigv4 = { region = \"…\", service = \"es\" }, or user and password"),
    ("region", "write aws_sigv4 = { region = \"…\" }"),
    ("service_name", "write aws_sigv4 = { region = \"…\", service = \"es\" }"),
    ("aws_access_key_id", AWS_CREDENTIALS),
    ("aws_secret_access_key", AWS_CREDENTIALS),
    ("session_token", AWS_CREDENTIALS),
    ("profile", "write aws_sigv4 = { region = \"…\", profile = \"…\" }"),
    ("instance_profile_credentials_retries", AWS_CREDENTIALS),
    ("instance_profile_credentials_timeout", AWS_CREDENTIALS),
    ("port", "write it into hosts: hosts = [\"https://host:443\"]"),
    ("protocol", "write it into hosts: hosts = [\"https://host:443\"]"),
    ("max_bulk_bytes", "its name is bulk_bytes"),
    ("target_bulk_bytes", "its name is bulk_bytes"),
    ("default_server_major_version", "remove it: the server is asked what it is before the first event"),
    ("legacy_template", "write template_api = \"legacy\" or \"composable\""),
    ("skip_template_installation", "write manage_template = false"),
    ("codec", "remove it: documents are JSON"),
];

const AWS_CREDENTIALS: &str =
    "write aws_sigv4 = { region = \"…\" }; credentials come from the environment, a profile or a role";

/// What an option is for is not needed here, or does nothing without another one.
const WITHOUT_EFFECT: [(&str, &str); 9] = [
    ("sniffing_path", "weir does not look for further servers"),
    ("sniffing_delay", "weir does not look for further servers"),
    ("pool_max", "as many connections are open as requests are under way"),
    ("pool_max_per_route", "as many connections are open as requests are under way"),
    ("validate_after_inactivity", "a request on a connection that was closed is sent again"),
    ("flush_size", "a batch is sent as it comes; see batch_size in [pipeline]"),
    ("idle_flush_time", "a batch is sent as it comes; see batch_delay in [pipeline]"),
    ("skip_healthcheck", "only servers that did not answer are looked at"),
    ("enable_metric", "everything is counted"),
];

/// Tells of every option in the section that weir does not have.
pub(super) fn judge_foreign(section: &mut Section) {
    for (key, fix) in REFUSED {
        if section.is_set(key) {
            section.problem(key, &format!("weir has no option `{key}`"), fix);
        }
    }
    for (key, reason) in WITHOUT_EFFECT {
        if section.is_set(key) {
            section.warning(key, &format!("`{key}` has no effect: {reason}"), "leave it out");
        }
    }
    if section.boolean_or("sniffing", &[]).as_deref() == Some("true") {
        section.problem("sniffing", "weir does not look for further servers", "list them in hosts");
    }
    let lifecycle = section.boolean_or("ilm_enabled", &["auto"]);
    // With an index of one's own, Logstash's `auto` means no.
    let is_used = match lifecycle.as_deref() {
        Some("true") => true,
        Some("auto") => !section.is_set("index"),
        _ => false,
    };
    if is_used {
        let fix = "write ilm_enabled = false, index = \"<the write alias>\", and name the policy in the template: \
                   settings.index.lifecycle.name and .rollover_alias";
        section.problem("ilm_enabled", "weir does not set up index lifecycle management", fix);
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::read_options;
    use crate::config::Section;

    /// Every option of Logstash's output 12.1.6 with a value that it takes, and whether weir takes it.
    const OPTIONS: &[(&str, &[&str])] = &[
        (
            "taken",
            &[
                "hosts = [\"h\"]",
                "cloud_id = \"d:ZXhhbXBsZS5jb20kYWJjJGRlZg==\"",
                "index = \"i\"",
                "action = \"index\"",
                "document_id = \"%{a}\"",
                "routing = \"r\"",
                "pipeline = \"p\"",
                "version = 1",
                "version_type = \"force\"",
                "document_type = \"t\"",
                "upsert = \"{}\"",
                "doc_as_upsert = true",
                "scripted_upsert = true",
                "action = \"update\"\ndocument_id = \"1\"\nscript = \"x\"\nscript_type = \"inline\"\nscript_lang = \"l\"\nscript_var_name = \"e\"",
                "retry_on_conflict = 3",
                "manage_template = true",
                "template = \"t.json\"",
                "template_name = \"t\"",
                "template_overwrite = true",
                "template_api = \"legacy\"",
                "ilm_enabled = false",
                "ilm_enabled = \"auto\"\nindex = \"i\"",
                "data_stream = false",
                "data_stream = \"auto\"",
                "data_stream = true\necs_compatibility = \"v8\"\ndata_stream_type = \"logs\"\ndata_stream_dataset = \"d\"\ndata_stream_namespace = \"n\"\ndata_stream_auto_routing = true\ndata_stream_sync_fields = true",
                "user = \"u\"\npassword = \"p\"",
                "cloud_auth = \"u:p\"",
                "api_key = \"a:b\"\nssl_enabled = true",
                "ssl_verification_mode = \"full\"",
                "ssl_certificate_authorities = [\"c.pem\"]",
                "ssl_certificate = \"c.pem\"\nssl_key = \"k.pem\"",
                "path = \"/p\"",
                "bulk_path = \"/b\"",
                "healthcheck_path = \"/h\"",
                "parameters = { a = 1 }",
                "custom_headers = { X-A = \"b\" }",
                "proxy = \"http://p:3128\"",
                "proxy = \"\"",
                "sniffing = false",
                "timeout = 60",
                "resurrect_delay = 5",
                "compression_level = 1",
                "retry_initial_interval = 2",
                "retry_max_interval = 64",
                "dlq_custom_codes = [403]",
                "dlq_on_failed_indexname_interpolation = false",
                "drop_error_types = [\"x\"]",
                "silence_errors_in_log = [\"x\"]",
                "ecs_compatibility = \"disabled\"",
                "parent = \"p\"\njoin_field = \"j\"",
            ],
        ),
        (
            "warned of",
            &[
                "parent = \"p\"",
                "join_field = \"j\"",
                "script = \"x\"",
                "sniffing_path = \"/s\"",
                "sniffing_delay = 5",
                "pool_max = 9",
                "pool_max_per_route = 9",
                "validate_after_inactivity = 9",
                "enable_metric = true",
            ],
        ),
        (
            "refused",
            &[
                "sniffing = true",
                "ilm_enabled = true",
                "ilm_enabled = \"auto\"",
                "ilm_rollover_alias = \"a\"",
                "ilm_pattern = \"a\"",
                "ilm_policy = \"a\"",
                "ssl_truststore_path = \"a\"",
                "ssl_truststore_type = \"jks\"",
                "ssl_truststore_password = \"a\"",
                "ssl_keystore_path = \"a\"",
                "ssl_keystore_type = \"jks\"",
                "ssl_keystore_password = \"a\"",
                "ssl_supported_protocols = [\"TLSv1.2\"]",
                "ssl_cipher_suites = [\"a\"]",
                "ca_trusted_fingerprint = [\"a\"]",
                "http_compression = true",
                "failure_type_logging_whitelist = [\"a\"]",
                "ssl = true",
                "ssl_certificate_verification = false",
                "cacert = \"a\"",
                "truststore = \"a\"",
                "truststore_password = \"a\"",
                "keystore = \"a\"",
                "keystore_password = \"a\"",
                "codec = \"json\"",
            ],
        ),
    ];

    #[test]
    fn every_option_of_logstash_is_taken_or_told_what_to_write_instead() {
        for (expected, options) in OPTIONS {
            for option in *options {
                let mut section = Section::parse(option);
                read_options(&mut section, "disabled");
                let problems = section.into_problems();
                match *expected {
                    "taken" => assert_eq!(problems, Vec::<String>::new(), "{option}"),
                    _ => assert_eq!(problems.len(), 1, "{option}: {problems:?}"),
                }
                for problem in problems {
                    assert!(!problem.contains("unknown key"), "{option}: {problem}");
                    let has_no_effect = problem.contains("no effect") || problem.contains("no longer");
                    assert_eq!(has_no_effect, *expected == "warned of", "{option}: {problem}");
                    assert!(problem.ends_with(')') && !problem.ends_with("()"), "{option}: {problem}");
                }
            }
        }
    }
}
