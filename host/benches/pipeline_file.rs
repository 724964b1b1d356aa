//! The parts of pipeline files.

use std::path::Path;

/// How dissect cuts a line.
pub(crate) const MAPPING: &str = "%{log_version} %{timestamp} %{hostzone_id} %{query_name} %{query_type} %{response_code} %{protocol} %{edge_location} %{resolver_ipaddress} %{client_subnet}";

/// The filters of `config/route53-cloudwatch-elasticsearch.toml` in their order, with this database: `dissect`, `date`,
/// `local-time`, `geoip`, `fingerprint`, `mutate`.
pub(crate) fn route53_filters(database: &Path) -> [String; 6] {
    let dissect = format!("use = \"dissect\"\nmapping.message = \"{MAPPING}\"");
    let date = r#"
use = "date"
match = ["timestamp", "ISO8601"]
timezone = "Asia/Tokyo"
target = "@timestamp""#;
    let local_time = r#"
use = "local-time"
source = "@timestamp"
target = "[@metadata][local_time]"
format = "%Y-%m-%d"
timezone = "Asia/Tokyo""#;
    let geoip = format!(
        r#"
use = "geoip"
source = "resolver_ipaddress"
target = "src_geoip"
database = "{}"
tag_on_failure = ["src_geoip_lookup_failure"]"#,
        database.display()
    );
    let fingerprint = r#"
use = "fingerprint"
source = ["message"]
target = "[@metadata][fingerprint]"
method = "MURMUR3""#;
    let mutate = r#"
use = "mutate"
add_field = { type = "route53" }
remove_field = ["timestamp"]"#;
    [&dissect, date, local_time, &geoip, fingerprint, mutate]
        .map(|filter| format!("[[filter]]\n{}\n", filter.trim_start()))
}

/// Where the events go.
pub(crate) fn output(bulk: Option<&str>) -> String {
    match bulk {
        Some(server) => format!(
            "[output]\ntype = \"elasticsearch\"\nhosts = [\"{server}\"]\nilm_enabled = false\n\
             index = \"%{{type}}-%{{[@metadata][local_time]}}\"\ndocument_id = \"%{{[@metadata][fingerprint]}}\"\n"
        ),
        None => "[output]\ntype = \"stdout\"\n".to_owned(),
    }
}

/// The input of the lines of a file.
pub(crate) fn file_input(lines: &Path) -> String {
    format!("[input]\ntype = \"file\"\npath = [\"{}\"]\n", lines.display())
}
