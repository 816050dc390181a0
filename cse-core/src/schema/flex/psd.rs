//! Specializations of `<flexContainer>`: domain `psd`, from `psd:cancl` to `psd:setts`.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::{Mandatory as M, Optional as O};
use crate::schema::definition::{Specialization, SpecializationDef, attr};
use crate::schema::kind::Kind::{Any, Bool, Float, Int, Text, Timestamp, UInt};

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "psd:cancl",
        announced_root: Some("psd:canclAnnc"),
        name: "cancel",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.publicsafety.action.cancel")),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("warIr", "warningIdentifier", Text, M, O).required().oa(),
        ],
    },
    SpecializationDef {
        root: "psd:dPWSC",
        announced_root: Some("psd:dPWSCAnnc"),
        name: "devicePWSCenter",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.publicsafety.device.devicePWSCenter")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "psd:dPWSE",
        announced_root: Some("psd:dPWSEAnnc"),
        name: "devicePWSEquipment",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.publicsafety.device.devicePWSEquipment")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "psd:dissr",
        announced_root: Some("psd:dissrAnnc"),
        name: "disseminator",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.publicsafety.moduleclass.disseminator")),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("idenr", "identifier", Text, M, O).required().oa(),
            attr("sendr", "sender", Text, M, O).required().oa(),
            attr("sent", "sent", Text, M, O).required().oa(),
            attr("sus", "status", UInt { min: 0 }, M, O).required().oa(),
            attr("msgTe", "msgType", UInt { min: 0 }, M, O).required().oa(),
            attr("refes", "references", Any, O, O).list().oa(),
            attr("urgey", "urgency", UInt { min: 0 }, M, O).required().oa(),
            attr("sevey", "severity", UInt { min: 0 }, M, O).required().oa(),
            attr("certy", "certainty", UInt { min: 0 }, M, O).required().oa(),
            attr("eveCs", "eventCodes", Any, M, O).list().required().oa(),
            attr("effee", "effective", Text, O, O).oa(),
            attr("onset", "onset", Text, O, O).oa(),
            attr("expis", "expires", Text, O, O).oa(),
            attr("areLe", "areaLatitude", Float, O, O).oa(),
            attr("areL0", "areaLongitude", Float, O, O).oa(),
            attr("areRs", "areaRadius", Float, O, O).oa(),
            attr("repPd", "repetitionPeriod", Int { min: i64::MIN, max: i64::MAX }, M, O).required().oa(),
            attr("repCt", "repetitionCount", Int { min: i64::MIN, max: i64::MAX }, M, O).required().oa(),
        ],
    },
    SpecializationDef {
        root: "psd:emeHr",
        announced_root: Some("psd:emeHrAnnc"),
        name: "emergencyHandler",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.publicsafety.moduleclass.emergencyHandler",
        )),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("emeMe", "emergencyMode", Bool, M, O).required().oa(),
            attr("idenr", "identifier", Text, M, O).required().oa(),
            attr("sendr", "sender", Text, M, O).required().oa(),
            attr("sent", "sent", Text, M, O).required().oa(),
            attr("sus", "status", UInt { min: 0 }, M, O).required().oa(),
            attr("msgTe", "msgType", UInt { min: 0 }, M, O).required().oa(),
            attr("refes", "references", Any, O, O).list().oa(),
            attr("urgey", "urgency", UInt { min: 0 }, M, O).required().oa(),
            attr("sevey", "severity", UInt { min: 0 }, M, O).required().oa(),
            attr("certy", "certainty", UInt { min: 0 }, M, O).required().oa(),
            attr("eveCs", "eventCodes", Any, M, O).list().required().oa(),
            attr("effee", "effective", Text, O, O).oa(),
            attr("onset", "onset", Text, O, O).oa(),
            attr("expis", "expires", Text, O, O).oa(),
            attr("areLe", "areaLatitude", Float, O, O).oa(),
            attr("areL0", "areaLongitude", Float, O, O).oa(),
            attr("areRs", "areaRadius", Float, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "psd:setts",
        announced_root: Some("psd:settsAnnc"),
        name: "settings",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.publicsafety.moduleclass.settings")),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("optSs", "optoutStatus", Bool, M, O).required().oa(),
        ],
    },
];
