//! Address databases that are written in a file of cases: `[databases."test:city"]` with a type and a table of networks. The
//! filter opens one by its name, as it would open a file.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::section::Section;
use crate::address_database::{Metadata, write};

/// The most networks of one database; each is up to 128 nodes of its tree.
const MOST_NETWORKS: usize = 4096;

/// A database by its name.
pub type NamedDatabase = (String, Arc<[u8]>);

/// Reads the databases of a case or of the whole file.
pub(super) fn read_databases(section: &mut Section) -> Vec<NamedDatabase> {
    let mut databases = Vec::new();
    for (name, mut section) in section.named_sections("databases") {
        let metadata = Metadata {
            database_type: section.text_or("type", "GeoLite2-City"),
            ip_version: 6,
            record_size: 28,
            languages: vec!["en".to_owned()],
            build_epoch: 0,
            description: vec![("en".to_owned(), name.clone())],
        };
        section.require("networks");
        let written = section.members("networks");
        if written.len() > MOST_NETWORKS {
            let message = format!("{} networks are too many for a case", written.len());
            section.problem("networks", &message, &format!("at most {MOST_NETWORKS} are possible"));
            continue;
        }
        let mut networks = Vec::with_capacity(written.len());
        for (network, record) in written {
            let is_map = matches!(record, Json::Object(_));
            let written = match is_map {
                true => write(&metadata, &[(network.clone(), record.clone())]).map(|_| ()),
                false => Err(format!("network {network}: its record is no table")),
            };
            match written {
                Ok(()) => networks.push((network, record)),
                Err(message) => {
                    let fix = "write \"192.0.2.0/24\" = { city = { names = { en = \"Vienna\" } } }";
                    section.member_problem("networks", &network, &message, fix);
                }
            }
        }
        match write(&metadata, &networks) {
            Ok(bytes) => databases.push((name, bytes.into())),
            Err(message) => section.problem("networks", &message, "each network has one record"),
        }
    }
    databases
}
