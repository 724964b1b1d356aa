//! Where the servers are: Logstash's rules for `hosts`, `path`, `parameters`, `bulk_path`, `healthcheck_path`, `cloud_id`
//! and `ssl_enabled`. Nothing is connected to here.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

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
    let parameters = section.map("parameters");

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
    // What the first host has in its URL holds for those that have nothing there.
    let first_credentials = parsed.first().and_then(|host| host.credentials.clone());
    let first_path = parsed.first().map(|host| host.path.clone()).unwrap_or_default();
    check_credentials(section, first_credentials.as_ref());
    for (index, mut host) in parsed.into_iter().enumerate() {
        if host.path.trim_matches('/').is_empty() && path.is_none() {
            host.path.clone_from(&first_path);
        }
        let path_in_url = !host.path.trim_matches('/').is_empty();
        if path_in_url && path.is_some() && one_slash(&format!("{}/", host.path)) != root_path {
            let message = "a host's URL has a path, and `path` is another";
            section.element_problem("hosts", index, message, "keep one of them");
        }
        addresses.push(Address {
            tls,
            credentials: host.credentials.or_else(|| first_credentials.clone()),
            host: host.name,
            port: host.port.unwrap_or(port),
            path: if path_in_url { host.path } else { root_path.clone() },
            path_in_url: path_in_url && path.is_none(),
            query: query_with(&host.query, &parameters),
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
            // As in Logstash: a name alone is nobody, and a password ends at its colon (`%3A` is one within it).
            let mut parts = credentials.split(':');
            let user = parts.next().unwrap_or_default();
            (parts.next().map(|password| (form_decoded(user), form_decoded(password))), host)
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

/// `user` and `password` beside others in the first host's URL say two things.
fn check_credentials(section: &mut Section, in_url: Option<&(String, String)>) {
    let Some((user, password)) = in_url else { return };
    for (key, in_url) in [("user", user), ("password", password)] {
        if section.text(key).is_some_and(|text| text != *in_url) {
            let message = format!("`{key}` differs from what stands in the URL of a host");
            section.problem(key, &message, "keep one of them");
        }
    }
}

/// A URL's query with the parameters, which go before those of the same name in it. They are taken as they are written,
/// but for what no URL can hold.
fn query_with(query: &str, parameters: &[(String, Json)]) -> String {
    let mut left: Vec<&(String, Json)> = parameters.iter().collect();
    let mut parts = Vec::new();
    let mut add = |(name, value): &(String, Json)| {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs = values.iter().map(|value| query_encoded(&format!("{name}={}", text(value))));
        pairs.collect::<Vec<_>>().join("&")
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = form_decoded(pair.split('=').next().unwrap_or_default());
        match parameters.iter().find(|(parameter, _)| *parameter == name) {
            None => parts.push(pair.to_owned()),
            Some(parameter) => {
                if let Some(place) = left.iter().position(|(other, _)| *other == name) {
                    left.remove(place);
                    parts.push(add(parameter));
                }
            }
        }
    }
    parts.extend(left.into_iter().map(&mut add));
    parts.join("&")
}

/// Letters that no query can hold as `%XX`; what is encoded already stays.
fn query_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `%XX`, and a plus for a space: how Logstash's client reads names and passwords in URLs.
fn form_decoded(text: &str) -> String {
    percent_decoded(&text.replace('+', " "))
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
    fn what_the_first_host_has_holds_for_the_others() {
        let (hosts, _) = read("hosts = [\"http://u:p@a:1/x\", \"b\", \"http://v:w:z@c/y\", \"http://v@d\"]");
        let seen: Vec<String> = hosts
            .addresses
            .iter()
            .map(|address| format!("{address}{} {:?}", address.path, address.credentials.as_ref().unwrap()))
            .collect();
        let expected = [
            r#"http://a:1/x ("u", "p")"#,
            r#"http://b:1/x ("u", "p")"#,
            r#"http://c:1/y ("v", "w")"#,
            r#"http://d:1/x ("u", "p")"#,
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn parameters_go_before_those_of_the_url() {
        let parameters = [("a".to_owned(), serde_json::json!(["1", 2])), ("c".to_owned(), "x,y z".into())];
        assert_eq!(query_with("b=%20&a=0", &parameters), "b=%20&a=1&a=2&c=x,y%20z");
        assert_eq!(query_with("", &parameters[1..]), "c=x,y%20z");
        assert_eq!(query_with("b=1", &[]), "b=1");
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
            "hosts = [\"http://u:p@h\"]\nuser = \"v\"",
        ] {
            assert_eq!(read(text).1.len(), 1, "{text}");
        }
    }
}
