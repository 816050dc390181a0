//! `mqtt.version`: which MQTT is spoken with an external broker.

use cse_mqtt::ProtocolVersion;

use crate::config::text::{Raw, Setting};

/// The version as people name it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MqttVersion(pub(crate) ProtocolVersion);

impl Setting for MqttVersion {
    fn read(raw: &Raw) -> Result<Self, String> {
        let text = match raw {
            Raw::Integer(number) => number.to_string(),
            Raw::Float(number) => number.to_string(),
            Raw::Text(text) => text.trim().to_owned(),
            _ => String::new(),
        };
        match text.as_str() {
            "3" | "3.1.1" => Ok(Self(ProtocolVersion::V311)),
            "5" | "5.0" => Ok(Self(ProtocolVersion::V5)),
            _ => Err(raw.is_no("version of MQTT; write 3 (for 3.1.1) or 5")),
        }
    }

    fn write(&self) -> String {
        match self.0 {
            ProtocolVersion::V311 => "3".into(),
            ProtocolVersion::V5 => "5".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_in_several_ways() {
        for (raw, version) in [
            (Raw::Integer(3), ProtocolVersion::V311),
            (Raw::Text("3.1.1".into()), ProtocolVersion::V311),
            (Raw::Integer(5), ProtocolVersion::V5),
            (Raw::Text(" 5 ".into()), ProtocolVersion::V5),
        ] {
            assert_eq!(MqttVersion::read(&raw), Ok(MqttVersion(version)));
        }
        for raw in [Raw::Integer(4), Raw::Text("3.1".into()), Raw::Bool(true)] {
            assert!(MqttVersion::read(&raw).is_err());
        }
    }
}
