//! Specializations of `<flexContainer>`: domain `hed`, from `hed:dBPMr` to `hed:suDCf`.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::Optional as O;
use crate::schema::definition::{Specialization, SpecializationDef, attr};
use crate::schema::kind::Kind::Text;

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "hed:dBPMr",
        announced_root: Some("hed:dBPMrAnnc"),
        name: "deviceBloodPressureMonitor",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.health.device.deviceBloodPressureMonitor",
        )),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "hed:dHRMr",
        announced_root: Some("hed:dHRMrAnnc"),
        name: "deviceHeartRateMonitor",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.health.device.deviceHeartRateMonitor")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "hed:dWSAB",
        announced_root: Some("hed:dWSABAnnc"),
        name: "deviceWeightScaleAndBodyCompositionAnalyser",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.health.device.deviceWeightScaleAndBodyCompositionAnalyser",
        )),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "hed:dePOr",
        announced_root: Some("hed:dePOrAnnc"),
        name: "devicePulseOximeter",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.health.device.devicePulseOximeter")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "hed:devGr",
        announced_root: Some("hed:devGrAnnc"),
        name: "deviceGlucosemeter",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.health.device.deviceGlucosemeter")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "hed:suDCf",
        announced_root: Some("hed:suDCfAnnc"),
        name: "subDeviceCuff",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.health.subdevice.subDeviceCuff")),
        attributes: &[],
    },
];
