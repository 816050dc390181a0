//! Specializations of `<mgmtObj>`: policies for message and delivery handling.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::{Mandatory as M, Optional as O};
use crate::schema::complex;
use crate::schema::definition::{Specialization, SpecializationDef, attr};
use crate::schema::kind::Kind::{Any, Bool, Complex, EventCategory, Id, Int, Text, UInt};

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "m2m:cmp",
        announced_root: None,
        name: "cmdhPolicy",
        release: 1,
        specialization: Some(Specialization::MgmtDefinition(1011)),
        attributes: &[attr("cpn", "cmdhPolicyName", Text, M, O).required().oa()],
    },
    SpecializationDef {
        root: "m2m:acmp",
        announced_root: None,
        name: "activeCmdhPolicy",
        release: 1,
        specialization: Some(Specialization::MgmtDefinition(1012)),
        attributes: &[attr("acmlk", "activeCmdhPolicyLink", Id, M, O).required().oa()],
    },
    SpecializationDef {
        root: "m2m:cmdf",
        announced_root: None,
        name: "cmdhDefaults",
        release: 1,
        specialization: Some(Specialization::MgmtDefinition(1013)),
        attributes: &[],
    },
    SpecializationDef {
        root: "m2m:cmdv",
        announced_root: None,
        name: "cmdhDefEcValue",
        release: 1,
        specialization: Some(Specialization::MgmtDefinition(1014)),
        attributes: &[
            attr("od", "order", UInt { min: 1 }, M, O).required().oa(),
            attr("dev", "defEcValue", EventCategory, M, O).required().oa(),
            attr("ror", "requestOrigin", Id, M, O).list().required().oa(),
            attr("rct", "requestContext", Any, O, O).oa(),
            attr("rctn", "requestContextNotification", Bool, O, O).oa(),
            attr("rch", "requestCharacteristics", Any, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "m2m:cmpv",
        announced_root: None,
        name: "cmdhEcDefParamValues",
        release: 1,
        specialization: Some(Specialization::MgmtDefinition(1015)),
        attributes: &[
            attr("aec", "applicableEventCategory", Int { min: 0, max: 999 }, M, O).list().required().oa(),
            attr("dqet", "defaultRequestExpTime", Int { min: i64::MIN, max: i64::MAX }, M, O).required().oa(),
            attr("dset", "defaultResultExpTime", Int { min: i64::MIN, max: i64::MAX }, M, O).required().oa(),
            attr("doet", "defaultOpExecTime", Int { min: i64::MIN, max: i64::MAX }, M, O).required().oa(),
            attr("drp", "defaultRespPersistence", Int { min: i64::MIN, max: i64::MAX }, M, O).required().oa(),
            attr("dda", "defaultDelAggregation", Bool, M, O).required().oa(),
        ],
    },
    SpecializationDef {
        root: "m2m:cml",
        announced_root: None,
        name: "cmdhLimits",
        release: 1,
        specialization: Some(Specialization::MgmtDefinition(1016)),
        attributes: &[
            attr("od", "order", UInt { min: 1 }, M, O).required().oa(),
            attr("ror", "requestOrigin", Id, M, O).list().required().oa(),
            attr("rct", "requestContext", Any, O, O).oa(),
            attr("rctn", "requestContextNotification", Bool, O, O).oa(),
            attr("rch", "requestCharacteristics", Any, O, O).oa(),
            attr("lec", "limitsEventCategory", EventCategory, M, O).list().required().oa(),
            attr("lqet", "limitsRequestExpTime", Int { min: i64::MIN, max: i64::MAX }, M, O).list().required().oa(),
            attr("lset", "limitsResultExpTime", Int { min: i64::MIN, max: i64::MAX }, M, O).list().required().oa(),
            attr("loet", "limitsOpExecTime", Int { min: i64::MIN, max: i64::MAX }, M, O).list().required().oa(),
            attr("lrp", "limitsRespPersistence", Int { min: i64::MIN, max: i64::MAX }, M, O).list().required().oa(),
            attr("lda", "limitsDelAggregation", Bool, M, O).list().required().oa(),
        ],
    },
    SpecializationDef {
        root: "m2m:cmnr",
        announced_root: None,
        name: "cmdhNetworkAccessRules",
        release: 1,
        specialization: Some(Specialization::MgmtDefinition(1017)),
        attributes: &[attr("aecs", "applicableEventCategories", Int { min: 0, max: 999 }, M, O).list().required().oa()],
    },
    SpecializationDef {
        root: "m2m:cmwr",
        announced_root: None,
        name: "cmdhNwAccessRule",
        release: 1,
        specialization: Some(Specialization::MgmtDefinition(1018)),
        attributes: &[
            attr("ttn", "targetNetwork", Id, M, O).list().required().oa(),
            attr("mrv", "minReqVolume", UInt { min: 0 }, M, O).required().oa(),
            attr("swt", "spreadingWaitTime", UInt { min: 0 }, M, O).required().oa(),
            attr("bop", "backOffParameters", Complex(&complex::BACK_OFF_PARAMETERS), M, O).required().oa(),
            attr("ohc", "otherConditions", Any, O, O).oa(),
        ],
    },
    SpecializationDef {
        root: "m2m:cmbf",
        announced_root: None,
        name: "cmdhBuffer",
        release: 1,
        specialization: Some(Specialization::MgmtDefinition(1019)),
        attributes: &[
            attr("aec", "applicableEventCategory", Int { min: 0, max: 999 }, M, O).list().required().oa(),
            attr("mbfs", "maxBufferSize", UInt { min: 0 }, M, O).required().oa(),
            attr("sgp", "storagePriority", UInt { min: 1 }, M, O).required().oa(),
        ],
    },
];
