//! What the City database says of an address, as the JSON that is written for it. Weir's policy of keeping what was found
//! (`MOST_ADDRESSES` of its `filter/addresses/kept.rs`), but what is kept here is the finished text.

use std::collections::HashMap;
use std::io::Write;
use std::net::IpAddr;

use anyhow::{Context, Result};
use maxminddb::Reader;
use serde::Deserialize;

/// When there are more, all are forgotten.
const MOST_KEPT: usize = 98_304;

/// Addresses that were seen lately.
pub(crate) struct Addresses<'d> {
    database: &'d Reader<Vec<u8>>,
    /// Where the text of each address lies.
    places: HashMap<Box<[u8]>, (u32, u32)>,
    text: Vec<u8>,
}

/// The members of a record that are written, and no others.
#[derive(Deserialize)]
struct Record<'r> {
    #[serde(borrow)]
    city: Option<Named<'r>>,
    continent: Option<Named<'r>>,
    country: Option<Named<'r>>,
    postal: Option<Named<'r>>,
    subdivisions: Option<Vec<Named<'r>>>,
    location: Option<Location<'r>>,
}

#[derive(Deserialize)]
struct Named<'r> {
    code: Option<&'r str>,
    iso_code: Option<&'r str>,
    #[serde(borrow)]
    names: Option<Names<'r>>,
}

#[derive(Deserialize)]
struct Names<'r> {
    en: Option<&'r str>,
}

#[derive(Default, Deserialize)]
struct Location<'r> {
    latitude: Option<f64>,
    longitude: Option<f64>,
    metro_code: Option<u32>,
    time_zone: Option<&'r str>,
}

impl<'r> Named<'r> {
    fn english(&self) -> Option<&'r str> {
        self.names.as_ref()?.en
    }
}

impl<'d> Addresses<'d> {
    pub(crate) fn new(database: &'d Reader<Vec<u8>>) -> Self {
        Addresses { database, places: HashMap::new(), text: Vec::new() }
    }

    /// Forgets all when they are too many.
    pub(crate) fn begin_batch(&mut self) {
        if self.places.len() > MOST_KEPT {
            self.places = HashMap::new();
            self.text = Vec::new();
        }
    }

    /// The members `src_geoip` and, of an address that is nowhere, `tags`, with a comma before each.
    pub(crate) fn members(&mut self, address: &[u8]) -> Result<&[u8]> {
        let (start, end) = match self.places.get(address) {
            Some(place) => *place,
            None => self.add(address)?,
        };
        Ok(&self.text[start as usize..end as usize])
    }

    fn add(&mut self, address: &[u8]) -> Result<(u32, u32)> {
        let text = std::str::from_utf8(address)?;
        let ip: IpAddr = text.parse().with_context(|| format!("{text:?} is no address"))?;
        let record = self.database.lookup(ip)?.decode::<Record<'_>>()?;
        let start = self.text.len();
        self.text.extend_from_slice(b",\"src_geoip\":{");
        match record {
            Some(record) => write_members(&record, ip, &mut self.text)?,
            None => self.text.extend_from_slice(b"},\"tags\":[\"src_geoip_lookup_failure\"]"),
        }
        let place = (u32::try_from(start)?, u32::try_from(self.text.len())?);
        self.places.insert(address.into(), place);
        Ok(place)
    }
}

fn write_members(record: &Record<'_>, ip: IpAddr, out: &mut Vec<u8>) -> Result<()> {
    match ip {
        IpAddr::V4(ip) => write!(out, "\"ip\":\"{ip}\"")?,
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h] = ip.segments();
            write!(out, "\"ip\":\"{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}:{g:x}:{h:x}\"")?;
        }
    }
    let (city, continent, country) = (&record.city, &record.continent, &record.country);
    let region = record.subdivisions.as_ref().and_then(|all| all.last());
    let country_code = country.as_ref().and_then(|country| country.iso_code);
    let none = Location::default();
    let location = record.location.as_ref().unwrap_or(&none);
    let texts = [
        ("city_name", city.as_ref().and_then(Named::english)),
        ("continent_code", continent.as_ref().and_then(|continent| continent.code)),
        ("country_name", country.as_ref().and_then(Named::english)),
        ("country_code2", country_code),
        ("country_code3", country_code),
        ("postal_code", record.postal.as_ref().and_then(|postal| postal.code)),
        ("region_name", region.and_then(Named::english)),
        ("region_code", region.and_then(|region| region.iso_code)),
        ("timezone", location.time_zone),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            write!(out, ",\"{key}\":{}", serde_json::to_string(&text)?)?;
        }
    }
    if let Some(code) = location.metro_code {
        write!(out, ",\"dma_code\":{code}")?;
    }
    if let (Some(latitude), Some(longitude)) = (location.latitude, location.longitude) {
        // A float as text, which reads back as the same float and never as an integer.
        write!(out, ",\"location\":{{\"lat\":{latitude:?},\"lon\":{longitude:?}}}")?;
        write!(out, ",\"latitude\":{latitude:?},\"longitude\":{longitude:?}")?;
    }
    out.push(b'}');
    Ok(())
}
