//! The IPV4_NETWORK method: the network address of an address, as Ruby's `IPAddr` prints it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of the address in `text`, `prefix` bits long. `address/n` is masked with `n` first; IPv6 addresses
/// (also in brackets) are masked too.
///
/// # Errors
/// If the text is no address, or a prefix is longer than the address.
pub(crate) fn network_of(text: &str, prefix: i64) -> Result<String, String> {
    let (address, own_prefix) = match text.split_once('/') {
        Some((address, own_prefix)) => (address, Some(own_prefix)),
        None => (text, None),
    };
    let (mut address, zone) =
        parse_address(address).ok_or_else(|| format!("{text:?} is not an IP address"))?;
    if let Some(own_prefix) = own_prefix {
        let own_prefix =
            parse_prefix(own_prefix, address).ok_or_else(|| format!("{text:?} has no valid prefix"))?;
        address = masked(address, own_prefix)?;
    }
    Ok(match masked(address, prefix)? {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => print_ipv6(address) + zone,
    })
}

/// The prefix length that the option `key` says, as Ruby's `to_i`: a sign, and the digits that it begins with, single
/// underscores between them; 0 without any.
pub(crate) fn prefix_of_key(key: &str) -> i64 {
    let key = key.trim_start_matches(|letter: char| letter == '\x0b' || letter.is_ascii_whitespace());
    let (negative, key) = match key.as_bytes().first() {
        Some(b'-') => (true, &key[1..]),
        Some(b'+') => (false, &key[1..]),
        _ => (false, key),
    };
    let mut prefix = 0_i64;
    let mut after_digit = false;
    for byte in key.bytes() {
        match byte {
            b'0'..=b'9' => prefix = prefix.saturating_mul(10).saturating_add(i64::from(byte - b'0')),
            b'_' if after_digit => {}
            _ => break,
        }
        after_digit = byte != b'_';
    }
    if negative { -prefix } else { prefix }
}

/// A text, and the zone that it ends with, if it does.
fn split_zone(text: &str) -> (&str, &str) {
    let zone =
        |at: usize| text.get(at + 1..).is_some_and(|name| !name.is_empty() && name.bytes().all(is_word));
    match text.rfind('%') {
        Some(at) if zone(at) => text.split_at(at),
        _ => (text, ""),
    }
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// An address, in brackets if it is one of IPv6, and the zone that it ends with (`%eth0`), if it does.
fn parse_address(text: &str) -> Option<(IpAddr, &str)> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (address, zone) = split_zone(bare.unwrap_or(text));
    let address: IpAddr = address.parse().ok()?;
    let must_be_ipv6 = bare.is_some() || !zone.is_empty();
    (address.is_ipv6() || !must_be_ipv6).then_some((address, zone))
}

/// A prefix after a slash: a number, or a mask such as `255.255.0.0`.
fn parse_prefix(text: &str, address: IpAddr) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        // Ruby takes none with zeros before it.
        return text.parse().ok().filter(|_| text == "0" || !text.starts_with('0'));
    }
    match (text.parse().ok()?, address) {
        (IpAddr::V4(mask), IpAddr::V4(_)) => {
            let mask = mask.to_bits();
            (mask.leading_ones() + mask.trailing_zeros() == 32).then(|| i64::from(mask.leading_ones()))
        }
        (IpAddr::V6(mask), IpAddr::V6(_)) => {
            let mask = mask.to_bits();
            (mask.leading_ones() + mask.trailing_zeros() == 128).then(|| i64::from(mask.leading_ones()))
        }
        _ => None,
    }
}

fn masked(address: IpAddr, prefix: i64) -> Result<IpAddr, String> {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let Some(prefix) = u32::try_from(prefix).ok().filter(|prefix| *prefix <= bits) else {
        return Err(format!("the address {address} has no prefix of {prefix} bits"));
    };
    Ok(match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(bits - prefix).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(bits - prefix).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    })
}

/// Ruby prints addresses below `::/96` with a dotted end when both of their last groups would show.
fn print_ipv6(address: Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            format!("::{}", Ipv4Addr::from_bits(address.to_bits() as u32))
        }
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, prefix: i64, expected: Option<&str>) {
        assert_eq!(network_of(text, prefix).ok().as_deref(), expected, "{text:?}/{prefix}");
    }

    #[test]
    fn networks() {
        check("192.168.213.77", 20, Some("192.168.208.0"));
        check("192.168.213.77", 0, Some("0.0.0.0"));
        check("192.168.213.77", 32, Some("192.168.213.77"));
        check("192.168.213.77/16", 24, Some("192.168.0.0"));
        check("192.168.213.77/255.255.0.0", 24, Some("192.168.0.0"));
        check("2001:db8:1:2::3", 32, Some("2001:db8::"));
        check("[2001:DB8::1]", 128, Some("2001:db8::1"));
        check("::ffff:1.2.3.4", 128, Some("::ffff:1.2.3.4"));
        check("::1.2.3.4", 128, Some("::1.2.3.4"));
        check("::1", 128, Some("::1"));
        check("fe80::1%eth0", 64, Some("fe80::%eth0"));
        check("[fe80::1%1]", 128, Some("fe80::1%1"));
        check("[1.2.3.4]", 24, None);
        check("1.2.3.4%1", 24, None);
    }

    #[test]
    fn refused() {
        for text in
            ["", "abc", "1.2.3", "1.2.3.256", "1.2.3.04", " 1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/x"]
        {
            check(text, 24, None);
        }
        check("1.2.3.4", 33, None);
        check("1.2.3.4", -1, None);
        check("1.2.3.4/08", 24, None);
        check("1.2.3.4/255.0.255.0", 24, None);
    }

    #[test]
    fn keys() {
        assert_eq!(
            ["24", "24x", "x", "", " 8", "+8", "-1", "1_6", "1__6"].map(prefix_of_key),
            [24, 24, 0, 0, 8, 8, -1, 16, 1]
        );
        assert_eq!(prefix_of_key("99999999999999999999"), i64::MAX);
    }
}
