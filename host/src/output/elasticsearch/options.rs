//! The options of `elasticsearch`: Logstash's names and meaning. Reading them opens nothing; what cannot work together is
//! refused here.

use std::path::PathBuf;
use std::time::Duration;

use super::actions::{ActionOptions, read_actions};
use super::auth::{AuthOptions, read_auth};
use super::foreign::judge_foreign;
use super::hosts::{Hosts, read_hosts};
use super::response::OutcomeRules;
use crate::config::Section;
use crate::output::RetryWaits;

/// How large a bulk request may be, uncompressed, unless `bulk_bytes` says so (Logstash's fixed size).
const BULK_BYTES: u64 = 20 << 20;

/// The options of one output.
#[derive(Clone, Debug)]
pub struct ElasticsearchOptions {
    /// Where the servers are.
    pub hosts: Hosts,
    /// Who asks.
    pub auth: AuthOptions,
    /// How servers are trusted.
    pub tls: TlsOptions,
    /// Headers that go with every request.
    pub custom_headers: Vec<(String, String)>,
    /// The URL of a proxy.
    pub proxy: Option<String>,
    /// The longest that a request may take.
    pub timeout: Duration,
    /// How often a dead server is looked at.
    pub resurrect_delay: Duration,
    /// gzip's level; 0 sends bodies as they are.
    pub compression_level: u32,
    /// The largest body of a bulk request, uncompressed.
    pub bulk_bytes: usize,
    /// The waits between tries.
    pub waits: RetryWaits,
    /// What becomes of an item by its status.
    pub outcomes: OutcomeRules,
    /// What is done with an event.
    pub actions: ActionOptions,
    /// The index template.
    pub template: TemplateOptions,
}

impl ElasticsearchOptions {
    /// Whether the server is a serverless collection of AWS, which answers less than others.
    pub fn is_serverless(&self) -> bool {
        matches!(&self.auth, AuthOptions::SigV4(options) if options.service == "aoss")
    }
}

/// How servers are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// A file of certificates (PEM) that alone are trusted.
    pub authority: Option<PathBuf>,
    /// Whether certificates and host names are checked at all.
    pub verify: bool,
    /// A certificate and its key (PEM) that the server asks for.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The index template that is put before the first document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateOptions {
    /// Its file; `None` where none is put.
    pub file: Option<PathBuf>,
    /// Its name; the pipeline's where it has none.
    pub name: Option<String>,
    /// Whether one that is there already is replaced.
    pub overwrite: bool,
    /// The API that it is put with; by the file's form where it is not said.
    pub api: Option<TemplateApi>,
}

/// The two kinds of index templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateApi {
    /// `_template`.
    Legacy,
    /// `_index_template`: Elasticsearch 7.8 and later, OpenSearch.
    Composable,
}

/// Reads the options from the output's section. `ecs_compatibility` is the pipeline's, which the output's own goes before.
pub fn read_options(section: &mut Section, ecs_compatibility: &str) -> ElasticsearchOptions {
    let hosts = read_hosts(section);
    let uses_tls = hosts.addresses.iter().any(|address| address.tls);
    let auth = read_auth(section, uses_tls);
    let tls = read_tls(section);
    judge_foreign(section);
    let mut custom_headers = Vec::new();
    for (name, value) in section.map("custom_headers") {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err()
            || reqwest::header::HeaderValue::from_str(&value).is_err()
        {
            let message = format!("{name:?} with its value is no HTTP header");
            section.problem("custom_headers", &message, "use letters that a header may have");
        }
        custom_headers.push((name, value));
    }
    let mut proxy = section.text("proxy").filter(|proxy| !proxy.is_empty());
    if let Some(url) = &proxy
        && let Err(error) = reqwest::Proxy::all(url)
    {
        section.problem("proxy", &format!("`proxy` is no URL: {error}"), "write it like http://proxy:3128");
        proxy = None;
    }
    let waits = RetryWaits {
        initial: section.duration("retry_initial_interval").unwrap_or(RetryWaits::default().initial),
        max: section.duration("retry_max_interval").unwrap_or(RetryWaits::default().max),
    };
    let bulk_bytes = section.bytes("bulk_bytes").unwrap_or(BULK_BYTES);
    if bulk_bytes == 0 {
        section.problem("bulk_bytes", "`bulk_bytes` is 0", "write it like \"20MiB\"");
    }
    let (actions, template_by_default) = read_actions(section, ecs_compatibility);
    ElasticsearchOptions {
        hosts,
        auth,
        tls,
        custom_headers,
        proxy,
        timeout: section.duration("timeout").unwrap_or(Duration::from_secs(60)),
        resurrect_delay: section.duration("resurrect_delay").unwrap_or(Duration::from_secs(5)),
        compression_level: section.integer_in("compression_level", 0..=9).unwrap_or(0) as u32,
        bulk_bytes: usize::try_from(bulk_bytes).unwrap_or(usize::MAX),
        waits,
        outcomes: read_outcomes(section),
        actions,
        template: read_template(section, template_by_default),
    }
}

fn read_tls(section: &mut Section) -> TlsOptions {
    let authorities = section.texts("ssl_certificate_authorities");
    if authorities.len() > 1 {
        let message = "`ssl_certificate_authorities` names more than one file";
        section.problem("ssl_certificate_authorities", message, "put the certificates into one file");
    }
    let verify = section.one_of("ssl_verification_mode", &["full", "none"]).as_deref() != Some("none");
    let identity = match (section.path("ssl_certificate"), section.path("ssl_key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            section.problem("ssl_certificate", "`ssl_certificate` needs an `ssl_key`", "add ssl_key = \"…\"");
            None
        }
        (None, Some(_)) => {
            section.problem("ssl_key", "`ssl_key` needs an `ssl_certificate`", "add ssl_certificate = \"…\"");
            None
        }
    };
    let authority = authorities.first().map(|path| section.directory().join(path));
    TlsOptions { authority, verify, identity }
}

fn read_outcomes(section: &mut Section) -> OutcomeRules {
    let mut dlq_custom_codes = Vec::new();
    for (index, code) in section.integers("dlq_custom_codes").into_iter().enumerate() {
        match u16::try_from(code) {
            Ok(code) if ![200, 201, 400, 404, 409].contains(&code) => dlq_custom_codes.push(code),
            _ => {
                let message = format!("{code} in `dlq_custom_codes` has a meaning already, or is no status");
                section.element_problem("dlq_custom_codes", index, &message, "remove it");
            }
        }
    }
    if !dlq_custom_codes.is_empty() && section.text("dead_letter").as_deref() == Some("off") {
        let message = "`dlq_custom_codes` needs dead letters, and `dead_letter` is \"off\"";
        section.problem("dlq_custom_codes", message, "remove one of them");
    }
    OutcomeRules {
        dlq_custom_codes,
        drop_error_types: section.texts("drop_error_types"),
        silence_errors_in_log: section.texts("silence_errors_in_log"),
    }
}

fn read_template(section: &mut Section, by_default: bool) -> TemplateOptions {
    let manage = section.boolean_or("manage_template", &[]).map_or(by_default, |text| text == "true");
    let api = match section.one_of("template_api", &["auto", "legacy", "composable"]).as_deref() {
        Some("legacy") => Some(TemplateApi::Legacy),
        Some("composable") => Some(TemplateApi::Composable),
        _ => None,
    };
    let file = section.path("template");
    TemplateOptions {
        file: file.filter(|_| manage),
        name: section.text("template_name"),
        overwrite: section.boolean("template_overwrite").unwrap_or(false),
        api,
    }
}
