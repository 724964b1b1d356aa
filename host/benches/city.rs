//! A made-up City database of the size and shape of the real ones: names in eight languages, networks of both versions,
//! some records without a city, a postal code or a subdivision. It is made once and kept.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value, json};
use weir_test_support::Random;
use weir_test_support::mmdb::{self, Metadata};

/// Where resolvers may be.
pub(crate) struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u32)>,
}

impl Networks {
    /// So many networks, always the same: two thirds of version 4.
    pub(crate) fn new(count: usize) -> Self {
        let mut random = Random(4_711);
        let (mut v4, mut v6) = (HashMap::new(), HashMap::new());
        while v4.len() < count * 2 / 3 {
            let length = 18 + random.below(7) as u32;
            let address = 0x0100_0000 + random.below(0xdf00_0000 - 0x0100_0000) as u32;
            // Private addresses are in no database.
            if address >> 24 != 10 {
                v4.insert(address >> (32 - length) << (32 - length), length);
            }
        }
        while v6.len() < count / 3 {
            let length = 32 + random.below(17) as u32;
            let address = 0x2000_u128 << 112 | u128::from(random.number() >> 7) << 68;
            v6.insert(address >> (128 - length) << (128 - length), length);
        }
        let (mut v4, mut v6): (Vec<_>, Vec<_>) = (v4.into_iter().collect(), v6.into_iter().collect());
        v4.sort_unstable();
        v6.sort_unstable();
        Networks { v4, v6 }
    }

    /// An address, two of three of version 4; three of a hundred are in no network.
    pub(crate) fn address(&self, random: &mut Random) -> String {
        match random.below(100) {
            0..3 => format!("10.{}.{}.{}", random.below(256), random.below(256), random.below(256)),
            3..67 => {
                let (address, length) = random.one_of(&self.v4);
                Ipv4Addr::from(address | (random.number() as u32).checked_shr(length).unwrap_or(0))
                    .to_string()
            }
            _ => {
                let (address, length) = random.one_of(&self.v6);
                Ipv6Addr::from(address | u128::from(random.number()) << 64 >> length).to_string()
            }
        }
    }
}

/// The database's file, made if it is not there.
pub(crate) fn file(folder: &Path, networks: &Networks) -> Result<PathBuf> {
    let count = networks.v4.len() + networks.v6.len();
    let path = folder.join(format!("city-{count}.mmdb"));
    if path.exists() {
        return Ok(path);
    }
    let metadata = Metadata {
        database_type: "Made-up-City".to_owned(),
        ip_version: 6,
        record_size: 28,
        languages: LANGUAGES.iter().map(ToString::to_string).collect(),
        build_epoch: 1_767_225_600,
        description: vec![("en".to_owned(), "made up: no address is really there".to_owned())],
    };
    let mut random = Random(1);
    let records: Vec<Value> =
        (0..(count / 8).clamp(16, 48_000)).map(|place| record(place / 4, &mut random)).collect();
    let mut table = Vec::with_capacity(count);
    for (address, length) in &networks.v4 {
        table.push((format!("{}/{length}", Ipv4Addr::from(*address)), &records[random.below(records.len())]));
    }
    for (address, length) in &networks.v6 {
        table.push((format!("{}/{length}", Ipv6Addr::from(*address)), &records[random.below(records.len())]));
    }
    let bytes = mmdb::write(&metadata, &table).map_err(|error| anyhow!(error))?;
    let unfinished = path.with_extension("unfinished");
    std::fs::write(&unfinished, bytes).with_context(|| unfinished.display().to_string())?;
    std::fs::rename(&unfinished, &path)?;
    Ok(path)
}

const LANGUAGES: [&str; 8] = ["de", "en", "es", "fr", "ja", "pt-BR", "ru", "zh-CN"];

/// Continent, country and time zone.
const COUNTRIES: [(&str, &str, &str, &str, &str); 12] = [
    ("NA", "North America", "US", "United States", "America/New_York"),
    ("NA", "North America", "CA", "Canada", "America/Toronto"),
    ("SA", "South America", "BR", "Brazil", "America/Sao_Paulo"),
    ("EU", "Europe", "DE", "Germany", "Europe/Berlin"),
    ("EU", "Europe", "FR", "France", "Europe/Paris"),
    ("EU", "Europe", "GB", "United Kingdom", "Europe/London"),
    ("EU", "Europe", "RU", "Russia", "Asia/Krasnoyarsk"),
    ("AS", "Asia", "JP", "Japan", "Asia/Tokyo"),
    ("AS", "Asia", "CN", "China", "Asia/Shanghai"),
    ("AS", "Asia", "IN", "India", "Asia/Kolkata"),
    ("AF", "Africa", "ZA", "South Africa", "Africa/Johannesburg"),
    ("OC", "Oceania", "AU", "Australia", "Australia/Sydney"),
];

/// A record in the given city. Members stand in the order of the real files.
fn record(city: usize, random: &mut Random) -> Value {
    let (continent_code, continent, code, country, zone) = COUNTRIES[city % COUNTRIES.len()];
    let mut record = Map::new();
    let has_city = random.below(100) < 85;
    if has_city {
        let mut own = Random(city as u64);
        let names = names(&city_name(&mut own));
        record.insert("city".to_owned(), json!({"geoname_id": 100_000 + city, "names": names}));
    }
    record.insert(
        "continent".to_owned(),
        json!({"code": continent_code, "geoname_id": 6_255_140 + city % 12, "names": names(continent)}),
    );
    record.insert(
        "country".to_owned(),
        json!({"geoname_id": 1_000_000 + city % 12, "iso_code": code, "names": names(country)}),
    );
    let degrees = |limit: usize, random: &mut Random| {
        (random.below(2 * limit * 10_000) as f64 - (limit * 10_000) as f64) / 10_000.0
    };
    let mut location = json!({
        "accuracy_radius": random.one_of(&[1, 5, 10, 20, 50, 100, 1000]),
        "latitude": degrees(70, random),
        "longitude": degrees(180, random),
        "time_zone": zone,
    });
    if code == "US" && has_city {
        location["metro_code"] = (500 + random.below(381)).into();
    }
    record.insert("location".to_owned(), location);
    if has_city && random.below(100) < 70 {
        record.insert("postal".to_owned(), json!({"code": format!("{:05}", random.below(100_000))}));
    }
    record.insert(
        "registered_country".to_owned(),
        json!({"geoname_id": 1_000_000 + city % 12, "iso_code": code, "names": names(country)}),
    );
    if random.below(100) < 80 {
        let mut subdivisions = Vec::new();
        for level in 0..1 + usize::from(random.below(100) < 20) {
            let number = city % 40 + level * 100;
            let mut own = Random(1 << 32 | (number * 12 + city % 12) as u64);
            let names = names(&city_name(&mut own));
            subdivisions.push(
                json!({"geoname_id": 2_000_000 + number, "iso_code": format!("{number:02}"), "names": names}),
            );
        }
        record.insert("subdivisions".to_owned(), subdivisions.into());
    }
    Value::Object(record)
}

/// Two to four syllables; one name of ten is not ASCII.
fn city_name(random: &mut Random) -> String {
    const SYLLABLES: [&str; 16] = [
        "ka", "ber", "lin", "to", "kyo", "ash", "burn", "ville", "san", "mar", "po", "rto", "new", "ham",
        "ster", "dal",
    ];
    let mut name: String = (0..2 + random.below(3)).map(|_| random.one_of(&SYLLABLES)).collect();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if random.below(10) == 0 {
        name.push_str("-sür-Mér");
    }
    name
}

fn names(english: &str) -> Value {
    let mut names = Map::new();
    for language in LANGUAGES {
        let name = match language {
            "ja" | "zh-CN" => english
                .chars()
                .map(|letter| char::from_u32(0x30a0 + (letter as u32 & 0x3f)).unwrap_or('ア'))
                .collect(),
            "ru" => english
                .chars()
                .map(|letter| char::from_u32(0x0430 + (letter as u32 & 0x1f)).unwrap_or('а'))
                .collect(),
            _ => english.to_owned(),
        };
        names.insert(language.to_owned(), name.into());
    }
    Value::Object(names)
}
