//! Specializations of `<flexContainer>`: domain `m2m`, from `m2m:ajap` to `m2m:gis`.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::{Mandatory as M, NotPermitted as NP, Optional as O};
use crate::schema::definition::{SpecializationDef, attr};
use crate::schema::kind::Kind::{Any, Bool, Int, Text, Uri};

pub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[
    SpecializationDef {
        root: "m2m:ajap",
        announced_root: Some("m2m:ajapA"),
        name: "allJoynApp",
        release: 2,
        specialization: None,
        attributes: &[attr("dir", "direction", Int { min: i64::MIN, max: i64::MAX }, M, NP).required().oa()],
    },
    SpecializationDef {
        root: "m2m:ajfw",
        announced_root: Some("m2m:ajfwA"),
        name: "svcFwWrapper",
        release: 2,
        specialization: None,
        attributes: &[],
    },
    SpecializationDef {
        root: "m2m:ajif",
        announced_root: Some("m2m:ajifA"),
        name: "allJoynInterface",
        release: 2,
        specialization: None,
        attributes: &[attr("ajir", "interfaceIntrospectXmlRef", Uri, M, O).required().oa()],
    },
    SpecializationDef {
        root: "m2m:ajmc",
        announced_root: Some("m2m:ajmcA"),
        name: "allJoynMethod",
        release: 2,
        specialization: None,
        attributes: &[
            attr("inp", "input", Text, O, NP).required().oa(),
            attr("clst", "callStatus", Text, O, O).required().oa(),
            attr("out", "output", Text, O, O).required().oa(),
        ],
    },
    SpecializationDef {
        root: "m2m:ajmd",
        announced_root: Some("m2m:ajmdA"),
        name: "allJoynMethod",
        release: 2,
        specialization: None,
        attributes: &[],
    },
    SpecializationDef {
        root: "m2m:ajpr",
        announced_root: Some("m2m:ajprA"),
        name: "allJoynProperty",
        release: 2,
        specialization: None,
        attributes: &[
            attr("crv", "currentValue", Text, O, NP).required().oa(),
            attr("rqv", "requestedValue", Text, O, O).required().oa(),
        ],
    },
    SpecializationDef {
        root: "m2m:ajso",
        announced_root: Some("m2m:ajsoA"),
        name: "allJoynSvcObject",
        release: 2,
        specialization: None,
        attributes: &[
            attr("ajop", "objectPath", Text, M, NP).required().oa(),
            attr("ena", "enable", Bool, M, O).required().oa(),
        ],
    },
    SpecializationDef {
        root: "m2m:ajsw",
        announced_root: Some("m2m:ajswA"),
        name: "svcObjWrapper",
        release: 2,
        specialization: None,
        attributes: &[],
    },
    SpecializationDef {
        root: "m2m:gio",
        announced_root: Some("m2m:gioA"),
        name: "genericInterworkingOperationInstance",
        release: 2,
        specialization: None,
        attributes: &[
            attr("gion", "operationName", Text, M, NP).required().oa(),
            attr("giip", "inputDataPointLinks", Any, O, O).list().oa(),
            attr("giop", "outputDataPointLinks", Any, O, O).list().oa(),
            attr("giil", "inputLinks", Any, O, O).list().oa(),
            attr("giol", "outputLinks", Any, O, O).list().oa(),
            attr("gios", "operationState", Text, M, O).required().oa(),
        ],
    },
    SpecializationDef {
        root: "m2m:gis",
        announced_root: Some("m2m:gisA"),
        name: "genericInterworkingService",
        release: 2,
        specialization: None,
        attributes: &[
            attr("gisn", "serviceName", Text, M, NP).oa(),
            attr("giip", "inputDataPointLinks", Any, O, O).list().oa(),
            attr("giop", "outputDataPointLinks", Any, O, O).list().oa(),
        ],
    },
];
