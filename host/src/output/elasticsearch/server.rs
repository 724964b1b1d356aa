//! What is done once, before the first document: asking which server it is, and putting the index template. An unreachable
//! or refusing server is waited for; a server or template that can never work is an error.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use reqwest::Method;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::client::{Client, Payload};
use super::hosts::percent_encoded;
use super::options::TemplateApi;
use super::response::shortened;
use crate::output::retry::Retry;

/// Which server it is, as far as requests depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Whether it is OpenSearch and not Elasticsearch.
    pub is_opensearch: bool,
    /// The numbers of its version before and after the first dot.
    pub version: (u32, u32),
}

/// A template read from its file.
pub(super) struct IndexTemplate {
    /// The path of its requests, such as `/_template/route53`.
    pub path: String,
    /// The API that it is for.
    pub api: TemplateApi,
    /// The file's text.
    pub body: Bytes,
    /// Whether one that is there is replaced.
    pub overwrite: bool,
}

/// Asks a server until it answers which one it is.
///
/// # Errors
/// When it is none that weir can write to, or a stop was asked for.
pub(super) async fn find_server(client: &Client, root_path: &str, retry: &mut Retry<'_>) -> Result<Server> {
    loop {
        let reason = match client.request(Method::GET, root_path, &Payload::default()).await {
            Err(error) => format!("{error:#}; is it running, and is `hosts` right?"),
            Ok(answer) if !answer.is_success() => answer.problem(),
            Ok(answer) => match parse_server(&answer.body) {
                Some(server) => {
                    refuse_old(&server)?;
                    return Ok(server);
                }
                None => format!(
                    "{} is no Elasticsearch or OpenSearch: it says {}",
                    answer.from,
                    shortened(&String::from_utf8_lossy(&answer.body))
                ),
            },
        };
        retry.wait(&reason).await?;
    }
}

fn parse_server(body: &[u8]) -> Option<Server> {
    let json: Json = serde_json::from_slice(body).ok()?;
    let version = &json["version"];
    let mut numbers = version["number"].as_str()?.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    let major = numbers.next()??;
    let minor = numbers.next().flatten().unwrap_or(0);
    let is_opensearch = version["distribution"].as_str() == Some("opensearch");
    Some(Server { is_opensearch, version: (major, minor) })
}

fn refuse_old(server: &Server) -> Result<()> {
    if !server.is_opensearch && server.version < (7, 0) {
        let (major, minor) = server.version;
        bail!("the server is Elasticsearch {major}.{minor}; weir writes to 7.0 and later, and to OpenSearch");
    }
    Ok(())
}

/// Reads a template's file. Its form says which API it is for, unless an option does: the newer form has its settings and
/// mappings in `template`.
///
/// # Errors
/// When it cannot be read or is no JSON object.
pub(super) fn read_index_template(
    file: &Path,
    name: &str,
    api: Option<TemplateApi>,
    overwrite: bool,
    root_path: &str,
) -> Result<IndexTemplate> {
    let text = std::fs::read(file).with_context(|| format!("cannot read the template {}", file.display()))?;
    let json: Json = serde_json::from_slice(&text)
        .with_context(|| format!("the template {} is no JSON", file.display()))?;
    if !json.is_object() {
        bail!("the template {} is no JSON object", file.display());
    }
    let has_newer_form =
        json.get("template").is_some_and(Json::is_object) || json.get("composed_of").is_some();
    let api = api.unwrap_or(if has_newer_form { TemplateApi::Composable } else { TemplateApi::Legacy });
    let kind = match api {
        TemplateApi::Legacy => "_template",
        TemplateApi::Composable => "_index_template",
    };
    let path = format!("{root_path}{kind}/{}", percent_encoded(name));
    Ok(IndexTemplate { path, api, body: text.into(), overwrite })
}

/// Puts a template, unless it is there and not to be replaced.
///
/// # Errors
/// When the server takes it for wrong or does not know such templates, or a stop was asked for.
pub(super) async fn put_template(
    client: &Client,
    server: &Server,
    template: &IndexTemplate,
    retry: &mut Retry<'_>,
) -> Result<()> {
    if template.api == TemplateApi::Composable && !server.is_opensearch && server.version < (7, 8) {
        let (major, minor) = server.version;
        bail!(
            "the template has the form of `_index_template`, which Elasticsearch {major}.{minor} does not know; write \
             `index_patterns`, `settings` and `mappings` at its top level"
        );
    }
    if !template.overwrite && is_there(client, template, retry).await? {
        return Ok(());
    }
    let payload = plain_payload(template.body.clone(), client.signs());
    loop {
        let reason = match client.request(Method::PUT, &template.path, &payload).await {
            Err(error) => format!("{error:#}"),
            Ok(answer) if answer.is_success() => return Ok(()),
            Ok(answer) if answer.status == 400 => bail!("the template was refused: {}", answer.problem()),
            Ok(answer) => format!("putting the template: {}", answer.problem()),
        };
        retry.wait(&reason).await?;
    }
}

async fn is_there(client: &Client, template: &IndexTemplate, retry: &mut Retry<'_>) -> Result<bool> {
    loop {
        let reason = match client.request(Method::HEAD, &template.path, &Payload::default()).await {
            Err(error) => format!("{error:#}"),
            Ok(answer) if answer.is_success() => return Ok(true),
            Ok(answer) if answer.status == 404 => return Ok(false),
            Ok(answer) => format!("looking for the template: {}", answer.problem()),
        };
        retry.wait(&reason).await?;
    }
}

/// A body that is sent as it is.
pub(super) fn plain_payload(bytes: Bytes, with_hash: bool) -> Payload {
    let sha256 = with_hash.then(|| hexadecimal_sha256(&bytes));
    Payload { bytes, is_gzip: false, sha256 }
}

/// The SHA-256 of a body, as signatures have it.
pub(super) fn hexadecimal_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_server(body: &str, expected: Option<(bool, (u32, u32))>) {
        let server = parse_server(body.as_bytes()).map(|server| (server.is_opensearch, server.version));
        assert_eq!(server, expected, "{body}");
    }

    #[test]
    fn servers_are_told_apart() {
        check_server(r#"{"version":{"number":"7.1.1","build_flavor":"oss"}}"#, Some((false, (7, 1))));
        check_server(r#"{"version":{"number":"9.0.0-beta1"}}"#, Some((false, (9, 0))));
        check_server(r#"{"version":{"distribution":"opensearch","number":"2.19.6"}}"#, Some((true, (2, 19))));
        check_server(r#"{"version":{"number":7}}"#, None);
        check_server("<html>", None);
        assert!(refuse_old(&Server { is_opensearch: false, version: (6, 8) }).is_err());
        assert!(refuse_old(&Server { is_opensearch: true, version: (1, 0) }).is_ok());
    }

    #[test]
    fn the_form_of_a_template_says_its_api() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("t.json");
        let check = |text: &str, api: Option<TemplateApi>, expected: Option<&str>| {
            std::fs::write(&file, text).expect("it can be written");
            let template = read_index_template(&file, "a b", api, false, "/p/");
            assert_eq!(template.ok().map(|template| template.path).as_deref(), expected, "{text}");
        };
        check(r#"{"index_patterns":["a-*"],"mappings":{}}"#, None, Some("/p/_template/a%20b"));
        check(r#"{"template":"a-*","mappings":{}}"#, None, Some("/p/_template/a%20b"));
        check(r#"{"index_patterns":["a-*"],"template":{}}"#, None, Some("/p/_index_template/a%20b"));
        check("{}", Some(TemplateApi::Composable), Some("/p/_index_template/a%20b"));
        check("[]", None, None);
        check("{", None, None);
    }
}
