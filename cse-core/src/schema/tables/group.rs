//! Groups.
//!
//! Written by `schema-gen/generate.py`.

use crate::schema::Presence::{Mandatory as M, NotPermitted as NP, Optional as O};
use crate::schema::definition::{AnnouncedDef, TypeDef, Virtual, attr};
use crate::schema::kind::Kind::{
    Bool, Complex, Duration, Enum, Id, NcName, ResourceName, SpecializationType, Text, Timestamp, Token, UInt, Uri,
};
use crate::schema::{Ty, complex, enums};

/// `<group>`
pub(in crate::schema) static GROUP: TypeDef = TypeDef {
    ty: Ty::GROUP,
    name: "group",
    short: "grp",
    root: "m2m:grp",
    release: 1,
    attributes: &[
        attr("rn", "resourceName", ResourceName, O, NP).required(),
        attr("ty", "resourceType", Enum(&enums::RESOURCE_TYPE), NP, NP).required().by_cse(),
        attr("ri", "resourceID", Id, NP, NP).required().by_cse(),
        attr("pi", "parentID", Id, NP, NP).required().by_cse(),
        attr("ct", "creationTime", Timestamp, NP, NP).required().by_cse(),
        attr("lt", "lastModifiedTime", Timestamp, NP, NP).required().by_cse(),
        attr("lbl", "labels", Token, O, O).list().ma(),
        attr("acpi", "accessControlPolicyIDs", Uri, O, O).list().ma(),
        attr("et", "expirationTime", Timestamp, O, O).required().ma(),
        attr("daci", "dynamicAuthorizationConsultationIDs", Uri, O, O).list().oa(),
        attr("at", "announceTo", Uri, O, O).list(),
        attr("aa", "announcedAttribute", NcName, O, O).list(),
        attr("cr", "creator", Id, O, NP),
        attr("mt", "memberType", Enum(&enums::MEMBER_TYPE), O, NP).required().oa(),
        attr("spty", "specializationType", SpecializationType, O, NP).oa(),
        attr("cnm", "currentNrOfMembers", UInt { min: 0 }, NP, NP).required().by_cse().oa(),
        attr("mnm", "maxNrOfMembers", UInt { min: 1 }, M, O).required().oa(),
        attr("mid", "memberIDs", Uri, M, O).list().required().oa(),
        attr("macp", "membersAccessControlPolicyIDs", Uri, O, O).list().oa(),
        attr("mtv", "memberTypeValidated", Bool, NP, NP).by_cse().oa(),
        attr("csy", "consistencyStrategy", Enum(&enums::CONSISTENCY_STRATEGY), O, NP).required().oa(),
        attr("gn", "groupName", Text, O, O).oa(),
        attr("ssi", "semanticSupportIndicator", Bool, NP, NP).by_cse().oa(),
        attr("nar", "notifyAggregation", Complex(&complex::BATCH_NOTIFY), O, O).oa(),
        attr("cstn", "custodian", Id, O, O).release(4),
        attr("ast", "announceSyncType", UInt { min: 0 }, O, O).ma().release(4),
    ],
    children: &[Ty::SUBSCRIPTION, Ty::SEMANTIC_DESCRIPTOR, Ty::TRANSACTION, Ty::ACTION],
    parents: &[
        Ty::AE,
        Ty::CSE_BASE,
        Ty::REMOTE_CSE,
        Ty::AE.announced(),
        Ty::CSE_BASE.announced(),
        Ty::REMOTE_CSE.announced(),
    ],
    virtuals: &[Virtual::FanOutPoint, Virtual::SemanticFanOutPoint],
    subscribable: true,
    in_cse_only: false,
    announced: Some(AnnouncedDef {
        name: "groupAnnc",
        root: "m2m:grpA",
        children: &[
            Ty::SUBSCRIPTION,
            Ty::SEMANTIC_DESCRIPTOR,
            Ty::TRANSACTION,
            Ty::SEMANTIC_DESCRIPTOR.announced(),
            Ty::ACTION.announced(),
        ],
    }),
    child_limits: &[],
    specialization: None,
    implemented: true,
};

/// `<localMulticastGroup>`
pub(in crate::schema) static LOCAL_MULTICAST_GROUP: TypeDef = TypeDef {
    ty: Ty::LOCAL_MULTICAST_GROUP,
    name: "localMulticastGroup",
    short: "lmg",
    root: "m2m:lmg",
    release: 3,
    attributes: &[
        attr("rn", "resourceName", ResourceName, O, NP).required(),
        attr("ty", "resourceType", Enum(&enums::RESOURCE_TYPE), NP, NP).required().by_cse(),
        attr("ri", "resourceID", Id, NP, NP).required().by_cse(),
        attr("pi", "parentID", Id, NP, NP).required().by_cse(),
        attr("ct", "creationTime", Timestamp, NP, NP).required().by_cse(),
        attr("lt", "lastModifiedTime", Timestamp, NP, NP).required().by_cse(),
        attr("lbl", "labels", Token, O, O).list(),
        attr("acpi", "accessControlPolicyIDs", Uri, O, O).list(),
        attr("et", "expirationTime", Timestamp, O, O).required(),
        attr("daci", "dynamicAuthorizationConsultationIDs", Uri, O, O).list(),
        attr("at", "announceTo", Uri, O, O).list(),
        attr("aa", "announcedAttribute", NcName, O, O).list(),
        attr("egid", "externalGroupID", Id, O, O),
        attr("mad", "multicastAddress", Complex(&complex::IP_ADDRESS), M, O).required(),
        attr("mgft", "multicastGroupFanoutTarget", Uri, M, NP).required(),
        attr("mli", "memberList", Uri, M, O).list().required(),
        attr("rstt", "responseTarget", Uri, O, O).required(),
        attr("rstw", "responseTimeWindow", Duration, O, O),
        attr("tmgi", "TMGI", Text, O, O),
    ],
    children: &[],
    parents: &[Ty::CSE_BASE],
    virtuals: &[],
    subscribable: false,
    in_cse_only: false,
    announced: None,
    child_limits: &[],
    specialization: None,
    implemented: false,
};
