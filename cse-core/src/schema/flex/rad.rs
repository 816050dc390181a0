//! Specializations of `<flexContainer>`: domain `rad`, from `rad:baTMe` to `rad:deTTl`.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::Optional as O;
use crate::schema::definition::{Specialization, SpecializationDef, attr};
use crate::schema::kind::Kind::{Text, Timestamp, UInt};

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "rad:baTMe",
        announced_root: Some("rad:baTMeAnnc"),
        name: "baliseTransmissionModule",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.railway.moduleclass.baliseTransmissionModule",
        )),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("baSId", "baliseSystemId", UInt { min: 0 }, O, O).oa(),
            attr("telMe", "telegramMessage", Text, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "rad:dCRMe",
        announced_root: Some("rad:dCRMeAnnc"),
        name: "deviceCardRechargingMachine",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.railway.device.deviceCardRechargingMachine",
        )),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "rad:dHPTT",
        announced_root: Some("rad:dHPTTAnnc"),
        name: "deviceHandheldPTTTerminal",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.railway.device.deviceHandheldPTTTerminal",
        )),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "rad:dSSDr",
        announced_root: Some("rad:dSSDrAnnc"),
        name: "deviceSmartScreenDoor",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.railway.device.deviceSmartScreenDoor")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "rad:deSGe",
        announced_root: Some("rad:deSGeAnnc"),
        name: "deviceSmartGate",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.railway.device.deviceSmartGate")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "rad:deTTl",
        announced_root: Some("rad:deTTlAnnc"),
        name: "deviceTrainborneTerminal",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.railway.device.deviceTrainborneTerminal")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
];
