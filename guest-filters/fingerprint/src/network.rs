//! The IPV4_NETWORK method: the network address of an address, as Ruby's `IPAddr` prints it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of the address in `text`, `prefix` bits long. `address/n` is masked with `n` first; IPv6 addresses
/// (also in brackets) are masked too.
///
/// # Errors
/// If the text is no address, or a prefix is longer than the address.
pub(crate) fn network_of(text: &str, prefix: u32) -> Result<String, String> {
    let (address, own_prefix) = match text.split_once('/') {
        Some((address, own_prefix)) => (address, Some(own_prefix)),
        None => (text, None),
    };
    let mut address = parse_address(address).ok_or_else(|| format!("{text:?} is not an IP address"))?;
    if let Some(own_prefix) = own_prefix {
        let own_prefix =
            parse_prefix(own_prefix, address).ok_or_else(|| format!("{text:?} has no valid prefix"))?;
        address = masked(address, own_prefix)?;
    }
    Ok(match masked(address, prefix)? {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => print_ipv6(address),
    })
}

/// The prefix length that the option `key` says: its leading digits, 0 without any, as Ruby's `to_i`.
pub(crate) fn prefix_of_key(key: &str) -> u32 {
    let digits: String = key.trim_start().chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u32::MAX) }
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// A prefix after a slash: a number, or a mask such as `255.255.0.0`.
fn parse_prefix(text: &str, address: IpAddr) -> Option<u32> {
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        return text.parse().ok();
    }
    match (text.parse().ok()?, address) {
        (IpAddr::V4(mask), IpAddr::V4(_)) => {
            let mask = mask.to_bits();
            (mask.leading_ones() + mask.trailing_zeros() == 32).then(|| mask.leading_ones())
        }
        (IpAddr::V6(mask), IpAddr::V6(_)) => {
            let mask = mask.to_bits();
            (mask.leading_ones() + mask.trailing_zeros() == 128).then(|| mask.leading_ones())
        }
        _ => None,
    }
}

fn masked(address: IpAddr, prefix: u32) -> Result<IpAddr, String> {
    let (bits, masked) = match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
            (32, IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask)))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
            (128, IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask)))
        }
    };
    if prefix > bits {
        return Err(format!("a prefix of {prefix} bits is longer than the address {address}"));
    }
    Ok(masked)
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

    fn check(text: &str, prefix: u32, expected: Option<&str>) {
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
    }

    #[test]
    fn refused() {
        for text in
            ["", "abc", "1.2.3", "1.2.3.256", "1.2.3.04", " 1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/x"]
        {
            check(text, 24, None);
        }
        check("1.2.3.4", 33, None);
        check("1.2.3.4/255.0.255.0", 24, None);
    }

    #[test]
    fn keys() {
        assert_eq!(["24", "24x", "x", "", " 8"].map(prefix_of_key), [24, 24, 0, 0, 8]);
        assert_eq!(prefix_of_key("99999999999"), u32::MAX);
    }
}
