//! Specializations of `<flexContainer>`: domain `ved`, from `ved:dEVCr` to `ved:deEMe`.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::Optional as O;
use crate::schema::definition::{Specialization, SpecializationDef, attr};
use crate::schema::kind::Kind::Text;

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "ved:dEVCr",
        announced_root: Some("ved:dEVCrAnnc"),
        name: "deviceElectricVehicleCharger",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.vehicular.device.deviceElectricVehicleCharger",
        )),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
    SpecializationDef {
        root: "ved:deEMe",
        announced_root: Some("ved:deEMeAnnc"),
        name: "deviceElectricMotorcycle",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition(
            "org.onem2m.vehicular.device.deviceElectricMotorcycle",
        )),
        attributes: &[attr("nodLk", "nodeLink", Text, O, O).oa(), attr("flNLk", "flexNodeLink", Text, O, O).oa()],
    },
];
