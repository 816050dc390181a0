//! Specializations of `<flexContainer>`: domain `mdd`, from `mdd:feats` to `mdd:orign`.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::{Mandatory as M, Optional as O};
use crate::schema::definition::{Specialization, SpecializationDef, attr};
use crate::schema::kind::Kind::{Any, Float, Int, Text, Timestamp};

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "mdd:feats",
        announced_root: Some("mdd:featsAnnc"),
        name: "features",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.metadata.moduleclass.features")),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("metaa", "metadata", Any, O, O).list().oa(),
            attr("precn", "precision", Int { min: i64::MIN, max: i64::MAX }, O, O).oa(),
            attr("reliy", "reliability", Int { min: i64::MIN, max: i64::MAX }, O, O).oa(),
            attr("weigt", "weight", Float, O, O).oa(),
            attr("size", "size", Any, O, O).list().oa(),
        ],
    },
    SpecializationDef {
        root: "mdd:loca0",
        announced_root: Some("mdd:loca0Annc"),
        name: "localization",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.metadata.moduleclass.localization")),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("locae", "locale", Text, M, O).required().oa(),
            attr("friNe", "friendlyName", Text, O, O).oa(),
            attr("dc", "description", Text, O, O).oa(),
            attr("friLn", "friendlyLocation", Text, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "mdd:locan",
        announced_root: Some("mdd:locanAnnc"),
        name: "location",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.metadata.moduleclass.location")),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("posAs", "postalAddress", Text, O, O).oa(),
            attr("geoJN", "geoJSON", Text, O, O).oa(),
            attr("friLn", "friendlyLocation", Text, O, O).oa(),
            attr("room", "room", Text, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "mdd:orign",
        announced_root: Some("mdd:orignAnnc"),
        name: "origin",
        release: 2,
        specialization: Some(Specialization::ContainerDefinition("org.onem2m.metadata.moduleclass.origin")),
        attributes: &[
            attr("dgt", "dataGenerationTime", Timestamp, O, O).oa(),
            attr("oriID", "originID", Text, O, O).oa(),
            attr("datTe", "dataType", Text, O, O).oa(),
            attr("daSID", "dataSourceID", Text, O, O).oa(),
        ],
    },
];
