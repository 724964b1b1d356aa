//! The lines themselves: Route 53 public query logs as they might be, drawn from a seed. Addresses lie in the documentation
//! networks of which `host/data/demo-networks.jsonl` says where they would be, and a few in none of them.

use std::fmt::Write;
use std::net::Ipv6Addr;

use chrono::DateTime;

/// The time of the first line: that of the sample in the Route 53 manual.
const FIRST_SECOND: i64 = 1_582_477_721;
/// Lines are so far apart on average.
const MICROSECONDS_APART: u64 = 2_000;
/// How many resolvers ask; few of them ask often.
const RESOLVERS: u64 = 20_000;

/// Lines without end, the same for the same seed on every machine and in every version.
pub struct SampleLines {
    random: Random,
    microseconds: u64,
    second: i64,
    second_text: String,
}

/// Lines of this seed, from the first.
pub fn lines(seed: u64) -> SampleLines {
    SampleLines { random: Random(seed), microseconds: 0, second: i64::MIN, second_text: String::new() }
}

impl Iterator for SampleLines {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut line = String::with_capacity(160);
        self.write(&mut line);
        Some(line)
    }
}

impl SampleLines {
    /// Appends the next line, without a line feed.
    pub fn write(&mut self, out: &mut String) {
        self.microseconds += self.random.below(2 * MICROSECONDS_APART);
        let second = FIRST_SECOND + (self.microseconds / 1_000_000).cast_signed();
        if second != self.second {
            self.second = second;
            let time = DateTime::from_timestamp(second, 0).unwrap_or_default();
            self.second_text = time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        }
        let random = &mut self.random;
        let (zone, domain) = random.skewed(&ZONES);
        out.push_str("1.0 ");
        out.push_str(&self.second_text);
        out.push(' ');
        out.push_str(zone);
        out.push(' ');
        let code = random.weighted(&RESPONSE_CODES);
        write_name(random, code, domain, out);
        for word in
            [random.weighted(&QUERY_TYPES), code, random.weighted(&PROTOCOLS), random.skewed(&EDGE_LOCATIONS)]
        {
            out.push(' ');
            out.push_str(word);
        }
        out.push(' ');
        let resolver = random.skewed_below(RESOLVERS);
        write_address(resolver, out);
        out.push(' ');
        write_subnet(random, out);
    }
}

fn write_name(random: &mut Random, code: &str, domain: &str, out: &mut String) {
    if code == "NXDOMAIN" {
        // What is not there is asked for by machines: names made of letters and numbers.
        let _ = write!(out, "{:x}.", random.next() >> 24);
    } else {
        let label = random.skewed(&LABELS);
        if !label.is_empty() {
            out.push_str(label);
            out.push('.');
        }
    }
    out.push_str(domain);
}

/// The address of a resolver depends on its number alone.
fn write_address(resolver: u64, out: &mut String) {
    let mut random = Random(resolver.wrapping_mul(0x2545_f491_4f6c_dd1d));
    match random.below(100) {
        0..45 => {
            let network = ["192.0.2", "198.51.100", "203.0.113"][random.below(3) as usize];
            // The last sixteen addresses of each network are nowhere.
            let _ = write!(out, "{network}.{}", random.below(250));
        }
        45..98 => {
            let third = random.below(0xcc00) as u16;
            let rest = random.next();
            let address = Ipv6Addr::new(0x2001, 0xdb8, third, (rest >> 48) as u16, 0, 0, 0, rest as u16);
            let _ = write!(out, "{address}");
        }
        _ => {
            let _ = write!(out, "10.{}.{}.{}", random.below(256), random.below(256), random.below(256));
        }
    }
}

/// An EDNS client subnet, or `-` for a resolver that sends none.
fn write_subnet(random: &mut Random, out: &mut String) {
    match random.below(10) {
        0 => {
            let network = ["192.0.2", "198.51.100", "203.0.113"][random.below(3) as usize];
            let _ = write!(out, "{network}.0/24");
        }
        1 => {
            let _ = write!(out, "2001:db8:{:x}::/48", random.below(0xffff) + 1);
        }
        _ => out.push('-'),
    }
}

/// SplitMix64 (public domain, Vigna 2015): written out here, so that lines stay the same whatever crates do.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to but not including `end`.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// The same, but the lower the likelier: half of all are in the first eighth.
    fn skewed_below(&mut self, end: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((unit * unit * unit * end as f64) as u64).min(end.saturating_sub(1))
    }

    fn skewed<T: Copy, const N: usize>(&mut self, choices: &[T; N]) -> T {
        choices[self.skewed_below(N as u64) as usize]
    }

    /// One of the choices, each of which has its share of a thousand; the last has the rest.
    fn weighted<const N: usize>(&mut self, choices: &[(u64, &'static str); N]) -> &'static str {
        let mut at = self.below(1000);
        for (share, choice) in choices {
            if at < *share {
                return choice;
            }
            at -= share;
        }
        choices[N - 1].1
    }
}

const ZONES: [(&str, &str); 5] = [
    ("Z1CV60OKBEMYL2", "example.name"),
    ("Z2FDTNDATAQYW2", "example.com"),
    ("Z3AADJGX6KTTL2", "example.org"),
    ("Z0450712VH37OPYX2J3B", "example.net"),
    ("Z08746398AB12CDEFG3H", "shop.example"),
];

const LABELS: [&str; 20] = [
    "",
    "www",
    "api",
    "mail",
    "cdn",
    "static",
    "img",
    "login",
    "app",
    "ns1",
    "ns2",
    "_dmarc",
    "autodiscover",
    "*.dev",
    "blog",
    "_sip._tcp",
    "selector1._domainkey",
    "xn--bcher-kva",
    "status",
    "WwW",
];

const QUERY_TYPES: [(u64, &str); 12] = [
    (520, "A"),
    (250, "AAAA"),
    (50, "MX"),
    (45, "TXT"),
    (40, "NS"),
    (30, "HTTPS"),
    (20, "SOA"),
    (15, "CNAME"),
    (10, "SRV"),
    (8, "CAA"),
    (7, "ANY"),
    (5, "PTR"),
];

const RESPONSE_CODES: [(u64, &str); 5] =
    [(905, "NOERROR"), (70, "NXDOMAIN"), (12, "SERVFAIL"), (10, "REFUSED"), (3, "NOTIMP")];

const PROTOCOLS: [(u64, &str); 2] = [(955, "UDP"), (45, "TCP")];

const EDGE_LOCATIONS: [&str; 24] = [
    "NRT57-C3", "IAD89-C1", "FRA6-C1", "SFO5-C2", "LHR62-C4", "SIN2-C1", "CDG3-C2", "ICN54-C1", "SYD4-C1",
    "GRU1-C5", "DFW50-C1", "AMS1-C1", "BOM52-C1", "SEA19-C2", "HKG62-C2", "ORD51-C1", "YUL62-C1", "ARN1-C1",
    "MXP64-C2", "VIE50-C1", "DUB2-C1", "JNB50-C1", "SCL50-C1", "AKL50-C1",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_lines() {
        let first: Vec<String> = lines(7).take(3).collect();
        assert_eq!(first, lines(7).take(3).collect::<Vec<_>>());
        assert_ne!(first, lines(8).take(3).collect::<Vec<_>>());
        let expected = [
            "1.0 2020-02-23T17:08:41Z Z1CV60OKBEMYL2 mail.example.name A NOERROR UDP FRA6-C1 2001:db8:40ac:c882::deee 2001:db8:69c4::/48",
            "1.0 2020-02-23T17:08:41Z Z08746398AB12CDEFG3H df0f9924a3.shop.example TXT NXDOMAIN UDP YUL62-C1 203.0.113.244 -",
            "1.0 2020-02-23T17:08:41Z Z2FDTNDATAQYW2 example.com A NOERROR UDP JNB50-C1 198.51.100.88 -",
        ];
        assert_eq!(first, expected);
    }

    #[test]
    fn lines_have_ten_words_of_many_kinds() {
        let mut kinds: Vec<HashSet<String>> = vec![HashSet::new(); 10];
        for line in lines(1).take(20_000) {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words.len(), 10, "{line}");
            assert!(words.iter().all(|word| !word.is_empty()), "{line}");
            words[8].parse::<std::net::IpAddr>().unwrap_or_else(|error| panic!("{line}: {error}"));
            for (kind, word) in kinds.iter_mut().zip(words) {
                kind.insert(word.to_owned());
            }
        }
        let counts: Vec<usize> = kinds.iter().map(HashSet::len).collect();
        assert_eq!(counts[4..8], [12, 5, 2, 24], "types, codes, protocols, edges");
        assert!(counts[8] > 3_000 && counts[8] < 15_000, "resolvers repeat: {}", counts[8]);
        assert!(kinds[8].iter().any(|address| address.starts_with("10.")), "some addresses are nowhere");
        assert!(kinds[9].contains("-") && kinds[9].len() > 500);
    }
}
