//! Specializations of `<flexContainer>`: domain `cid`, from `cid:dMPMr` to `cid:deWSn`.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::Optional as O;
use crate::schema::definition::{Specialization, SpecializationDef, attr};
use crate::schema::kind::Kind::Text;

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "cid:dMPMr",
        announced_root: Some("cid:dMPMrAnnc"),
        name: "deviceMagneticParkingMonitor",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.city.device.deviceMagneticParkingMonitor",
        )),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "cid:dSEMr",
        announced_root: Some("cid:dSEMrAnnc"),
        name: "deviceSmartElectricMeter",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.city.device.deviceSmartElectricMeter")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "cid:dSGMr",
        announced_root: Some("cid:dSGMrAnnc"),
        name: "deviceSmartGasMeter",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.city.device.deviceSmartGasMeter")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "cid:dSLCr",
        announced_root: Some("cid:dSLCrAnnc"),
        name: "deviceStreetLightController",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.city.device.deviceStreetLightController")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "cid:dSWMr",
        announced_root: Some("cid:dSWMrAnnc"),
        name: "deviceSmartWaterMeter",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.city.device.deviceSmartWaterMeter")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "cid:dWQMr",
        announced_root: Some("cid:dWQMrAnnc"),
        name: "deviceWaterQualityMonitor",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.city.device.deviceWaterQualityMonitor")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "cid:deOLp",
        announced_root: Some("cid:deOLpAnnc"),
        name: "deviceOutdoorLamp",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.city.device.deviceOutdoorLamp")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "cid:deWSn",
        announced_root: Some("cid:deWSnAnnc"),
        name: "deviceWeatherStation",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.city.device.deviceWeatherStation")),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
];
