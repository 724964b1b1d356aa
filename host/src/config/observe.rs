//! `[observe]`: where the figures of the running pipeline can be asked for. Serving them is left to `observe`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::section::Section;

/// Where the figures of the running pipeline can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObserveConfig {
    /// The address of the HTTP server; `None`: there is none. Port 0 takes a free one.
    pub listen: Option<SocketAddr>,
}

/// Reads the section. What is served has no password: an address that other machines reach needs a word more.
pub(super) fn read_observe(section: &mut Section) -> ObserveConfig {
    let allow_remote = section.boolean("allow_remote").unwrap_or(false);
    let listen = section.text("listen");
    if listen.is_none() && !section.is_set("listen") {
        section.require("listen");
    }
    let Some(text) = listen else { return ObserveConfig::default() };
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        None => text.parse().ok(),
    };
    let Some(address) = address else {
        let message = format!("`listen` is no address with a port: {text:?}");
        section.problem("listen", &message, "write it like \"127.0.0.1:9600\" or \"[::1]:9600\"");
        return ObserveConfig::default();
    };
    if !address.ip().is_loopback() && !allow_remote {
        section.problem(
            "listen",
            &format!(
                "{address} can be reached from other machines, and what is served there has no password"
            ),
            "write \"127.0.0.1:…\", or allow_remote = true if that is meant",
        );
    }
    ObserveConfig { listen: Some(address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, listen: Option<&str>, problems: &[&str]) {
        let mut section = Section::parse(text);
        let config = read_observe(&mut section);
        assert_eq!(config.listen.map(|address| address.to_string()).as_deref(), listen, "{text}");
        let found = section.into_problems();
        assert_eq!(found.len(), problems.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(problems) {
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn only_loopback_unless_it_is_said() {
        check("listen = \"127.0.0.1:9600\"", Some("127.0.0.1:9600"), &[]);
        check("listen = \"localhost:0\"", Some("127.0.0.1:0"), &[]);
        check("listen = \"[::1]:9600\"", Some("[::1]:9600"), &[]);
        check("listen = \"0.0.0.0:9600\"", Some("0.0.0.0:9600"), &["allow_remote = true"]);
        check("listen = \"192.0.2.1:9600\"\nallow_remote = true", Some("192.0.2.1:9600"), &[]);
        check("listen = \"9600\"", None, &["no address with a port"]);
        check("listen = \"localhost:99999\"", None, &["no address with a port"]);
        check("allow_remote = true", None, &["`listen` is missing"]);
    }
}
