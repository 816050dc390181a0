//! Specializations of `<mgmtObj>`: configuration of field devices (TS-0022).
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::{Mandatory as M, NotPermitted as NP, Optional as O};
use crate::schema::definition::{Specialization, SpecializationDef, attr};
use crate::schema::kind::Kind::{Bool, Complex, Enum, Id, Int, Text, UInt, Uri};
use crate::schema::{complex, enums};

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "dcfg:datc",
        announced_root: None,
        name: "dataCollection",
        release: 2,
        specialization: Some(Specialization::MgmtDefinition(1021)),
        attributes: &[
            attr("cstn", "custodian", Id, O, O),
            attr("ast", "announceSyncType", UInt { min: 0 }, O, O).ma(),
            attr("cntp", "containerPath", Text, M, O).required().oa(),
            attr("rpsc", "reportingSchedule", Complex(&complex::SCHEDULE_ENTRIES), O, O).list().oa(),
            attr("mesc", "measurementSchedule", Complex(&complex::SCHEDULE_ENTRIES), O, O).list().oa(),
            attr("meil", "measurementInterval", UInt { min: 1 }, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "dcfg:nycfc",
        announced_root: None,
        name: "myCertFileCred",
        release: 2,
        specialization: Some(Specialization::MgmtDefinition(1023)),
        attributes: &[
            attr("cstn", "custodian", Id, O, O),
            attr("ast", "announceSyncType", UInt { min: 0 }, O, O).ma(),
            attr("suids", "SUIDs", Enum(&enums::SUID), M, O).list().required().oa(),
            attr("mcff", "myCertFileFormat", Uri, M, NP).required().oa(),
            attr("mcfc", "myCertFileContent", Text, M, NP).required().oa(),
        ],
    },
    SpecializationDef {
        root: "dcfg:wific",
        announced_root: None,
        name: "wifiClient",
        release: 4,
        specialization: Some(Specialization::MgmtDefinition(1028)),
        attributes: &[
            attr("cstn", "custodian", Id, O, O),
            attr("ast", "announceSyncType", UInt { min: 0 }, O, O).ma(),
            attr("ssid", "ssid", Text, M, O).required().oa(),
            attr("wcrds", "credentials", Complex(&complex::WIFI_CREDENTIALS), O, O).oa(),
            attr("maca", "macAddress", Text, O, O).oa(),
            attr("chanl", "channel", Text, O, O).oa(),
            attr("cons", "connectionStatus", Enum(&enums::WIFI_CONNECTION_STATUS), O, O).required().oa(),
            attr("scan", "scan", Bool, M, O).required().oa(),
            attr("scanr", "scanResult", Text, O, O).list().required().oa(),
            attr("ud", "update", Bool, O, O).required().oa(),
            attr("uds", "updateStatus", Complex(&complex::ACTION_STATUS), O, O).oa(),
            attr("trdst", "toggleRadioStatus", Bool, O, O).required().oa(),
            attr("rdst", "radioStatus", Bool, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "dcfg:crds",
        announced_root: None,
        name: "credentials",
        release: 4,
        specialization: Some(Specialization::MgmtDefinition(1029)),
        attributes: &[
            attr("cstn", "custodian", Id, O, O),
            attr("ast", "announceSyncType", UInt { min: 0 }, O, O).ma(),
            attr("pur", "purpose", Text, O, O).oa(),
            attr("crid", "credentialID", Text, O, O).oa(),
            attr("crse", "credentialSecret", Text, O, O).oa(),
            attr("crtk", "credentialToken", Text, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "dcfg:sim",
        announced_root: None,
        name: "SIM",
        release: 4,
        specialization: Some(Specialization::MgmtDefinition(1030)),
        attributes: &[
            attr("cstn", "custodian", Id, O, O),
            attr("ast", "announceSyncType", UInt { min: 0 }, O, O).ma(),
            attr("imsi", "imsi", Text, O, O).oa(),
            attr("icid", "iccid", Text, M, O).required().oa(),
            attr("sist", "simStatus", Enum(&enums::SIM_STATUS), O, O).oa(),
            attr("sity", "simType", Enum(&enums::SIM_TYPE), O, O).oa(),
            attr("spn", "serviceProviderName", Text, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "dcfg:mnwk",
        announced_root: None,
        name: "mobileNetwork",
        release: 4,
        specialization: Some(Specialization::MgmtDefinition(1031)),
        attributes: &[
            attr("cstn", "custodian", Id, O, O),
            attr("ast", "announceSyncType", UInt { min: 0 }, O, O).ma(),
            attr("cnb", "cellularNetworkBearer", Enum(&enums::CELLULAR_NETWORK_BEARER), M, O).oa(),
            attr("rss", "radioSignalStrength", Int { min: i64::MIN, max: i64::MAX }, O, O).oa(),
            attr("liqu", "linkQuality", Int { min: i64::MIN, max: i64::MAX }, O, O).oa(),
            attr("ipad", "ipAddresses", Complex(&complex::IP_ADDRESS), O, O).list().oa(),
            attr("ripa", "routerIPAddresses", Complex(&complex::IP_ADDRESS), O, O).list().oa(),
            attr("apna", "apn", Text, O, O).list().oa(),
            attr("ceid", "cellID", Int { min: i64::MIN, max: i64::MAX }, O, O).oa(),
            attr("smnc", "smnc", Int { min: i64::MIN, max: i64::MAX }, O, O).oa(),
            attr("smcc", "smcc", Int { min: i64::MIN, max: i64::MAX }, O, O).oa(),
            attr("lac", "lac", Int { min: i64::MIN, max: i64::MAX }, O, O).oa(),
            attr("coel", "coverageEnhancementLevel", Enum(&enums::COVERAGE_ENHANCEMENT_LEVEL), O, O).oa(),
        ],
    },
];
