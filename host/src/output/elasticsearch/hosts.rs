//! Where the servers are: Logstash's rules for `hosts`, `path`, `parameters`, `bulk_path`, `healthcheck_path`, `cloud_id`
//! and `ssl_enabled`. Nothing is connected to here.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::Section;

/// What is asked of every bulk answer: no more than is looked at.
const BULK_FILTER: &str = "filter_path=errors,items.*.error,items.*.status";

/// The servers, and the paths of requests to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// At least one.
    pub addresses: Vec<Address>,
    /// What `path` names, with a slash at both ends: all paths but explicit ones lie below it.
    pub root_path: String,
    /// Of bulk requests, with their query.
    pub bulk_path: String,
    /// Of the request that tells whether a server lives.
    pub healthcheck_path: String,
}

/// One server.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether it speaks https.
    pub tls: bool,
    /// The name and password that stood in the URL.
    pub credentials: Option<(String, String)>,
    /// Its name or address (an IPv6 address in brackets).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path in the URL, or that of the option `path`; starts with a slash.
    pub path: String,
    /// Whether the path stood in the URL: then it goes before explicit paths too.
    pub path_in_url: bool,
    /// The query of the URL and `parameters`: goes with every request.
    pub query: String,
}

impl Address {
    /// The URL of a request for a path that may have a query.
    pub fn request_url(&self, path_and_query: &str) -> String {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let path =
            if self.path_in_url { one_slash(&format!("{}/{path}", self.path)) } else { path.to_owned() };
        let queries: Vec<&str> =
            [self.query.as_str(), query].into_iter().filter(|part| !part.is_empty()).collect();
        let mark = if queries.is_empty() { "" } else { "?" };
        format!("{self}{path}{mark}{}", queries.join("&"))
    }
}

/// Scheme, host and port: what may be shown in a log.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "https" } else { "http" }, self.host, self.port)
    }
}

/// Without what is secret.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}{}", self.path)
    }
}

/// Reads the options from the output's section.
pub(super) fn read_hosts(section: &mut Section) -> Hosts {
    let path = section.text("path").filter(|path| !path.trim_matches('/').is_empty());
    let ssl_enabled = section.boolean("ssl_enabled");
    let mut query_of_parameters = Vec::new();
    for (name, value) in section.map("parameters") {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        query_of_parameters.push(format!("{}={}", percent_encoded(&name), percent_encoded(&value)));
    }
    let query_of_parameters = query_of_parameters.join("&");

    let written = match section.text("cloud_id") {
        Some(cloud_id) => {
            if section.is_set("hosts") {
                section.problem(
                    "cloud_id",
                    "`cloud_id` and `hosts` both name the servers",
                    "remove one of them",
                );
            }
            match host_of_cloud_id(&cloud_id) {
                Some(host) => vec![host],
                None => {
                    let fix = "it is a name, a colon and base64 text; copy it from the deployment's page";
                    section.problem("cloud_id", "`cloud_id` cannot be read", fix);
                    Vec::new()
                }
            }
        }
        None if section.is_set("hosts") => section.required_texts("hosts"),
        None => vec!["127.0.0.1".to_owned()],
    };
    let mut parsed = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match parse_host(text) {
            Ok(host) => parsed.push(host),
            Err(message) => {
                let fix = "write a host, host:port, or a URL such as https://host:9200";
                section.element_problem("hosts", index, &message, fix);
            }
        }
    }

    let tls = ssl_enabled == Some(true) || parsed.iter().any(|host| host.tls == Some(true));
    if tls && parsed.first().is_some_and(|host| host.tls == Some(false)) {
        section.problem("hosts", "http and https are mixed", "write https:// for all hosts, or for none");
    }
    let port = parsed.first().and_then(|host| host.port).unwrap_or(9200);
    let root_path = path.as_deref().map_or_else(|| "/".to_owned(), |path| one_slash(&format!("/{path}/")));
    let mut addresses = Vec::new();
    for (index, host) in parsed.into_iter().enumerate() {
        let path_in_url = !host.path.trim_matches('/').is_empty();
        if path_in_url && path.is_some() && one_slash(&format!("{}/", host.path)) != root_path {
            let message = "a host's URL has a path, and `path` is another";
            section.element_problem("hosts", index, message, "keep one of them");
        }
        let queries: Vec<&str> =
            [host.query.as_str(), &query_of_parameters].into_iter().filter(|part| !part.is_empty()).collect();
        addresses.push(Address {
            tls,
            credentials: host.credentials,
            host: host.name,
            port: host.port.unwrap_or(port),
            path: if path_in_url { host.path } else { root_path.clone() },
            path_in_url: path_in_url && path.is_none(),
            query: queries.join("&"),
        });
    }

    let path = path.unwrap_or_default();
    let explicit = |text: Option<String>| text.map(|text| one_slash(&format!("/{text}")));
    let bulk_path =
        explicit(section.text("bulk_path")).unwrap_or_else(|| one_slash(&format!("/{path}/_bulk")));
    let bulk_path = match bulk_path.split_once('?') {
        Some((_, query)) if query.split('&').any(|part| part.starts_with("filter_path=")) => bulk_path,
        Some(_) => format!("{bulk_path}&{BULK_FILTER}"),
        None => format!("{bulk_path}?{BULK_FILTER}"),
    };
    let healthcheck_path =
        explicit(section.text("healthcheck_path")).unwrap_or_else(|| one_slash(&format!("/{path}")));
    Hosts { addresses, root_path, bulk_path, healthcheck_path }
}

struct WrittenHost {
    tls: Option<bool>,
    credentials: Option<(String, String)>,
    name: String,
    port: Option<u16>,
    path: String,
    query: String,
}

fn parse_host(text: &str) -> Result<WrittenHost, String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text.strip_prefix("//").unwrap_or(text)),
    };
    let tls = match scheme {
        None => None,
        Some("http") => Some(false),
        Some("https") => Some(true),
        Some(other) => return Err(format!("the scheme {other:?} of a host is not http or https")),
    };
    let (authority, path_and_query) = match rest.find(['/', '?', '#']) {
        Some(place) => rest.split_at(place),
        None => (rest, ""),
    };
    let path_and_query = path_and_query.split('#').next().unwrap_or_default();
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let (credentials, host_and_port) = match authority.rsplit_once('@') {
        None => (None, authority),
        Some((credentials, host)) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            (Some((percent_decoded(user), percent_decoded(password))), host)
        }
    };
    let (name, port) = if let Some(end) = host_and_port.strip_prefix('[').and_then(|rest| rest.find(']')) {
        let (name, rest) = host_and_port.split_at(end + 2);
        if name[1..name.len() - 1].parse::<std::net::Ipv6Addr>().is_err() {
            return Err(format!("{name} is no IPv6 address"));
        }
        match rest.strip_prefix(':') {
            None if rest.is_empty() => (name, None),
            None => return Err(format!("{host_and_port:?} is no host")),
            Some(port) => (name, Some(port)),
        }
    } else {
        match host_and_port.split_once(':') {
            None => (host_and_port, None),
            Some((name, port)) => (name, Some(port)),
        }
    };
    let allowed =
        |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_' | '[' | ']' | ':');
    if name.is_empty() || !name.chars().all(allowed) {
        return Err("a host has no name, or one with letters that no host name has".to_owned());
    }
    let port = match port {
        None => None,
        Some(port) => {
            Some(port.parse::<u16>().ok().filter(|port| *port != 0).ok_or(format!("{port:?} is no port"))?)
        }
    };
    Ok(WrittenHost {
        tls,
        credentials,
        name: name.to_owned(),
        port,
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        query: query.to_owned(),
    })
}

/// A cloud id is `label:base64("host[:port]$elasticsearch[:port]$kibana…")`.
fn host_of_cloud_id(cloud_id: &str) -> Option<String> {
    let encoded = cloud_id.rsplit_once(':').map_or(cloud_id, |(_, encoded)| encoded);
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let mut parts = decoded.split('$');
    let (host, elasticsearch) = (parts.next()?, parts.next()?);
    let (host, host_port) = host.split_once(':').unwrap_or((host, "443"));
    let (elasticsearch, port) = elasticsearch.split_once(':').unwrap_or((elasticsearch, host_port));
    if host.is_empty() || elasticsearch.is_empty() {
        return None;
    }
    Some(format!("https://{elasticsearch}.{host}:{port}"))
}

fn one_slash(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter != '/' || !out.ends_with('/') {
            out.push(letter);
        }
    }
    out
}

/// Text as it may stand in a path or query: all but the unreserved letters of RFC 3986 as `%XX`.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten();
        let code = code
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Hosts, Vec<String>) {
        let mut section = Section::parse(text);
        let hosts = read_hosts(&mut section);
        (hosts, section.into_problems())
    }

    fn check_url(text: &str, path: &str, expected: &str) {
        let (hosts, problems) = read(text);
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        assert_eq!(hosts.addresses[0].request_url(path), expected, "{text}");
    }

    #[test]
    fn urls_of_requests() {
        check_url("", "/_bulk?a=b", "http://127.0.0.1:9200/_bulk?a=b");
        check_url(r#"hosts = ["https://h:443/p/"]"#, "/_bulk", "https://h:443/p/_bulk");
        check_url("hosts = [\"h\"]\npath = \"/p/\"", "/p/_bulk", "http://h:9200/p/_bulk");
        check_url(
            "hosts = [\"http://h:80/p?x=y\"]\nparameters = { id = 1 }",
            "/_bulk?a=b",
            "http://h:80/p/_bulk?x=y&id=1&a=b",
        );
        check_url(r#"cloud_id = "d:ZXhhbXBsZS5jb20kYWJjJGRlZg==""#, "/", "https://abc.example.com:443/");
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let (hosts, _) = read(r#"hosts = ["https://u%40x:p%3Aq@h"]"#);
        assert_eq!(hosts.addresses[0].credentials, Some(("u@x".into(), "p:q".into())));
        assert_eq!(
            format!("{:?} {}", hosts.addresses[0], hosts.addresses[0]),
            "https://h:9200/ https://h:9200"
        );
    }

    #[test]
    fn mistakes_are_refused() {
        for text in [
            r#"hosts = ["ftp://h"]"#,
            r#"hosts = ["h:99999"]"#,
            r#"hosts = ["h:0"]"#,
            r#"hosts = [""]"#,
            r#"hosts = ["a b"]"#,
            r#"hosts = ["[::x]:1"]"#,
            r#"hosts = ["http://a", "https://b"]"#,
            r#"cloud_id = "d:e""#,
            "hosts = [\"http://h/a\"]\npath = \"/b\"",
        ] {
            assert_eq!(read(text).1.len(), 1, "{text}");
        }
    }
}
