//! `accessControlContexts`: when, from which address and from where a rule is for (TS-0003 §7.1.3).

use std::net::IpAddr;

use ipnet::IpNet;

use super::policy::{Location, Question, one_or_many};
use crate::schedule::ScheduleEntry;
use crate::value::Value;

/// Mean radius of the earth.
const EARTH_RADIUS_METRES: f64 = 6_371_008.8;

/// One entry of `acco`. All conditions that are there must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Context {
    windows: Option<Vec<ScheduleEntry>>,
    networks: Option<Vec<IpNet>>,
    regions: Option<Vec<Region>>,
}

/// One admissible location.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Region {
    Circle {
        centre: Location,
        radius_metres: f64,
    },
    /// Countries, whose borders are not known here.
    Unknown,
}

impl Context {
    /// `None` if something is malformed or not supported.
    pub(super) fn compile(context: &Value) -> Option<Self> {
        let mut compiled = Self { windows: None, networks: None, regions: None };
        for (name, value) in context.as_map()?.iter() {
            match name.as_str() {
                "actw" => {
                    let window = |value: &Value| ScheduleEntry::parse(value.as_text()?).ok();
                    compiled.windows = Some(one_or_many(value).iter().map(window).collect::<Option<_>>()?);
                }
                "acip" => compiled.networks = Some(networks(value)?),
                "aclr" => {
                    compiled.regions = Some(one_or_many(value).iter().map(Region::compile).collect::<Option<_>>()?);
                }
                _ => return None,
            }
        }
        Some(compiled)
    }

    pub(super) fn holds(&self, question: &Question<'_>) -> bool {
        self.networks.as_ref().is_none_or(|networks| {
            let address = question.peer_address.map(|address| address.to_canonical());
            address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
        }) && self.regions.as_ref().is_none_or(|regions| {
            question.location.is_some_and(|location| regions.iter().any(|region| region.contains(location)))
        }) && self.windows.as_ref().is_none_or(|windows| windows.iter().any(|window| window.contains(question.now)))
    }
}

impl Context {
    /// Whether it says anything of where the originator is.
    pub(super) fn has_regions(&self) -> bool {
        self.regions.is_some()
    }
}

impl Region {
    fn compile(region: &Value) -> Option<Self> {
        match region.as_map()?.only()? {
            (name, value) if name == "accr" => {
                let [latitude, longitude, radius_metres] = value.as_list()? else { return None };
                let centre = Location { latitude: number(latitude)?, longitude: number(longitude)? };
                let radius_metres = number(radius_metres)?;
                let valid = centre.latitude.abs() <= 90.0 && centre.longitude.abs() <= 180.0 && radius_metres >= 0.0;
                valid.then_some(Self::Circle { centre, radius_metres })
            }
            (name, _) if name == "accc" => Some(Self::Unknown),
            _ => None,
        }
    }

    fn contains(self, location: Location) -> bool {
        match self {
            Self::Circle { centre, radius_metres } => distance_metres(centre, location) <= radius_metres,
            Self::Unknown => false,
        }
    }
}

/// The networks of `{"ipv4": [...], "ipv6": [...]}`, each an address with or without CIDR suffix.
fn networks(value: &Value) -> Option<Vec<IpNet>> {
    let mut networks = Vec::new();
    for (name, list) in value.as_map()?.iter() {
        for text in one_or_many(list) {
            let text = text.as_text()?;
            let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
            match (name.as_str(), network) {
                ("ipv4", IpNet::V4(_)) => networks.push(network),
                ("ipv6", IpNet::V6(_)) => networks.push(network),
                _ => return None,
            }
        }
    }
    Some(networks)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(int) => Some(*int as f64),
        Value::UInt(int) => Some(*int as f64),
        Value::Float(float) => Some(*float).filter(|float| float.is_finite()),
        _ => None,
    }
}

/// Along the surface of a sphere (haversine formula): off by at most half a percent. NaN if a coordinate is.
fn distance_metres(one: Location, other: Location) -> f64 {
    let (latitude, other_latitude) = (one.latitude.to_radians(), other.latitude.to_radians());
    let across = ((other_latitude - latitude) / 2.0).sin().powi(2);
    let along = ((other.longitude - one.longitude).to_radians() / 2.0).sin().powi(2);
    let haversine = across + latitude.cos() * other_latitude.cos() * along;
    2.0 * EARTH_RADIUS_METRES * haversine.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_globe() {
        let at = |latitude, longitude| Location { latitude, longitude };
        for (one, other, kilometres) in [
            (at(52.5, 13.4), at(52.5, 13.4), 0.0),
            (at(0.0, 0.0), at(0.0, 90.0), 10_007.6),
            (at(0.0, 179.5), at(0.0, -179.5), 111.2),
            (at(90.0, 0.0), at(-90.0, 77.0), 20_015.1),
            (at(48.8566, 2.3522), at(51.5074, -0.1278), 343.6),
        ] {
            let found = distance_metres(one, other) / 1000.0;
            assert!((found - kilometres).abs() < 0.1, "{one:?} {other:?}: {found}");
        }
        assert!(distance_metres(at(f64::NAN, 0.0), at(0.0, 0.0)).is_nan());
    }

    #[test]
    fn what_is_malformed_or_not_supported_is_refused() {
        for json in [
            r#"{"actw":["* * * * * *"]}"#,
            r#"{"actw":[3]}"#,
            r#"{"actw":["* * * * * * *","x"]}"#,
            r#"{"acip":["10.0.0.1"]}"#,
            r#"{"acip":{"ipv4":["10.0.0.256"]}}"#,
            r#"{"acip":{"ipv4":["10.0.0.0/33"]}}"#,
            r#"{"acip":{"ipv4":["::1"]}}"#,
            r#"{"acip":{"ipv6":["10.0.0.1"]}}"#,
            r#"{"acip":{"ipv5":["10.0.0.1"]}}"#,
            r#"{"acip":{"ipv4":["10.0.0.1"],"ipv6":[1]}}"#,
            r#"{"aclr":{"accr":[1,2]}}"#,
            r#"{"aclr":{"accr":[91,2,3]}}"#,
            r#"{"aclr":{"accr":[1,181,3]}}"#,
            r#"{"aclr":{"accr":[1,2,-3]}}"#,
            r#"{"aclr":{"accr":[1,2,"3"]}}"#,
            r#"{"aclr":{"accr":[1,2,3],"accc":["DE"]}}"#,
            r#"{"aclr":{"other":[1,2,3]}}"#,
            r#"{"acui":["someone"]}"#,
            r#"{"acec":{"optr":1,"sbjt":"x","thld":1}}"#,
            r#"{"acl":3}"#,
            r#"{"actw":["* * * * * * *"],"other":1}"#,
            "3",
            "null",
        ] {
            let value: Value = serde_json::from_str(json).expect("valid JSON");
            assert_eq!(Context::compile(&value), None, "{json}");
        }
    }
}
