//! Address databases of native tests: tables of networks, answered for as the host does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use serde_json::Value as Json;

use crate::json;
use crate::native::Lookup;

/// What answers for a table of networks, each in CIDR form with its record. Of networks that lie in one another the longer
/// prefix holds.
///
/// # Errors
/// When a network is none.
pub fn networks_of(networks: &[(String, Json)]) -> Result<Lookup, String> {
    let mut table = Vec::with_capacity(networks.len());
    for (network, record) in networks {
        let parts = network.split_once('/');
        let parsed = parts.and_then(|(address, prefix)| {
            let (address, prefix) = (address.parse::<IpAddr>().ok()?, prefix.parse::<u32>().ok()?);
            (mask(address, prefix) == Some(address)).then_some((address, prefix))
        });
        let (address, prefix) =
            parsed.ok_or_else(|| format!("{network:?} is no network such as 192.0.2.0/24"))?;
        table.push((address, prefix, record.clone()));
    }
    table.sort_by_key(|(_, prefix, _)| std::cmp::Reverse(*prefix));
    Ok(Rc::new(move |address: &str, path: &[String]| {
        // A zone stays with the address.
        let bare = address.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let bare = bare.filter(|bare| bare.contains(':')).unwrap_or(address);
        let (bare, zone) = bare.find('%').map_or((bare, ""), |at| bare.split_at(at));
        let is_number = zone.len() > 1 && zone.bytes().skip(1).all(|digit| digit.is_ascii_digit());
        if !(zone.is_empty() || bare.contains(':') && is_number) {
            return None;
        }
        let address = parse_address(bare)?;
        let (_, prefix, record) =
            table.iter().find(|(network, prefix, _)| mask(address, *prefix) == Some(*network))?;
        if path.first().is_some_and(|first| first == "@ip") {
            return Some(Json::from(print_address(address) + zone));
        }
        value_in(record, path, address, *prefix)
    }))
}

/// A database of lines of JSON: the first has its `database_type`, each other one a `network` and its `record`.
///
/// # Errors
/// When a line is not so.
pub fn read_facts(text: &str) -> Result<(String, Lookup), String> {
    let mut kind = None;
    let mut networks = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line: Json =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        if kind.is_none() {
            kind = line["database_type"].as_str().map(str::to_owned);
            continue;
        }
        let network =
            line["network"].as_str().ok_or_else(|| format!("line {} has no network", number + 1))?;
        networks.push((network.to_owned(), line["record"].clone()));
    }
    Ok((kind.ok_or("the first line has no database_type")?, networks_of(&networks)?))
}

fn value_in(record: &Json, path: &[String], address: IpAddr, prefix: u32) -> Option<Json> {
    match path.first().map(String::as_str) {
        Some("@network") => Some(Json::from(format!("{}/{prefix}", print_address(mask(address, prefix)?)))),
        Some("@join") => {
            let parts: Option<Vec<&str>> = path
                .get(2..)?
                .split(String::is_empty)
                .map(|path| json::find(record, path)?.as_str())
                .collect();
            Some(Json::from(parts?.join(path.get(1)?)))
        }
        _ => json::find(record, path).cloned(),
    }
}

/// Parts may be padded with zeros, also those of IPv4, which are decimal; an IPv4 address inside an IPv6 one is that: as for the
/// JVM.
fn parse_address(text: &str) -> Option<IpAddr> {
    let unpadded = |group: &str| match group.len() {
        0..=4 => group.to_owned(),
        // The end of an address may be one of IPv4.
        _ if group.contains('.') => group.to_owned(),
        _ => format!("0{}", group.trim_start_matches('0')),
    };
    let groups: Vec<String> = text.split(':').map(unpadded).collect();
    if let Ok(address) = groups.join(":").parse::<Ipv6Addr>() {
        return Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4));
    }
    let parts: Vec<u8> = text.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let parts: [u8; 4] = parts.try_into().ok()?;
    Some(IpAddr::from(parts))
}

fn mask(address: IpAddr, prefix: u32) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(prefix)?).unwrap_or(0);
            Some(IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask)))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix)?).unwrap_or(0);
            Some(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask)))
        }
    }
}

fn print_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let segments: Vec<String> =
                address.segments().iter().map(|segment| format!("{segment:x}")).collect();
            segments.join(":")
        }
    }
}
