//! The kinds of databases, and for each field of the geoip filter its names, and where each kind's records hold it.

/// What a database is about, by the type text inside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// GeoLite2-City, GeoIP2-City and their kin.
    City,
    /// GeoLite2-Country, GeoIP2-Country.
    Country,
    /// GeoIP2-Domain.
    Domain,
    /// GeoLite2-ASN.
    Asn,
    /// GeoIP2-ISP.
    Isp,
    /// GeoIP2-Enterprise.
    Enterprise,
    /// GeoIP2-Anonymous-IP.
    AnonymousIp,
}

impl Kind {
    /// The kind that a type text says, tried in Logstash's order.
    pub(crate) fn of_database_type(text: &str) -> Option<Kind> {
        let kinds = [
            ("City", Kind::City),
            ("Country", Kind::Country),
            ("GeoIP2-Domain", Kind::Domain),
            ("GeoLite2-ASN", Kind::Asn),
            ("GeoIP2-ISP", Kind::Isp),
            ("Enterprise", Kind::Enterprise),
            ("GeoIP2-Anonymous-IP", Kind::AnonymousIp),
        ];
        kinds.iter().find(|(part, _)| text.contains(part)).map(|&(_, kind)| kind)
    }

    /// The fields that are stored when the option `fields` says nothing.
    pub(crate) fn default_fields(self, ecs: bool) -> Vec<GeoField> {
        use GeoField::*;
        match self {
            Kind::City => {
                let region = if ecs { RegionIsoCode } else { RegionCode };
                vec![
                    Ip,
                    CityName,
                    ContinentCode,
                    CountryName,
                    CountryCode2,
                    CountryCode3,
                    PostalCode,
                    DmaCode,
                    RegionName,
                    region,
                    Timezone,
                    Location,
                    Latitude,
                    Longitude,
                ]
            }
            Kind::Country => vec![Ip, CountryCode2, CountryName, ContinentName],
            Kind::Domain => vec![Domain],
            Kind::Asn => vec![Ip, AutonomousSystemNumber, AutonomousSystemOrganization],
            Kind::Isp => vec![Ip, AutonomousSystemNumber, AutonomousSystemOrganization, Isp, Organization],
            Kind::Enterprise => {
                vec![
                    Ip,
                    CountryCode2,
                    CountryName,
                    ContinentName,
                    RegionIsoCode,
                    RegionName,
                    CityName,
                    Location,
                ]
            }
            Kind::AnonymousIp => {
                vec![HostingProvider, TorExitNode, AnonymousVpn, Anonymous, PublicProxy, ResidentialProxy]
            }
        }
    }
}

/// A field that the filter can add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GeoField {
    /// The parsed address.
    Ip,
    /// English.
    CityName,
    /// English.
    CountryName,
    /// Two letters.
    ContinentCode,
    /// English.
    ContinentName,
    /// Two letters.
    CountryCode2,
    /// Two letters as well, as in Logstash.
    CountryCode3,
    /// Text.
    PostalCode,
    /// A whole number.
    DmaCode,
    /// The last, most specific subdivision.
    RegionName,
    /// The last subdivision's own code.
    RegionCode,
    /// Country and subdivision.
    RegionIsoCode,
    /// A name such as `Europe/London`.
    Timezone,
    /// Latitude and longitude, where there are both.
    Location,
    /// A float.
    Latitude,
    /// A float.
    Longitude,
    /// A whole number.
    AutonomousSystemNumber,
    /// Text.
    AutonomousSystemOrganization,
    /// Text.
    Isp,
    /// Text.
    Organization,
    /// The network address with its prefix length.
    Network,
    /// A boolean, as the five below it; absent in the file means false.
    HostingProvider,
    /// A boolean.
    TorExitNode,
    /// A boolean.
    AnonymousVpn,
    /// A boolean.
    Anonymous,
    /// A boolean.
    PublicProxy,
    /// A boolean.
    ResidentialProxy,
    /// Text.
    Domain,
}

impl GeoField {
    /// The field that the option `fields` names, in any letter case.
    pub(crate) fn of_option(name: &str) -> Option<GeoField> {
        let name = name.to_ascii_uppercase();
        FIELDS.iter().find(|described| described.option == name).map(|described| described.field)
    }

    /// All names that the option `fields` takes.
    pub(crate) fn option_names() -> impl Iterator<Item = &'static str> {
        FIELDS.iter().map(|described| described.option)
    }

    /// The way to the value below the target; nothing if it is not stored (the three-letter code with ECS).
    /// [`GeoField::Location`] is a map of `lat` and `lon` there.
    pub(crate) fn target(self, ecs: bool) -> &'static [&'static str] {
        let described = self.described();
        if ecs { described.ecs } else { described.legacy }
    }

    /// The way to the value in a record of this kind, as the host's `addresses` takes it; nothing if the kind does
    /// not have the field. For [`GeoField::Location`] it is the latitude's.
    pub(crate) fn record(self, kind: Kind) -> Option<&'static [&'static str]> {
        use GeoField::*;
        let geographic = matches!(kind, Kind::City | Kind::Country | Kind::Enterprise);
        let city = kind == Kind::City;
        let place = matches!(kind, Kind::City | Kind::Enterprise);
        let system = matches!(kind, Kind::Asn | Kind::Isp | Kind::Enterprise);
        let provider = kind == Kind::Isp;
        let traits = matches!(kind, Kind::AnonymousIp | Kind::Enterprise);
        let available = match self {
            Ip => kind != Kind::Domain,
            CountryName | CountryCode2 => geographic,
            ContinentName => geographic,
            ContinentCode | CountryCode3 | PostalCode | DmaCode | RegionCode | Latitude | Longitude => city,
            CityName | RegionName | RegionIsoCode | Timezone | Location => place,
            AutonomousSystemNumber | AutonomousSystemOrganization => system,
            Isp | Organization => provider,
            Network => matches!(kind, Kind::Asn | Kind::Enterprise),
            HostingProvider | TorExitNode | AnonymousVpn | Anonymous | PublicProxy | ResidentialProxy => {
                traits
            }
            Domain => kind == Kind::Domain,
        };
        let described = self.described();
        available.then_some(if kind == Kind::Enterprise { described.enterprise } else { described.record })
    }

    /// Whether a record without the value means `false`.
    pub(crate) fn is_flag(self) -> bool {
        use GeoField::*;
        matches!(
            self,
            HostingProvider | TorExitNode | AnonymousVpn | Anonymous | PublicProxy | ResidentialProxy
        )
    }

    fn described(self) -> &'static Described {
        &FIELDS[self as usize]
    }
}

/// The way to a record's latitude.
pub(crate) const LATITUDE: &[&str] = &["location", "latitude"];
/// The way to a record's longitude.
pub(crate) const LONGITUDE: &[&str] = &["location", "longitude"];

struct Described {
    field: GeoField,
    option: &'static str,
    legacy: &'static [&'static str],
    ecs: &'static [&'static str],
    record: &'static [&'static str],
    /// Where Enterprise records have it.
    enterprise: &'static [&'static str],
}

const fn place(
    field: GeoField,
    option: &'static str,
    legacy: &'static [&'static str],
    ecs: &'static [&'static str],
    record: &'static [&'static str],
) -> Described {
    Described { field, option, legacy, ecs, record, enterprise: record }
}

const fn of_traits(
    field: GeoField,
    option: &'static str,
    legacy: &'static [&'static str],
    ecs: &'static [&'static str],
    record: &'static [&'static str],
    enterprise: &'static [&'static str],
) -> Described {
    Described { field, option, legacy, ecs, record, enterprise }
}

/// In the order of [`GeoField`], which is their number.
#[rustfmt::skip]
static FIELDS: &[Described] = &[
    place(GeoField::Ip, "IP", &["ip"], &["ip"], &["@ip"]),
    place(GeoField::CityName, "CITY_NAME", &["city_name"], &["geo", "city_name"], &["city", "names", "en"]),
    place(GeoField::CountryName, "COUNTRY_NAME", &["country_name"], &["geo", "country_name"], &["country", "names", "en"]),
    place(GeoField::ContinentCode, "CONTINENT_CODE", &["continent_code"], &["geo", "continent_code"], &["continent", "code"]),
    place(GeoField::ContinentName, "CONTINENT_NAME", &["continent_name"], &["geo", "continent_name"], &["continent", "names", "en"]),
    place(GeoField::CountryCode2, "COUNTRY_CODE2", &["country_code2"], &["geo", "country_iso_code"], &["country", "iso_code"]),
    place(GeoField::CountryCode3, "COUNTRY_CODE3", &["country_code3"], &[], &["country", "iso_code"]),
    place(GeoField::PostalCode, "POSTAL_CODE", &["postal_code"], &["geo", "postal_code"], &["postal", "code"]),
    place(GeoField::DmaCode, "DMA_CODE", &["dma_code"], &["mmdb", "dma_code"], &["location", "metro_code"]),
    place(GeoField::RegionName, "REGION_NAME", &["region_name"], &["geo", "region_name"], &["subdivisions", "-1", "names", "en"]),
    place(GeoField::RegionCode, "REGION_CODE", &["region_code"], &["geo", "region_code"], &["subdivisions", "-1", "iso_code"]),
    place(GeoField::RegionIsoCode, "REGION_ISO_CODE", &["region_iso_code"], &["geo", "region_iso_code"],
        &["@join", "-", "country", "iso_code", "", "subdivisions", "-1", "iso_code"]),
    place(GeoField::Timezone, "TIMEZONE", &["timezone"], &["geo", "timezone"], &["location", "time_zone"]),
    place(GeoField::Location, "LOCATION", &["location"], &["geo", "location"], LATITUDE),
    place(GeoField::Latitude, "LATITUDE", &["latitude"], &["geo", "location", "lat"], LATITUDE),
    place(GeoField::Longitude, "LONGITUDE", &["longitude"], &["geo", "location", "lon"], LONGITUDE),
    of_traits(GeoField::AutonomousSystemNumber, "AUTONOMOUS_SYSTEM_NUMBER", &["asn"], &["as", "number"],
        &["autonomous_system_number"], &["traits", "autonomous_system_number"]),
    of_traits(GeoField::AutonomousSystemOrganization, "AUTONOMOUS_SYSTEM_ORGANIZATION", &["as_org"], &["as", "organization", "name"],
        &["autonomous_system_organization"], &["traits", "autonomous_system_organization"]),
    place(GeoField::Isp, "ISP", &["isp"], &["mmdb", "isp"], &["isp"]),
    place(GeoField::Organization, "ORGANIZATION", &["organization"], &["mmdb", "organization"], &["organization"]),
    place(GeoField::Network, "NETWORK", &["network"], &["ip_traits", "network"], &["@network"]),
    of_traits(GeoField::HostingProvider, "HOSTING_PROVIDER", &["hosting_provider"], &["ip_traits", "hosting_provider"],
        &["is_hosting_provider"], &["traits", "is_hosting_provider"]),
    of_traits(GeoField::TorExitNode, "TOR_EXIT_NODE", &["tor_exit_node"], &["ip_traits", "tor_exit_node"],
        &["is_tor_exit_node"], &["traits", "is_tor_exit_node"]),
    of_traits(GeoField::AnonymousVpn, "ANONYMOUS_VPN", &["anonymous_vpn"], &["ip_traits", "anonymous_vpn"],
        &["is_anonymous_vpn"], &["traits", "is_anonymous_vpn"]),
    of_traits(GeoField::Anonymous, "ANONYMOUS", &["anonymous"], &["ip_traits", "anonymous"],
        &["is_anonymous"], &["traits", "is_anonymous"]),
    of_traits(GeoField::PublicProxy, "PUBLIC_PROXY", &["public_proxy"], &["ip_traits", "public_proxy"],
        &["is_public_proxy"], &["traits", "is_public_proxy"]),
    of_traits(GeoField::ResidentialProxy, "RESIDENTIAL_PROXY", &["residential_proxy"], &["ip_traits", "residential_proxy"],
        &["is_residential_proxy"], &["traits", "is_residential_proxy"]),
    place(GeoField::Domain, "DOMAIN", &["domain"], &["domain"], &["domain"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_order() {
        for (number, described) in FIELDS.iter().enumerate() {
            assert_eq!(described.field as usize, number, "{}", described.option);
            assert_eq!(GeoField::of_option(&described.option.to_lowercase()), Some(described.field));
        }
        assert_eq!(GeoField::of_option("asn"), None);
    }

    #[test]
    fn kinds_have_their_default_fields() {
        use Kind::*;
        for kind in [City, Country, Domain, Asn, Isp, Enterprise, AnonymousIp] {
            for ecs in [false, true] {
                for field in kind.default_fields(ecs) {
                    assert!(field.record(kind).is_some(), "{field:?} of {kind:?}");
                }
            }
        }
    }

    #[test]
    fn database_types() {
        let cases = [
            ("GeoLite2-City", Some(Kind::City)),
            ("DBIP-City-Lite", Some(Kind::City)),
            ("GeoIP2-Country", Some(Kind::Country)),
            ("GeoIP2-Enterprise", Some(Kind::Enterprise)),
            ("GeoIP2-Anonymous-IP", Some(Kind::AnonymousIp)),
            ("GeoIP2-Connection-Type", None),
        ];
        for (text, kind) in cases {
            assert_eq!(Kind::of_database_type(text), kind, "{text}");
        }
    }
}
