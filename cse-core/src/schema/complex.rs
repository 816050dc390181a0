//! Complex data types of attributes and primitives (TS-0004 §6.3.5).
//!
//! Written by `schema-gen/generate.py`.

use super::kind::Kind::{
    AbsRelTimestamp, Any, Base64, Bool, Complex, CountryCode, Duration, Enum, EventCategory, Float, Id, Ipv4, Ipv6,
    NcName, Object, ReleaseVersion, ResourceName, ScheduleEntry, SpecializationType, Text, Timestamp, Token, UInt, Uri,
};
use super::kind::member;
use super::{ComplexDef, enums};

/// `dcfg:wifiCredentials`
pub static WIFI_CREDENTIALS: ComplexDef = ComplexDef {
    name: "dcfg:wifiCredentials",
    members: &[
        member("enct", "encryptionType", Enum(&enums::WIFI_ENCRYPTION_TYPE)).required(),
        member("unm", "username", Text),
        member("pwd", "password", Text),
        member("wepk", "wepKey", Text),
        member("wpap", "wpaPsk", Text),
    ],
    open: true,
};

/// `m2m:accessControlRule/accessControlContexts/accessControlIpAddresses`
pub static ACCESS_CONTROL_RULE_ACCESS_CONTROL_CONTEXTS_ACCESS_CONTROL_IP_ADDRESSES: ComplexDef = ComplexDef {
    name: "m2m:accessControlRule/accessControlContexts/accessControlIpAddresses",
    members: &[member("ipv4", "ipv4Addresses", Ipv4).list(), member("ipv6", "ipv6Addresses", Ipv6).list()],
    open: false,
};

/// `m2m:accessControlRule/accessControlContexts`
pub static ACCESS_CONTROL_RULE_ACCESS_CONTROL_CONTEXTS: ComplexDef = ComplexDef {
    name: "m2m:accessControlRule/accessControlContexts",
    members: &[
        member("actw", "accessControlWindow", ScheduleEntry).repeated(),
        member(
            "acip",
            "accessControlIpAddresses",
            Complex(&ACCESS_CONTROL_RULE_ACCESS_CONTROL_CONTEXTS_ACCESS_CONTROL_IP_ADDRESSES),
        ),
        member("aclr", "accessControlLocationRegion", Complex(&LOCATION_REGION)),
        member("acui", "accessControlUserIDs", Text).list(),
        member("acec", "accessControlEvalCriteria", Complex(&EVAL_CRITERIA)),
        member("acl", "accessControlLimit", UInt { min: 0 }),
    ],
    open: false,
};

/// `m2m:accessControlRule/accessControlObjectDetails`
pub static ACCESS_CONTROL_RULE_ACCESS_CONTROL_OBJECT_DETAILS: ComplexDef = ComplexDef {
    name: "m2m:accessControlRule/accessControlObjectDetails",
    members: &[
        member("ty", "resourceType", Enum(&enums::RESOURCE_TYPE)),
        member("spty", "specializationType", SpecializationType),
        member("chty", "childResourceType", Enum(&enums::RESOURCE_TYPE)).list().required(),
    ],
    open: false,
};

/// `m2m:accessControlRule` (TS-0004 §6.3.5.27)
pub static ACCESS_CONTROL_RULE: ComplexDef = ComplexDef {
    name: "m2m:accessControlRule",
    members: &[
        member("acor", "accessControlOriginators", Uri).list().required(),
        member("acop", "accessControlOperations", Enum(&enums::ACCESS_CONTROL_OPERATIONS)).required(),
        member("acco", "accessControlContexts", Complex(&ACCESS_CONTROL_RULE_ACCESS_CONTROL_CONTEXTS)).repeated(),
        member("acaf", "accessControlAuthenticationFlag", Bool),
        member("acod", "accessControlObjectDetails", Complex(&ACCESS_CONTROL_RULE_ACCESS_CONTROL_OBJECT_DETAILS))
            .repeated(),
        member("aca", "accessControlAttributes", NcName).list(),
    ],
    open: false,
};

/// `m2m:actionInput`
pub static ACTION_INPUT: ComplexDef = ComplexDef {
    name: "m2m:actionInput",
    members: &[
        member("cstr", "contentString", NcName),
        member("rsid", "resourceID", Id),
        member("raid", "resourceAttributeID", Id),
    ],
    open: true,
};

/// `m2m:actionStatus` (TS-0004 §6.3.5.14)
pub static ACTION_STATUS: ComplexDef = ComplexDef {
    name: "m2m:actionStatus",
    members: &[member("acn", "action", Uri), member("sus", "status", Enum(&enums::STATUS))],
    open: false,
};

/// `m2m:aggregatedNotification` (TS-0004 §6.3.5.12)
pub static AGGREGATED_NOTIFICATION: ComplexDef = ComplexDef {
    name: "m2m:aggregatedNotification",
    members: &[member("sgn", "notification", Complex(&NOTIFICATION)).repeated().required()],
    open: false,
};

/// `m2m:aggregatedRequest/request`
pub static AGGREGATED_REQUEST_REQUEST: ComplexDef = ComplexDef {
    name: "m2m:aggregatedRequest/request",
    members: &[
        member("op", "operation", Enum(&enums::OPERATION)).required(),
        member("to", "to", Uri).required(),
        member("fr", "from", Id).required(),
        member("rqi", "requestIdentifier", Id).required(),
        member("pc", "primitiveContent", Object),
        member("mi", "metaInformation", Complex(&META_INFORMATION)),
    ],
    open: false,
};

/// `m2m:aggregatedRequest` (TS-0004 §6.3.5.3)
pub static AGGREGATED_REQUEST: ComplexDef = ComplexDef {
    name: "m2m:aggregatedRequest",
    members: &[member("req", "request", Complex(&AGGREGATED_REQUEST_REQUEST)).repeated().required()],
    open: false,
};

/// `m2m:aggregatedResponse` (TS-0004 §6.3.5.33)
pub static AGGREGATED_RESPONSE: ComplexDef = ComplexDef {
    name: "m2m:aggregatedResponse",
    members: &[member("ri", "resourceID", Uri), member("m2m:rsp", "m2m:responsePrimitive", Object).repeated()],
    open: false,
};

/// `m2m:anyArgType` (TS-0004 §6.3.5.15)
pub static ANY_ARG_TYPE: ComplexDef = ComplexDef {
    name: "m2m:anyArgType",
    members: &[member("nm", "name", NcName).required(), member("val", "value", Any).required()],
    open: false,
};

/// `m2m:attribute` (TS-0004 §6.3.5.9)
pub static ATTRIBUTE: ComplexDef = ComplexDef {
    name: "m2m:attribute",
    members: &[member("nm", "name", NcName).required(), member("val", "value", Any).required()],
    open: false,
};

/// `m2m:backOffParameters/backOffParametersSet`
pub static BACK_OFF_PARAMETERS_BACK_OFF_PARAMETERS_SET: ComplexDef = ComplexDef {
    name: "m2m:backOffParameters/backOffParametersSet",
    members: &[
        member("nwa", "networkAction", Enum(&enums::NETWORK_ACTION)),
        member("ibt", "initialBackoffTime", UInt { min: 0 }).required(),
        member("abt", "additionalBackoffTime", UInt { min: 0 }).required(),
        member("mbt", "maximumBackoffTime", UInt { min: 0 }).required(),
        member("rbt", "optionalRandomBackoffTime", UInt { min: 0 }),
    ],
    open: false,
};

/// `m2m:backOffParameters` (TS-0004 §6.3.5.54)
pub static BACK_OFF_PARAMETERS: ComplexDef = ComplexDef {
    name: "m2m:backOffParameters",
    members: &[member("bops", "backOffParametersSet", Complex(&BACK_OFF_PARAMETERS_BACK_OFF_PARAMETERS_SET))
        .repeated()
        .required()],
    open: false,
};

/// `m2m:batchNotify` (TS-0004 §6.3.5.6)
pub static BATCH_NOTIFY: ComplexDef = ComplexDef {
    name: "m2m:batchNotify",
    members: &[member("num", "number", UInt { min: 0 }), member("dur", "duration", Duration)],
    open: false,
};

/// `m2m:childResourceRef` (TS-0004 §6.3.5.29)
pub static CHILD_RESOURCE_REF: ComplexDef = ComplexDef {
    name: "m2m:childResourceRef",
    members: &[
        member("val", "(base content)", Uri).required().xml_content(),
        member("nm", "name", ResourceName).required().xml_attribute(),
        member("typ", "type", Enum(&enums::RESOURCE_TYPE)).required().xml_attribute(),
        member("spid", "specializationID", Uri).xml_attribute(),
    ],
    open: false,
};

/// `m2m:contentRef/URIReference`
pub static CONTENT_REF_URI_REFERENCE: ComplexDef = ComplexDef {
    name: "m2m:contentRef/URIReference",
    members: &[member("nm", "name", NcName).required(), member("uri", "URI", Uri).required()],
    open: false,
};

/// `m2m:contentRef` (TS-0004 §6.3.5.36)
pub static CONTENT_REF: ComplexDef = ComplexDef {
    name: "m2m:contentRef",
    members: &[member("urir", "URIReference", Complex(&CONTENT_REF_URI_REFERENCE)).repeated().required()],
    open: false,
};

/// `m2m:deletionContexts` (TS-0004 §6.3.5.37)
pub static DELETION_CONTEXTS: ComplexDef = ComplexDef {
    name: "m2m:deletionContexts",
    members: &[
        member("tod", "timeOfDay", ScheduleEntry).repeated(),
        member("lr", "locationRegions", Complex(&LOCATION_REGION)).repeated(),
    ],
    open: false,
};

/// `m2m:deliveryMetadata` (TS-0004 §6.3.5.2)
pub static DELIVERY_METADATA: ComplexDef = ComplexDef {
    name: "m2m:deliveryMetadata",
    members: &[member("tcop", "tracingOption", Bool).required(), member("tcin", "tracingInfo", Id).list()],
    open: false,
};

/// `m2m:downloadArgsType` (TS-0004 §6.3.5.19)
pub static DOWNLOAD_ARGS_TYPE: ComplexDef = ComplexDef {
    name: "m2m:downloadArgsType",
    members: &[
        member("ftyp", "fileType", Text).required(),
        member("url", "URL", Uri).required(),
        member("unm", "username", Text).required(),
        member("pwd", "password", Text).required(),
        member("fsi", "filesize", UInt { min: 1 }).required(),
        member("tgf", "targetFile", Text).required(),
        member("dss", "delaySeconds", UInt { min: 1 }).required(),
        member("surl", "successURL", Uri).required(),
        member("stt", "startTime", Timestamp).required(),
        member("cpt", "completeTime", Timestamp).required(),
        member("any", "anyArg", Complex(&ANY_ARG_TYPE)).repeated(),
    ],
    open: false,
};

/// `m2m:e2eSecInfo` (TS-0004 §6.3.5.52)
pub static E2E_SEC_INFO: ComplexDef = ComplexDef {
    name: "m2m:e2eSecInfo",
    members: &[
        member("esf", "supportedE2ESecFeatures", Enum(&enums::SUID)).list().required(),
        member("escert", "certificates", Base64).list(),
        member("esro", "sharedReceiverESPrimRandObject", Complex(&RECEIVER_ES_PRIM_RAND_OBJECT)),
    ],
    open: false,
};

/// `m2m:evalCriteria`
pub static EVAL_CRITERIA: ComplexDef = ComplexDef {
    name: "m2m:evalCriteria",
    members: &[
        member("optr", "operator", Enum(&enums::EVAL_CRITERIA_OPERATOR)).required(),
        member("sbjt", "subject", NcName).required(),
        member("thld", "threshold", Any).required(),
    ],
    open: true,
};

/// `m2m:eventNotificationCriteria` (TS-0004 §6.3.5.7)
pub static EVENT_NOTIFICATION_CRITERIA: ComplexDef = ComplexDef {
    name: "m2m:eventNotificationCriteria",
    members: &[
        member("crb", "createdBefore", Timestamp),
        member("cra", "createdAfter", Timestamp),
        member("ms", "modifiedSince", Timestamp),
        member("us", "unmodifiedSince", Timestamp),
        member("sts", "stateTagSmaller", UInt { min: 1 }),
        member("stb", "stateTagBigger", UInt { min: 0 }),
        member("exb", "expireBefore", Timestamp),
        member("exa", "expireAfter", Timestamp),
        member("sza", "sizeAbove", UInt { min: 0 }),
        member("szb", "sizeBelow", UInt { min: 1 }),
        member("om", "operationMonitor", Complex(&OPERATION_MONITOR)).repeated(),
        member("atr", "attribute", NcName).list(),
        member("net", "notificationEventType", Enum(&enums::NOTIFICATION_EVENT_TYPE)).repeated(),
        member("chty", "childResourceType", Enum(&enums::RESOURCE_TYPE)).list(),
        member("md", "missingData", Complex(&MISSING_DATA)),
        member("fo", "filterOperation", Enum(&enums::FILTER_OPERATION)),
        member("aq", "advancedQuery", Text),
    ],
    open: false,
};

/// `m2m:eventNotificationCriteriaSet` (TS-0004 §6.3.5.66)
pub static EVENT_NOTIFICATION_CRITERIA_SET: ComplexDef = ComplexDef {
    name: "m2m:eventNotificationCriteriaSet",
    members: &[member("encn", "eventNotificationCriteriaEntry", Complex(&EVENT_NOTIFICATION_CRITERIA))
        .repeated()
        .required()],
    open: false,
};

/// `m2m:execReqArgsListType` (TS-0004 §6.3.5.23)
pub static EXEC_REQ_ARGS_LIST_TYPE: ComplexDef = ComplexDef {
    name: "m2m:execReqArgsListType",
    members: &[
        member("rst", "reset", Complex(&RESET_ARGS_TYPE)).repeated(),
        member("rbo", "reboot", Complex(&REBOOT_ARGS_TYPE)).repeated(),
        member("uld", "upload", Complex(&UPLOAD_ARGS_TYPE)).repeated(),
        member("dld", "download", Complex(&DOWNLOAD_ARGS_TYPE)).repeated(),
        member("swin", "softwareInstall", Complex(&SOFTWARE_INSTALL_ARGS_TYPE)).repeated(),
        member("swup", "softwareUpdate", Complex(&SOFTWARE_UPDATE_ARGS_TYPE)).repeated(),
        member("swun", "softwareUninstall", Complex(&SOFTWARE_UNINSTALL_ARGS_TYPE)).repeated(),
    ],
    open: false,
};

/// `m2m:filterCriteria` (TS-0004 §6.3.5.8)
pub static FILTER_CRITERIA: ComplexDef = ComplexDef {
    name: "m2m:filterCriteria",
    members: &[
        member("crb", "createdBefore", Timestamp),
        member("cra", "createdAfter", Timestamp),
        member("ms", "modifiedSince", Timestamp),
        member("us", "unmodifiedSince", Timestamp),
        member("sts", "stateTagSmaller", UInt { min: 1 }),
        member("stb", "stateTagBigger", UInt { min: 0 }),
        member("exb", "expireBefore", Timestamp),
        member("exa", "expireAfter", Timestamp),
        member("lbl", "labels", Token).list(),
        member("clbl", "childLabels", Token).list(),
        member("palb", "parentLabels", Token).list(),
        member("lbq", "labelsQuery", Text),
        member("ty", "resourceType", Enum(&enums::RESOURCE_TYPE)).list(),
        member("chty", "childResourceType", Enum(&enums::RESOURCE_TYPE)).list(),
        member("pty", "parentResourceType", Enum(&enums::RESOURCE_TYPE)).list(),
        member("sza", "sizeAbove", UInt { min: 0 }),
        member("szb", "sizeBelow", UInt { min: 1 }),
        member("cty", "contentType", Text).repeated(),
        member("atr", "attribute", Complex(&ATTRIBUTE)).repeated(),
        member("catr", "childAttribute", Complex(&ATTRIBUTE)).repeated(),
        member("patr", "parentAttribute", Complex(&ATTRIBUTE)).repeated(),
        member("fu", "filterUsage", Enum(&enums::FILTER_USAGE)),
        member("lim", "limit", UInt { min: 0 }),
        member("smf", "semanticsFilter", Text).repeated(),
        member("fo", "filterOperation", Enum(&enums::FILTER_OPERATION)),
        member("cfs", "contentFilterSyntax", Enum(&enums::CONTENT_FILTER_SYNTAX)),
        member("cfq", "contentFilterQuery", Text),
        member("lvl", "level", UInt { min: 1 }),
        member("ofst", "offset", UInt { min: 1 }),
        member("arp", "applyRelativePath", Uri),
        member("ops", "operations", UInt { min: 0 }),
        member("gmty", "geometryType", Enum(&enums::GEOMETRY_TYPE)),
        member("geom", "geometry", Any),
        member("gsf", "geoSpatialFunction", Enum(&enums::GEO_SPATIAL_FUNCTION_TYPE)),
    ],
    open: false,
};

/// `m2m:geoCoordinates`
pub static GEO_COORDINATES: ComplexDef = ComplexDef {
    name: "m2m:geoCoordinates",
    members: &[
        member("typ", "type", Enum(&enums::GEOMETRY_TYPE)).required(),
        member("crd", "coordinates", Any).required(),
    ],
    open: true,
};

/// `m2m:ipAddress` (TS-0004 §6.3.5.60)
pub static IP_ADDRESS: ComplexDef = ComplexDef {
    name: "m2m:ipAddress",
    members: &[member("ip4", "ipv4Address", Ipv4), member("ip6", "ipv6Address", Ipv6)],
    open: false,
};

/// `m2m:listOfChildResourceRef` (TS-0004 §6.3.5.49)
pub static LIST_OF_CHILD_RESOURCE_REF: ComplexDef = ComplexDef {
    name: "m2m:listOfChildResourceRef",
    members: &[member("rrf", "resourceRef", Complex(&CHILD_RESOURCE_REF)).repeated()],
    open: false,
};

/// `m2m:locationRegion` (TS-0004 §6.3.5.28)
pub static LOCATION_REGION: ComplexDef = ComplexDef {
    name: "m2m:locationRegion",
    members: &[member("accr", "circRegion", Float).list(), member("accc", "countryCode", CountryCode).list()],
    open: false,
};

/// `m2m:mashupMembers/mashupMember`
pub static MASHUP_MEMBERS_MASHUP_MEMBER: ComplexDef = ComplexDef {
    name: "m2m:mashupMembers/mashupMember",
    members: &[member("muri", "memberURI", Uri).required(), member("mvl", "memberValue", Float)],
    open: false,
};

/// `m2m:mashupMembers` (TS-0004 §6.3.5.68)
pub static MASHUP_MEMBERS: ComplexDef = ComplexDef {
    name: "m2m:mashupMembers",
    members: &[member("msm", "mashupMember", Complex(&MASHUP_MEMBERS_MASHUP_MEMBER)).repeated().required()],
    open: false,
};

/// `m2m:metaInformation` (TS-0004 §6.3.5.4)
pub static META_INFORMATION: ComplexDef = ComplexDef {
    name: "m2m:metaInformation",
    members: &[
        member("ty", "resourceType", Enum(&enums::RESOURCE_TYPE)),
        member("ot", "originatingTimestamp", Timestamp),
        member("rqet", "requestExpirationTimestamp", AbsRelTimestamp),
        member("rset", "resultExpirationTimestamp", AbsRelTimestamp),
        member("oet", "operationExecutionTime", AbsRelTimestamp),
        member("rt", "responseType", Complex(&RESPONSE_TYPE_INFO)),
        member("rp", "resultPersistence", AbsRelTimestamp),
        member("rcn", "resultContent", Enum(&enums::RESULT_CONTENT)),
        member("ec", "eventCategory", EventCategory),
        member("da", "deliveryAggregation", Bool),
        member("gid", "groupRequestIdentifier", Text),
        member("fc", "filterCriteria", Complex(&FILTER_CRITERIA)),
        member("drt", "desiredIdentifierResultType", Enum(&enums::DES_ID_RES_TYPE)),
        member("rids", "roleIDs", Id).list(),
        member("tqi", "tokenRequestIndicator", Bool),
        member("tkns", "tokens", Text).list(),
        member("tids", "tokenIDs", Id).list(),
        member("ltids", "localTokenIDs", NcName).list(),
        member("grtm", "groupRequestTargetMembers", Uri).list(),
        member("asi", "authorSignIndicator", Bool),
        member("aus", "authorSigns", Any),
        member("auri", "authorRelIndicator", Bool),
        member("sqi", "semanticQueryIndicator", Bool),
        member("rvi", "ReleaseVersionIndicator", ReleaseVersion).required(),
        member("vsi", "vendorInformation", Text),
        member("gstn", "groupSomecastTargetNumber", UInt { min: 1 }),
        member("omr", "ontologyMappingResources", Any).list(),
        member("msu", "m2mServiceUser", Id),
    ],
    open: false,
};

/// `m2m:mgmtLinkRef` (TS-0004 §6.3.5.24)
pub static MGMT_LINK_REF: ComplexDef = ComplexDef {
    name: "m2m:mgmtLinkRef",
    members: &[
        member("val", "(base content)", Uri).required().xml_content(),
        member("nm", "name", ResourceName).required().xml_attribute(),
        member("typ", "type", Enum(&enums::MGMT_DEFINITION)).required().xml_attribute(),
    ],
    open: false,
};

/// `m2m:missingData` (TS-0004 §6.3.5.40)
pub static MISSING_DATA: ComplexDef = ComplexDef {
    name: "m2m:missingData",
    members: &[member("num", "number", UInt { min: 1 }).required(), member("dur", "duration", Duration).required()],
    open: false,
};

/// `m2m:notification/notificationEvent/operationMonitor`
pub static NOTIFICATION_NOTIFICATION_EVENT_OPERATION_MONITOR: ComplexDef = ComplexDef {
    name: "m2m:notification/notificationEvent/operationMonitor",
    members: &[
        member("op", "operation", Enum(&enums::OPERATION)).required(),
        member("or", "originator", Id).required(),
    ],
    open: false,
};

/// `m2m:notification/notificationEvent`
pub static NOTIFICATION_NOTIFICATION_EVENT: ComplexDef = ComplexDef {
    name: "m2m:notification/notificationEvent",
    members: &[
        member("rep", "representation", Object),
        member("om", "operationMonitor", Complex(&NOTIFICATION_NOTIFICATION_EVENT_OPERATION_MONITOR)),
        member("net", "notificationEventType", Enum(&enums::NOTIFICATION_EVENT_TYPE)).required(),
    ],
    open: false,
};

/// `m2m:notification/IPEDiscoveryRequest`
pub static NOTIFICATION_IPE_DISCOVERY_REQUEST: ComplexDef = ComplexDef {
    name: "m2m:notification/IPEDiscoveryRequest",
    members: &[
        member("or", "originator", Id).required(),
        member("fc", "filterCriteria", Complex(&FILTER_CRITERIA)).required(),
    ],
    open: false,
};

/// `m2m:notification` (TS-0004 §6.3.5.13)
pub static NOTIFICATION: ComplexDef = ComplexDef {
    name: "m2m:notification",
    members: &[
        member("nev", "notificationEvent", Complex(&NOTIFICATION_NOTIFICATION_EVENT)),
        member("vrq", "verificationRequest", Bool),
        member("sud", "subscriptionDeletion", Bool),
        member("sur", "subscriptionReference", Uri).required(),
        member("cr", "creator", Id),
        member("nfu", "notificationForwardingURI", Uri),
        member("ntt", "notificationTarget", Id),
        member("trr", "targetRemovalRequest", Bool),
        member("tra", "targetRemovalAllowance", Bool),
        member("idr", "IPEDiscoveryRequest", Complex(&NOTIFICATION_IPE_DISCOVERY_REQUEST)),
        member("aerp", "AERegistrationPointChange", Bool),
        member("aerid", "AEReferenceIDChange", Bool),
        member("tid1", "trackingID1", Id),
        member("tid2", "trackingID2", Id),
    ],
    open: false,
};

/// `m2m:operationMonitor` (TS-0004 §6.3.5.57)
pub static OPERATION_MONITOR: ComplexDef = ComplexDef {
    name: "m2m:operationMonitor",
    members: &[member("ops", "operations", Enum(&enums::ACCESS_CONTROL_OPERATIONS)), member("or", "originator", Id)],
    open: false,
};

/// `m2m:operationResult` (TS-0004 §6.3.5.32)
pub static OPERATION_RESULT: ComplexDef = ComplexDef {
    name: "m2m:operationResult",
    members: &[
        member("rsc", "responseStatusCode", Enum(&enums::RESPONSE_STATUS_CODE)).required(),
        member("rqi", "requestIdentifier", Id).required(),
        member("pc", "primitiveContent", Object),
        member("to", "to", Uri),
        member("fr", "from", Id),
        member("ot", "originatingTimestamp", Timestamp),
        member("rset", "resultExpirationTimestamp", AbsRelTimestamp),
        member("ec", "eventCategory", EventCategory),
        member("cnst", "contentStatus", Enum(&enums::CONTENT_STATUS)),
        member("cnot", "contentOffset", UInt { min: 1 }),
    ],
    open: false,
};

/// `m2m:rateLimit` (TS-0004 §6.3.5.31)
pub static RATE_LIMIT: ComplexDef = ComplexDef {
    name: "m2m:rateLimit",
    members: &[
        member("mnn", "maxNrOfNotify", UInt { min: 0 }).required(),
        member("tww", "timeWindow", Duration).required(),
    ],
    open: false,
};

/// `m2m:rebootArgsType` (TS-0004 §6.3.5.17)
pub static REBOOT_ARGS_TYPE: ComplexDef = ComplexDef {
    name: "m2m:rebootArgsType",
    members: &[member("any", "anyArg", Complex(&ANY_ARG_TYPE)).repeated()],
    open: false,
};

/// `m2m:receiverESPrimRandObject` (TS-0004 §6.3.5.51)
pub static RECEIVER_ES_PRIM_RAND_OBJECT: ComplexDef = ComplexDef {
    name: "m2m:receiverESPrimRandObject",
    members: &[
        member("esri", "esprimRandID", NcName).required(),
        member("esrv", "esprimRandValue", NcName).required(),
        member("esrx", "esprimRandExpiry", AbsRelTimestamp).required(),
        member("esks", "esprimKeyGenAlgIDs", Enum(&enums::ESPRIM_KEY_GEN_ALG_ID)).list().required(),
        member("espa", "esprimProtocolAndAlgIDs", Enum(&enums::ESPRIM_PROTOCOL_AND_ALG_ID)).list().required(),
    ],
    open: false,
};

/// `m2m:resetArgsType` (TS-0004 §6.3.5.16)
pub static RESET_ARGS_TYPE: ComplexDef = ComplexDef {
    name: "m2m:resetArgsType",
    members: &[member("any", "anyArg", Complex(&ANY_ARG_TYPE)).repeated()],
    open: false,
};

/// `m2m:responseTypeInfo` (TS-0004 §6.3.5.30)
pub static RESPONSE_TYPE_INFO: ComplexDef = ComplexDef {
    name: "m2m:responseTypeInfo",
    members: &[
        member("rtv", "responseTypeValue", Enum(&enums::RESPONSE_TYPE)).required(),
        member("nu", "notificationURI", Uri).list(),
    ],
    open: false,
};

/// `m2m:scheduleEntries` (TS-0004 §6.3.5.11)
pub static SCHEDULE_ENTRIES: ComplexDef = ComplexDef {
    name: "m2m:scheduleEntries",
    members: &[member("sce", "scheduleEntry", ScheduleEntry).repeated().required()],
    open: false,
};

/// `m2m:sessionDescriptions` (TS-0004 §6.3.5.63)
pub static SESSION_DESCRIPTIONS: ComplexDef = ComplexDef {
    name: "m2m:sessionDescriptions",
    members: &[member("sdc", "sessionDescription", Text).repeated().required()],
    open: false,
};

/// `m2m:setOfAcrs` (TS-0004 §6.3.5.26)
pub static SET_OF_ACRS: ComplexDef = ComplexDef {
    name: "m2m:setOfAcrs",
    members: &[member("acr", "accessControlRules", Complex(&ACCESS_CONTROL_RULE)).repeated()],
    open: false,
};

/// `m2m:setOfNotificationStatsInfo`
pub static SET_OF_NOTIFICATION_STATS_INFO: ComplexDef = ComplexDef {
    name: "m2m:setOfNotificationStatsInfo",
    members: &[
        member("tg", "target", Id).required(),
        member("rqs", "requestsSent", UInt { min: 0 }).required(),
        member("rsr", "responsesReceived", UInt { min: 0 }).required(),
        member("noec", "notificationEventCount", UInt { min: 0 }).required(),
    ],
    open: true,
};

/// `m2m:setOfPermissions` (TS-0004 §6.3.5.61)
pub static SET_OF_PERMISSIONS: ComplexDef = ComplexDef {
    name: "m2m:setOfPermissions",
    members: &[member("pv", "privileges", Complex(&SET_OF_ACRS)).repeated()],
    open: false,
};

/// `m2m:softwareInstallArgsType` (TS-0004 §6.3.5.20)
pub static SOFTWARE_INSTALL_ARGS_TYPE: ComplexDef = ComplexDef {
    name: "m2m:softwareInstallArgsType",
    members: &[
        member("url", "URL", Uri).required(),
        member("uuid", "UUID", Text).required(),
        member("unm", "username", Text).required(),
        member("pwd", "password", Text).required(),
        member("eer", "executionEnvRef", Text).required(),
        member("any", "anyArg", Complex(&ANY_ARG_TYPE)).repeated(),
    ],
    open: false,
};

/// `m2m:softwareUninstallArgsType` (TS-0004 §6.3.5.22)
pub static SOFTWARE_UNINSTALL_ARGS_TYPE: ComplexDef = ComplexDef {
    name: "m2m:softwareUninstallArgsType",
    members: &[
        member("uuid", "UUID", Text).required(),
        member("vr", "version", Text).required(),
        member("eer", "executionEnvRef", Text).required(),
        member("any", "anyType", Complex(&ANY_ARG_TYPE)).repeated(),
    ],
    open: false,
};

/// `m2m:softwareUpdateArgsType` (TS-0004 §6.3.5.21)
pub static SOFTWARE_UPDATE_ARGS_TYPE: ComplexDef = ComplexDef {
    name: "m2m:softwareUpdateArgsType",
    members: &[
        member("uuid", "UUID", Text).required(),
        member("vr", "version", Text).required(),
        member("url", "URL", Uri).required(),
        member("unm", "username", Text).required(),
        member("pwd", "password", Text).required(),
        member("eer", "executionEnvRef", Text).required(),
        member("any", "anyArg", Complex(&ANY_ARG_TYPE)).repeated(),
    ],
    open: false,
};

/// `m2m:tokenPermission` (TS-0004 §6.3.5.41)
pub static TOKEN_PERMISSION: ComplexDef = ComplexDef {
    name: "m2m:tokenPermission",
    members: &[
        member("ris", "resourceIDs", Id).list(),
        member("pv", "privileges", Complex(&SET_OF_ACRS)),
        member("rids", "roleIDs", Id).list(),
    ],
    open: false,
};

/// `m2m:tokenPermissions` (TS-0004 §6.3.5.53)
pub static TOKEN_PERMISSIONS: ComplexDef = ComplexDef {
    name: "m2m:tokenPermissions",
    members: &[member("pm", "permission", Complex(&TOKEN_PERMISSION)).repeated()],
    open: false,
};

/// `m2m:uploadArgsType` (TS-0004 §6.3.5.18)
pub static UPLOAD_ARGS_TYPE: ComplexDef = ComplexDef {
    name: "m2m:uploadArgsType",
    members: &[
        member("ftyp", "fileType", Text).required(),
        member("url", "URL", Uri).required(),
        member("unm", "username", Text).required(),
        member("pwd", "password", Text).required(),
        member("any", "anyArg", Complex(&ANY_ARG_TYPE)).repeated(),
    ],
    open: false,
};
