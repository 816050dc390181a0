//! The tables of the resource types, one file for each area (TS-0004 §7.4, TS-0001 §9.6).
//!
//! Written by `schema-gen/generate.py`.

mod access;
mod cmdh;
pub(super) mod data;
mod delivery;
mod device;
mod field_device;
mod group;
pub(super) mod management;
mod process;
mod registration;
mod semantic;
mod service;
mod subscription;

use super::Presence::{Mandatory as M, NotPermitted as NP, Optional as O};
use super::definition::{AttrDef, SpecializationDef, TypeDef, attr};
use super::enums;
use super::kind::Kind::{Enum, Id, ResourceName, Timestamp, Token, Uri};

/// All types that have a number of their own, in ascending order.
pub(super) static ALL: &[&TypeDef] = &[
    &access::ACCESS_CONTROL_POLICY,
    &registration::AE,
    &data::CONTAINER,
    &data::CONTENT_INSTANCE,
    &registration::CSE_BASE,
    &delivery::DELIVERY,
    &service::EVENT_CONFIG,
    &management::EXEC_INSTANCE,
    &group::GROUP,
    &delivery::LOCATION_POLICY,
    &service::M2M_SERVICE_SUBSCRIPTION_PROFILE,
    &management::MGMT_CMD,
    &management::MGMT_OBJ,
    &management::NODE,
    &delivery::POLLING_CHANNEL,
    &registration::REMOTE_CSE,
    &delivery::REQUEST,
    &delivery::SCHEDULE,
    &service::SERVICE_SUBSCRIBED_APP_RULE,
    &service::SERVICE_SUBSCRIBED_NODE,
    &service::STATS_COLLECT,
    &service::STATS_CONFIG,
    &subscription::SUBSCRIPTION,
    &semantic::SEMANTIC_DESCRIPTOR,
    &subscription::NOTIFICATION_TARGET_MGMT_POLICY_REF,
    &subscription::NOTIFICATION_TARGET_POLICY,
    &subscription::POLICY_DELETION_RULES,
    &data::FLEX_CONTAINER,
    &data::TIME_SERIES,
    &data::TIME_SERIES_INSTANCE,
    &access::ROLE,
    &access::TOKEN,
    &access::DYNAMIC_AUTHORIZATION_CONSULTATION,
    &access::AUTHORIZATION_DECISION,
    &access::AUTHORIZATION_POLICY,
    &access::AUTHORIZATION_INFORMATION,
    &semantic::ONTOLOGY_REPOSITORY,
    &semantic::ONTOLOGY,
    &semantic::SEMANTIC_MASHUP_JOB_PROFILE,
    &semantic::SEMANTIC_MASHUP_INSTANCE,
    &semantic::SEMANTIC_MASHUP_RESULT,
    &service::AE_CONTACT_LIST,
    &service::AE_CONTACT_LIST_PER_CSE,
    &group::LOCAL_MULTICAST_GROUP,
    &delivery::MULTIMEDIA_SESSION,
    &delivery::TRIGGER_REQUEST,
    &subscription::CROSS_RESOURCE_SUBSCRIPTION,
    &delivery::BACKGROUND_DATA_TRANSFER,
    &process::TRANSACTION_MGMT,
    &process::TRANSACTION,
    &data::FLEX_CONTAINER_INSTANCE,
    &process::TIME_SYNC_BEACON,
    &process::PRIMITIVE_PROFILE,
    &process::PROCESS_MANAGEMENT,
    &process::STATE,
    &process::ACTION,
    &process::DEPENDENCY,
];

/// The specializations of `<mgmtObj>`.
pub(super) static MANAGEMENT_OBJECTS: &[&[SpecializationDef]] =
    &[device::SPECIALIZATIONS, cmdh::SPECIALIZATIONS, field_device::SPECIALIZATIONS];

/// What every announced variant has (TS-0001 §9.6.26).
pub(super) static ANNOUNCED_COMMON: &[AttrDef] = &[
    attr("rn", "resourceName", ResourceName, NP, NP).required().by_cse(),
    attr("ty", "resourceType", Enum(&enums::RESOURCE_TYPE), NP, NP).required().by_cse(),
    attr("ri", "resourceID", Id, NP, NP).required().by_cse(),
    attr("pi", "parentID", Id, NP, NP).required().by_cse(),
    attr("ct", "creationTime", Timestamp, NP, NP).required().by_cse(),
    attr("lt", "lastModifiedTime", Timestamp, NP, NP).required().by_cse(),
    attr("lbl", "labels", Token, O, O).list(),
    attr("acpi", "accessControlPolicyIDs", Uri, O, O).list(),
    attr("et", "expirationTime", Timestamp, M, O).required(),
    attr("lnk", "link", Uri, M, O).required(),
    attr("daci", "dynamicAuthorizationConsultationIDs", Uri, O, O).list(),
];

/// The type with that number.
pub(super) fn by_number(number: u16) -> Option<&'static TypeDef> {
    match number {
        1 => Some(&access::ACCESS_CONTROL_POLICY),
        2 => Some(&registration::AE),
        3 => Some(&data::CONTAINER),
        4 => Some(&data::CONTENT_INSTANCE),
        5 => Some(&registration::CSE_BASE),
        6 => Some(&delivery::DELIVERY),
        7 => Some(&service::EVENT_CONFIG),
        8 => Some(&management::EXEC_INSTANCE),
        9 => Some(&group::GROUP),
        10 => Some(&delivery::LOCATION_POLICY),
        11 => Some(&service::M2M_SERVICE_SUBSCRIPTION_PROFILE),
        12 => Some(&management::MGMT_CMD),
        13 => Some(&management::MGMT_OBJ),
        14 => Some(&management::NODE),
        15 => Some(&delivery::POLLING_CHANNEL),
        16 => Some(&registration::REMOTE_CSE),
        17 => Some(&delivery::REQUEST),
        18 => Some(&delivery::SCHEDULE),
        19 => Some(&service::SERVICE_SUBSCRIBED_APP_RULE),
        20 => Some(&service::SERVICE_SUBSCRIBED_NODE),
        21 => Some(&service::STATS_COLLECT),
        22 => Some(&service::STATS_CONFIG),
        23 => Some(&subscription::SUBSCRIPTION),
        24 => Some(&semantic::SEMANTIC_DESCRIPTOR),
        25 => Some(&subscription::NOTIFICATION_TARGET_MGMT_POLICY_REF),
        26 => Some(&subscription::NOTIFICATION_TARGET_POLICY),
        27 => Some(&subscription::POLICY_DELETION_RULES),
        28 => Some(&data::FLEX_CONTAINER),
        29 => Some(&data::TIME_SERIES),
        30 => Some(&data::TIME_SERIES_INSTANCE),
        31 => Some(&access::ROLE),
        32 => Some(&access::TOKEN),
        34 => Some(&access::DYNAMIC_AUTHORIZATION_CONSULTATION),
        35 => Some(&access::AUTHORIZATION_DECISION),
        36 => Some(&access::AUTHORIZATION_POLICY),
        37 => Some(&access::AUTHORIZATION_INFORMATION),
        38 => Some(&semantic::ONTOLOGY_REPOSITORY),
        39 => Some(&semantic::ONTOLOGY),
        40 => Some(&semantic::SEMANTIC_MASHUP_JOB_PROFILE),
        41 => Some(&semantic::SEMANTIC_MASHUP_INSTANCE),
        42 => Some(&semantic::SEMANTIC_MASHUP_RESULT),
        43 => Some(&service::AE_CONTACT_LIST),
        44 => Some(&service::AE_CONTACT_LIST_PER_CSE),
        45 => Some(&group::LOCAL_MULTICAST_GROUP),
        46 => Some(&delivery::MULTIMEDIA_SESSION),
        47 => Some(&delivery::TRIGGER_REQUEST),
        48 => Some(&subscription::CROSS_RESOURCE_SUBSCRIPTION),
        49 => Some(&delivery::BACKGROUND_DATA_TRANSFER),
        50 => Some(&process::TRANSACTION_MGMT),
        51 => Some(&process::TRANSACTION),
        58 => Some(&data::FLEX_CONTAINER_INSTANCE),
        60 => Some(&process::TIME_SYNC_BEACON),
        62 => Some(&process::PRIMITIVE_PROFILE),
        63 => Some(&process::PROCESS_MANAGEMENT),
        64 => Some(&process::STATE),
        65 => Some(&process::ACTION),
        66 => Some(&process::DEPENDENCY),
        _ => None,
    }
}

/// The type with that root element; no specializations, no announced variants.
pub(super) fn by_root(root: &str) -> Option<&'static TypeDef> {
    match root {
        "m2m:acp" => Some(&access::ACCESS_CONTROL_POLICY),
        "m2m:ae" => Some(&registration::AE),
        "m2m:cnt" => Some(&data::CONTAINER),
        "m2m:cin" => Some(&data::CONTENT_INSTANCE),
        "m2m:cb" => Some(&registration::CSE_BASE),
        "m2m:dlv" => Some(&delivery::DELIVERY),
        "m2m:evcg" => Some(&service::EVENT_CONFIG),
        "m2m:exin" => Some(&management::EXEC_INSTANCE),
        "m2m:grp" => Some(&group::GROUP),
        "m2m:lcp" => Some(&delivery::LOCATION_POLICY),
        "m2m:mssp" => Some(&service::M2M_SERVICE_SUBSCRIPTION_PROFILE),
        "m2m:mgc" => Some(&management::MGMT_CMD),
        "m2m:nod" => Some(&management::NODE),
        "m2m:pch" => Some(&delivery::POLLING_CHANNEL),
        "m2m:csr" => Some(&registration::REMOTE_CSE),
        "m2m:req" => Some(&delivery::REQUEST),
        "m2m:sch" => Some(&delivery::SCHEDULE),
        "m2m:asar" => Some(&service::SERVICE_SUBSCRIBED_APP_RULE),
        "m2m:svsn" => Some(&service::SERVICE_SUBSCRIBED_NODE),
        "m2m:stcl" => Some(&service::STATS_COLLECT),
        "m2m:stcg" => Some(&service::STATS_CONFIG),
        "m2m:sub" => Some(&subscription::SUBSCRIPTION),
        "m2m:smd" => Some(&semantic::SEMANTIC_DESCRIPTOR),
        "m2m:ntpr" => Some(&subscription::NOTIFICATION_TARGET_MGMT_POLICY_REF),
        "m2m:ntp" => Some(&subscription::NOTIFICATION_TARGET_POLICY),
        "m2m:pdr" => Some(&subscription::POLICY_DELETION_RULES),
        "m2m:ts" => Some(&data::TIME_SERIES),
        "m2m:tsi" => Some(&data::TIME_SERIES_INSTANCE),
        "m2m:rol" => Some(&access::ROLE),
        "m2m:tk" => Some(&access::TOKEN),
        "m2m:dac" => Some(&access::DYNAMIC_AUTHORIZATION_CONSULTATION),
        "m2m:auds" => Some(&access::AUTHORIZATION_DECISION),
        "m2m:aupy" => Some(&access::AUTHORIZATION_POLICY),
        "m2m:auif" => Some(&access::AUTHORIZATION_INFORMATION),
        "m2m:ontr" => Some(&semantic::ONTOLOGY_REPOSITORY),
        "m2m:ont" => Some(&semantic::ONTOLOGY),
        "m2m:smjp" => Some(&semantic::SEMANTIC_MASHUP_JOB_PROFILE),
        "m2m:smi" => Some(&semantic::SEMANTIC_MASHUP_INSTANCE),
        "m2m:smr" => Some(&semantic::SEMANTIC_MASHUP_RESULT),
        "m2m:alst" => Some(&service::AE_CONTACT_LIST),
        "m2m:alpc" => Some(&service::AE_CONTACT_LIST_PER_CSE),
        "m2m:lmg" => Some(&group::LOCAL_MULTICAST_GROUP),
        "m2m:mms" => Some(&delivery::MULTIMEDIA_SESSION),
        "m2m:tgr" => Some(&delivery::TRIGGER_REQUEST),
        "m2m:crs" => Some(&subscription::CROSS_RESOURCE_SUBSCRIPTION),
        "m2m:bdt" => Some(&delivery::BACKGROUND_DATA_TRANSFER),
        "m2m:tram" => Some(&process::TRANSACTION_MGMT),
        "m2m:trac" => Some(&process::TRANSACTION),
        "m2m:tsb" => Some(&process::TIME_SYNC_BEACON),
        "m2m:prp" => Some(&process::PRIMITIVE_PROFILE),
        "m2m:prmr" => Some(&process::PROCESS_MANAGEMENT),
        "m2m:stte" => Some(&process::STATE),
        "m2m:actr" => Some(&process::ACTION),
        "m2m:depr" => Some(&process::DEPENDENCY),
        _ => None,
    }
}
