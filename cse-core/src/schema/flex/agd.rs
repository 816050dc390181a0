//! Specializations of `<flexContainer>`: domain `agd`, from `agd:coAMr` to `agd:dCAMr`.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::{Mandatory as M, Optional as O};
use crate::schema::definition::{Specialization, SpecializationDef, attr};
use crate::schema::kind::Kind::{Any, Text, Timestamp};

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "agd:coAMr",
        announced_root: Some("agd:coAMrAnnc"),
        name: "cowActivityMonitor",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.agriculture.moduleclass.cowActivityMonitor",
        )),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("stPPd", "stepsPerPeriod", Any, M, O).list().required().oa(),
            attr("updTe", "updateTime", Timestamp, O, O).oa(),
            attr("hiSCs", "historyStepCounts", Any, M, O).list().required().oa(),
        ],
    },
    SpecializationDef {
        root: "agd:dCAMr",
        announced_root: Some("agd:dCAMrAnnc"),
        name: "deviceCowActivityMonitor",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.agriculture.device.deviceCowActivityMonitor",
        )),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
];
