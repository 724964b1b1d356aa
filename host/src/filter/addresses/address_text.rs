//! Addresses as text: read as the JVM reads literal addresses (Logstash's geoip takes what `InetAddress.getByName` does;
//! names are not looked up), and written in the form that Logstash writes.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest text that is looked at: `[`, eight groups with an IPv4 address at the end, a zone, `]`, and some zeros.
pub(super) const LONGEST: usize = 80;

/// An address as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    /// The number of the zone of an IPv6 address, `%1`. Zones with names are those of the machine that wrote them, and
    /// are not read.
    zone: Option<u32>,
}

/// The address, or `None` for any other text. An IPv4 address mapped into IPv6 is an IPv4 address.
pub(super) fn parse(text: &str) -> Option<Address> {
    let inner = match text.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if text.contains(':') => text,
        None => return parse_v4(text).map(|ip| Address { ip: IpAddr::V4(ip), zone: None }),
    };
    let Some((address, zone)) = inner.split_once('%') else {
        return parse_v6(inner).map(|ip| Address { ip, zone: None });
    };
    let digits = zone.bytes().all(|byte| byte.is_ascii_digit());
    let zone = zone.parse::<i32>().ok().filter(|_| digits)?;
    let ip = parse_v6(address).filter(IpAddr::is_ipv6)?;
    Some(Address { ip, zone: u32::try_from(zone).ok() })
}

/// The address with its zone.
pub(super) fn write_address(address: Address, out: &mut String) {
    write(address.ip, out);
    if let Some(zone) = address.zone {
        // Writing to a String cannot fail.
        let _ = write!(out, "%{zone}");
    }
}

/// Eight groups in lower case without leading zeros for IPv6, never `::`.
pub(super) fn write(address: IpAddr, out: &mut String) {
    // Writing to a String cannot fail.
    match address {
        IpAddr::V4(address) => {
            let _ = write!(out, "{address}");
        }
        IpAddr::V6(address) => {
            for (number, group) in address.segments().into_iter().enumerate() {
                let colon = if number == 0 { "" } else { ":" };
                let _ = write!(out, "{colon}{group:x}");
            }
        }
    }
}

/// One to four decimal parts; the last one fills the bytes that are left. Leading zeros do not make a part octal.
fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    if text.len() > 15 {
        return None;
    }
    let mut parts = [0_u64; 4];
    let mut count = 0;
    for part in text.split('.') {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *parts.get_mut(count)? = part.parse().ok()?;
        count += 1;
    }
    let (last, first) = parts[..count].split_last()?;
    let mut address = 0_u64;
    for part in first {
        if *part > 255 {
            return None;
        }
        address = address << 8 | part;
    }
    let bits = 8 * (5 - count as u32);
    if *last >> bits != 0 {
        return None;
    }
    u32::try_from(address << bits | last).ok().map(Ipv4Addr::from)
}

fn parse_v6(text: &str) -> Option<IpAddr> {
    // The standard library takes no leading zeros in an IPv4 ending, and none beyond four digits of a group; the JVM does.
    let (groups, ending) = match text.rsplit_once(':') {
        Some((groups, ending)) if ending.contains('.') => {
            if ending.split('.').count() != 4 {
                return None;
            }
            let [a, b, c, d] = parse_v4(ending)?.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            (groups, format!(":{high:x}:{low:x}"))
        }
        _ => (text, String::new()),
    };
    let mut plain = String::with_capacity(text.len());
    for (number, group) in groups.split(':').enumerate() {
        if number > 0 {
            plain.push(':');
        }
        let digits = group.trim_start_matches('0');
        plain.push_str(if digits.is_empty() && !group.is_empty() { "0" } else { digits });
    }
    plain.push_str(&ending);
    let address: Ipv6Addr = plain.parse().ok()?;
    Some(match address.to_ipv4_mapped() {
        Some(mapped) => IpAddr::V4(mapped),
        None => IpAddr::V6(address),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let written = parse(text).map(|address| {
            let mut out = String::new();
            write_address(address, &mut out);
            out
        });
        assert_eq!(written.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn addresses() {
        check("192.0.2.1", Some("192.0.2.1"));
        check("010.008.000.009", Some("10.8.0.9"));
        check("1", Some("0.0.0.1"));
        check("3221226219", Some("192.0.2.235"));
        check("192.131073", Some("192.2.0.1"));
        check("192.0.513", Some("192.0.2.1"));
        check("2001:db8::a:1", Some("2001:db8:0:0:0:0:a:1"));
        check("2001:DB8:0:0:0:0:0A:1", Some("2001:db8:0:0:0:0:a:1"));
        check("[2001:db8::1]", Some("2001:db8:0:0:0:0:0:1"));
        check("::ffff:192.0.2.1", Some("192.0.2.1"));
        check("::ffff:192.000.002.001", Some("192.0.2.1"));
        check("2001:db8:00004::0", Some("2001:db8:4:0:0:0:0:0"));
        check("2001:db8::1%1", Some("2001:db8:0:0:0:0:0:1%1"));
        check("[fe80::1%007]", Some("fe80:0:0:0:0:0:0:1%7"));
        check("::192.0.2.1", Some("0:0:0:0:0:0:c000:201"));
    }

    #[test]
    fn other_texts() {
        for text in [
            "",
            " ",
            "example.com",
            "192.0.2.256",
            "256.1",
            "4294967296",
            "1.2.3.4.5",
            "1..2",
            "1.2.3.",
            " 1.2.3.4",
            "1.2.3.4 ",
            "1.2.3.4:53",
            "1.2.3.0/24",
            "-1",
            "+1",
            "0x7f.1",
            "[1.2.3.4]",
            "[::1",
            "::1]",
            "1:2",
            ":::",
            "::ffff:1.2.3",
            "192.000.0002.0001",
            "1.2.3.4,5.6.7.8",
            "1.2.3.4%1",
            "::ffff:1.2.3.4%1",
            "::1%",
            "::1%eth0",
            "::1%+1",
            "::1%4294967296",
            "2001:db8:10000::1",
        ] {
            check(text, None);
        }
    }
}
