//! Enumerations of attributes and primitives (TS-0004 §6.3.4.2).
//!
//! Written by `schema-gen/generate.py`.

use super::EnumDef;

/// `dcfg:cellularNetworkBearer`
pub static CELLULAR_NETWORK_BEARER: EnumDef = EnumDef {
    name: "dcfg:cellularNetworkBearer",
    values: &[
        (0, "GSM cellular network"),
        (1, "TD-SCDMA cellular network"),
        (2, "WCDMA cellular network"),
        (3, "CDMA2000 cellular network"),
        (4, "WiMAX cellular network"),
        (5, "LTE-TDD cellular network"),
        (6, "LTE-FDD cellular network"),
        (7, "NB-IoT"),
    ],
    bits: false,
    open: true,
};

/// `dcfg:coverageEnhancementLevel`
pub static COVERAGE_ENHANCEMENT_LEVEL: EnumDef = EnumDef {
    name: "dcfg:coverageEnhancementLevel",
    values: &[
        (0, "No Coverage Enhancement in the serving cell"),
        (1, "Coverage Enhancement level 0"),
        (2, "Coverage Enhancement level 1"),
        (3, "Coverage Enhancement level 2"),
        (4, "Coverage Enhancement level 3"),
    ],
    bits: false,
    open: true,
};

/// `dcfg:simStatus`
pub static SIM_STATUS: EnumDef =
    EnumDef { name: "dcfg:simStatus", values: &[(0, "inactive"), (1, "active")], bits: false, open: true };

/// `dcfg:simType`
pub static SIM_TYPE: EnumDef = EnumDef {
    name: "dcfg:simType",
    values: &[(0, "UICC (removable)"), (1, "eUICC (removable)"), (2, "eUICC (non-removable)"), (3, "iUICC")],
    bits: false,
    open: true,
};

/// `dcfg:wifiConnectionStatus`
pub static WIFI_CONNECTION_STATUS: EnumDef = EnumDef {
    name: "dcfg:wifiConnectionStatus",
    values: &[
        (0, "Disconnected"),
        (1, "Connected"),
        (2, "Idle"),
        (3, "No SSID available"),
        (4, "Scan completed"),
        (5, "Failed"),
        (6, "Lost"),
    ],
    bits: false,
    open: true,
};

/// `dcfg:wifiEncryptionType`
pub static WIFI_ENCRYPTION_TYPE: EnumDef = EnumDef {
    name: "dcfg:wifiEncryptionType",
    values: &[
        (1, "None"),
        (2, "WEP"),
        (3, "WPA Personal"),
        (4, "WPA2 Personal"),
        (5, "WPA3 Personal"),
        (6, "WPA Enterprise"),
        (7, "WPA2 Enterprise"),
        (8, "WPA3 Enterprise"),
    ],
    bits: false,
    open: true,
};

/// `m2m:AERegistrationStatus` (TS-0004 §6.3.4.2.57)
pub static AE_REGISTRATION_STATUS: EnumDef =
    EnumDef { name: "m2m:AERegistrationStatus", values: &[(1, "ACTIVE"), (2, "INACTIVE")], bits: false, open: false };

/// `m2m:accessControlOperations` (TS-0004 §6.3.4.2.29)
pub static ACCESS_CONTROL_OPERATIONS: EnumDef = EnumDef {
    name: "m2m:accessControlOperations",
    values: &[(1, "CREATE"), (2, "RETRIEVE"), (4, "UPDATE"), (8, "DELETE"), (16, "NOTIFY"), (32, "DISCOVERY")],
    bits: true,
    open: false,
};

/// `m2m:acpCombiningAlgorithm` (TS-0004 §6.3.4.2.53)
pub static ACP_COMBINING_ALGORITHM: EnumDef =
    EnumDef { name: "m2m:acpCombiningAlgorithm", values: &[(1, "PERMIT_OVERRIDES")], bits: false, open: false };

/// `m2m:authorizationDecision` (TS-0004 §6.3.4.2.51)
pub static AUTHORIZATION_DECISION: EnumDef =
    EnumDef { name: "m2m:authorizationDecision", values: &[(1, "PERMIT"), (2, "DENY")], bits: false, open: false };

/// `m2m:authorizationStatus` (TS-0004 §6.3.4.2.52)
pub static AUTHORIZATION_STATUS: EnumDef = EnumDef {
    name: "m2m:authorizationStatus",
    values: &[(1, "OK"), (2, "NOT_APPLICABLE"), (3, "MISSING_ATTRIBUTE"), (4, "SYNTAX_ERROR"), (5, "PROCESSING_ERROR")],
    bits: false,
    open: false,
};

/// `m2m:batteryStatus` (TS-0004 §6.3.4.2.21)
pub static BATTERY_STATUS: EnumDef = EnumDef {
    name: "m2m:batteryStatus",
    values: &[
        (1, "NORMAL"),
        (2, "CHARGING"),
        (3, "CHARGING_COMPLETE"),
        (4, "DAMAGED"),
        (5, "LOW_BATTERY"),
        (6, "NOT_INSTALLED"),
        (7, "UNKNOWN"),
    ],
    bits: false,
    open: false,
};

/// `m2m:cmdType` (TS-0004 §6.3.4.2.13)
pub static CMD_TYPE: EnumDef = EnumDef {
    name: "m2m:cmdType",
    values: &[
        (1, "RESET"),
        (2, "REBOOT"),
        (3, "UPLOAD"),
        (4, "DOWNLOAD"),
        (5, "SOFTWAREINSTALL"),
        (6, "SOFTWAREUNINSTALL"),
        (7, "SOFTWAREUPDATE"),
    ],
    bits: false,
    open: false,
};

/// `m2m:consistencyStrategy` (TS-0004 §6.3.4.2.12)
pub static CONSISTENCY_STRATEGY: EnumDef = EnumDef {
    name: "m2m:consistencyStrategy",
    values: &[(1, "ABANDON_MEMBER"), (2, "ABANDON_GROUP"), (3, "SET_MIXED")],
    bits: false,
    open: false,
};

/// `m2m:contentFilterSyntax` (TS-0004 §6.3.4.2.37)
pub static CONTENT_FILTER_SYNTAX: EnumDef =
    EnumDef { name: "m2m:contentFilterSyntax", values: &[(1, "JSON_PATH_SYNTAX")], bits: false, open: false };

/// `m2m:contentStatus` (TS-0004 §6.3.4.2.44)
pub static CONTENT_STATUS: EnumDef = EnumDef {
    name: "m2m:contentStatus",
    values: &[(1, "PARTIAL_CONTENT"), (2, "FULL_CONTENT")],
    bits: false,
    open: false,
};

/// `m2m:cseTypeID` (TS-0004 §6.3.4.2.2)
pub static CSE_TYPE_ID: EnumDef = EnumDef {
    name: "m2m:cseTypeID",
    values: &[(1, "IN_CSE"), (2, "MN_CSE"), (3, "ASN_CSE")],
    bits: false,
    open: false,
};

/// `m2m:desIdResType` (TS-0004 §6.3.4.2.8)
pub static DES_ID_RES_TYPE: EnumDef =
    EnumDef { name: "m2m:desIdResType", values: &[(1, "structured"), (2, "unstructured")], bits: false, open: false };

/// `m2m:esprimKeyGenAlgID` (TS-0004 §6.3.4.2.40)
pub static ESPRIM_KEY_GEN_ALG_ID: EnumDef =
    EnumDef { name: "m2m:esprimKeyGenAlgID", values: &[(1, "HMAC-SHA256")], bits: false, open: false };

/// `m2m:esprimProtocolAndAlgID` (TS-0004 §6.3.4.2.41)
pub static ESPRIM_PROTOCOL_AND_ALG_ID: EnumDef = EnumDef {
    name: "m2m:esprimProtocolAndAlgID",
    values: &[
        (10, "JWE Compact Serialization with \"enc\" = \"A128GCM\""),
        (11, "JWE Compact Serialization with \"enc\" = \"A192GCM\""),
        (12, "JWE Compact Serialization with \"enc\" = \"A256GCM\""),
    ],
    bits: false,
    open: false,
};

/// `m2m:evalCriteriaOperator`
pub static EVAL_CRITERIA_OPERATOR: EnumDef = EnumDef {
    name: "m2m:evalCriteriaOperator",
    values: &[
        (1, "equal"),
        (2, "not equal"),
        (3, "greater than"),
        (4, "less than"),
        (5, "greater than or equal"),
        (6, "less than or equal"),
    ],
    bits: false,
    open: true,
};

/// `m2m:evalMode`
pub static EVAL_MODE: EnumDef = EnumDef {
    name: "m2m:evalMode",
    values: &[(0, "off"), (1, "once"), (2, "periodic"), (3, "continuous")],
    bits: false,
    open: true,
};

/// `m2m:eventEvaluationMode`
pub static EVENT_EVALUATION_MODE: EnumDef = EnumDef {
    name: "m2m:eventEvaluationMode",
    values: &[
        (1, "All events present"),
        (2, "All or some events present"),
        (3, "All or some events missing"),
        (4, "All events missing"),
        (5, "Some events missing"),
    ],
    bits: false,
    open: true,
};

/// `m2m:eventType` (TS-0004 §6.3.4.2.25)
pub static EVENT_TYPE: EnumDef = EnumDef {
    name: "m2m:eventType",
    values: &[(1, "DATAOPERATION"), (2, "STORAGEBASED"), (3, "TIMERBASED")],
    bits: false,
    open: false,
};

/// `m2m:execModeType` (TS-0004 §6.3.4.2.14)
pub static EXEC_MODE_TYPE: EnumDef = EnumDef {
    name: "m2m:execModeType",
    values: &[(1, "IMMEDIATEONCE"), (2, "IMMEDIATEREPEAT"), (3, "RANDOMONCE"), (4, "RANDOMREPEAT")],
    bits: false,
    open: false,
};

/// `m2m:execResultType` (TS-0004 §6.3.4.2.16)
pub static EXEC_RESULT_TYPE: EnumDef = EnumDef {
    name: "m2m:execResultType",
    values: &[
        (0, "STATUS_SUCCESS"),
        (1, "STATUS_REQUEST_UNSUPPORTED"),
        (2, "STATUS_REQUEST DENIED"),
        (3, "STATUS_CANCELLATION_DENIED"),
        (4, "STATUS_INTERNAL_ERROR"),
        (5, "STATUS_INVALID_ARGUMENTS"),
        (6, "STATUS_RESOURCES_EXCEEDED"),
        (7, "STATUS_FILE_TRANSFER_FAILED"),
        (8, "STATUS_FILE_TRANSFER_SERVER_AUTHENTICATION_FAILURE"),
        (9, "STATUS_UNSUPPORTED_PROTOCOL"),
        (10, "STATUS_UPLOAD_FAILED"),
        (11, "STATUS_FILE_TRANSFER_FAILED_MULTICAST_GROUP_UNABLE_JOIN"),
        (12, "STATUS_FILE_TRANSFER_FAILED_SERVER_CONTACT_FAILED"),
        (13, "STATUS_FILE_TRANSFER_FAILED_FILE_ACCESS_FAILED"),
        (14, "STATUS_FILE_TRANSFER_FAILED_DOWNLOAD_INCOMPLETE"),
        (15, "STATUS_FILE_TRANSFER_FAILED_FILE_CORRUPTED"),
        (16, "STATUS_FILE_TRANSFER_FILE_AUTHENTICATION_FAILURE"),
        (19, "STATUS_FILE_TRANSFER_WINDOW_EXCEEDED"),
        (20, "STATUS_INVALID_UUID_FORMAT"),
        (21, "STATUS_UNKNOWN_EXECUTION_ENVIRONMENT"),
        (22, "STATUS_DISABLED_EXECUTION_ENVIRONMENT"),
        (23, "STATUS_EXECUTION_ENVIRONMENT_MISMATCH"),
        (24, "STATUS_DUPLICATE_DEPLOYMENT_UNIT"),
        (25, "STATUS_SYSTEM_RESOURCES_EXCEEDED"),
        (26, "STATUS_UNKNOWN_DEPLOYMENT_UNIT"),
        (27, "STATUS_INVALID_DEPLOYMENT_UNIT_STATE"),
        (28, "STATUS_INVALID_DEPLOYMENT_UNIT_UPDATE_DOWNGRADE_DISALLOWED"),
        (29, "STATUS_INVALID_DEPLOYMENT_UNIT_UPDATE_UPGRADE_DISALLOWED"),
        (30, "STATUS_INVALID_DEPLOYMENT_UNIT_UPDATE_VERSION_EXISTS"),
        (31, "STATUS_NOT_FINISHED"),
    ],
    bits: false,
    open: false,
};

/// `m2m:execStatusType` (TS-0004 §6.3.4.2.15)
pub static EXEC_STATUS_TYPE: EnumDef = EnumDef {
    name: "m2m:execStatusType",
    values: &[
        (1, "INITIATED"),
        (2, "PENDING"),
        (3, "FINISHED"),
        (4, "CANCELLING"),
        (5, "CANCELLED"),
        (6, "STATUS_NON_CANCELLABLE"),
    ],
    bits: false,
    open: false,
};

/// `m2m:filterOperation` (TS-0004 §6.3.4.2.34)
pub static FILTER_OPERATION: EnumDef = EnumDef {
    name: "m2m:filterOperation",
    values: &[(1, "Logical AND"), (2, "Logical OR"), (3, "Logical XOR")],
    bits: false,
    open: false,
};

/// `m2m:filterUsage` (TS-0004 §6.3.4.2.31)
pub static FILTER_USAGE: EnumDef = EnumDef {
    name: "m2m:filterUsage",
    values: &[(1, "Discovery Criteria"), (2, "Conditional Retrieval"), (3, "IPE On-demand Discovery")],
    bits: false,
    open: false,
};

/// `m2m:geoSpatialFunctionType`
pub static GEO_SPATIAL_FUNCTION_TYPE: EnumDef = EnumDef {
    name: "m2m:geoSpatialFunctionType",
    values: &[(1, "Within"), (2, "Contains"), (3, "Intersects")],
    bits: false,
    open: true,
};

/// `m2m:geofenceEventCriteria` (TS-0004 §6.3.4.2.47)
pub static GEOFENCE_EVENT_CRITERIA: EnumDef = EnumDef {
    name: "m2m:geofenceEventCriteria",
    values: &[(1, "Entering"), (2, "Leaving"), (3, "Inside"), (4, "Outside")],
    bits: false,
    open: false,
};

/// `m2m:geometryType`
pub static GEOMETRY_TYPE: EnumDef = EnumDef {
    name: "m2m:geometryType",
    values: &[
        (1, "Point"),
        (2, "LineString"),
        (3, "Polygon"),
        (4, "MultiPoint"),
        (5, "MultiLineString"),
        (6, "MultiPolygon"),
    ],
    bits: false,
    open: true,
};

/// `m2m:locationInformationType` (TS-0004 §6.3.4.2.46)
pub static LOCATION_INFORMATION_TYPE: EnumDef = EnumDef {
    name: "m2m:locationInformationType",
    values: &[(1, "Position fix"), (2, "Geofence event")],
    bits: false,
    open: false,
};

/// `m2m:locationSource` (TS-0004 §6.3.4.2.3)
pub static LOCATION_SOURCE: EnumDef = EnumDef {
    name: "m2m:locationSource",
    values: &[(1, "Network_based"), (2, "Device_based"), (3, "Sharing_based")],
    bits: false,
    open: false,
};

/// `m2m:locationUpdateEventCriteria` (TS-0004 §6.3.4.2.56)
pub static LOCATION_UPDATE_EVENT_CRITERIA: EnumDef =
    EnumDef { name: "m2m:locationUpdateEventCriteria", values: &[(0, "Location_Change")], bits: false, open: false };

/// `m2m:logStatus` (TS-0004 §6.3.4.2.24)
pub static LOG_STATUS: EnumDef = EnumDef {
    name: "m2m:logStatus",
    values: &[(1, "Started"), (2, "Stopped"), (3, "Unknown"), (4, "NotPresent"), (5, "Error")],
    bits: false,
    open: false,
};

/// `m2m:logTypeId` (TS-0004 §6.3.4.2.23)
pub static LOG_TYPE_ID: EnumDef = EnumDef {
    name: "m2m:logTypeId",
    values: &[(1, "System"), (2, "Security"), (3, "Event"), (4, "Trace"), (5, "Panic")],
    bits: false,
    open: false,
};

/// `m2m:logicalOperator` (TS-0004 §6.3.4.2.33)
pub static LOGICAL_OPERATOR: EnumDef = EnumDef {
    name: "m2m:logicalOperator",
    values: &[(1, "AND operation"), (2, "OR operation")],
    bits: false,
    open: false,
};

/// `m2m:mashupMemberStoreType` (TS-0004 §6.3.4.2.54)
pub static MASHUP_MEMBER_STORE_TYPE: EnumDef = EnumDef {
    name: "m2m:mashupMemberStoreType",
    values: &[(1, "URI_ONLY"), (2, "URI_AND_VALUE")],
    bits: false,
    open: false,
};

/// `m2m:mashupResultGenType` (TS-0004 §6.3.4.2.55)
pub static MASHUP_RESULT_GEN_TYPE: EnumDef = EnumDef {
    name: "m2m:mashupResultGenType",
    values: &[
        (1, "WHEN_SMI_IS_CREATED"),
        (2, "WHEN_MR_REQUESTS"),
        (3, "PERIODICALLY"),
        (4, "WHEN_A_MASHUP_MEMBER_IS_UPDATED"),
    ],
    bits: false,
    open: false,
};

/// `m2m:memberType` (TS-0004 §6.3.4.2.11)
pub static MEMBER_TYPE: EnumDef = EnumDef {
    name: "m2m:memberType",
    values: &[
        (0, "mixed"),
        (1, "accessControlPolicy"),
        (2, "AE"),
        (3, "container"),
        (4, "contentInstance"),
        (5, "CSEBase"),
        (6, "delivery"),
        (7, "eventConfig"),
        (8, "execInstance"),
        (9, "group"),
        (10, "locationPolicy"),
        (11, "m2mServiceSubscriptionProfile"),
        (12, "mgmtCmd"),
        (13, "mgmtObj"),
        (14, "node"),
        (15, "pollingChannel"),
        (16, "remoteCSE"),
        (17, "request"),
        (18, "schedule"),
        (19, "serviceSubscribedAppRule"),
        (20, "serviceSubscribedNode"),
        (21, "statsCollect"),
        (22, "statsConfig"),
        (23, "subscription"),
        (24, "semanticDescriptor"),
        (25, "notificationTargetMgmtPolicyRef"),
        (26, "notificationTargetPolicy"),
        (27, "policyDeletionRules"),
        (28, "flexContainer"),
        (29, "timeSeries"),
        (30, "timeSeriesInstance"),
        (31, "role"),
        (32, "token"),
        (34, "dynamicAuthorizationConsultation"),
        (35, "authorizationDecision"),
        (36, "authorizationPolicy"),
        (37, "authorizationInformation"),
        (38, "ontologyRepository"),
        (39, "ontology"),
        (40, "semanticMashupJobProfile"),
        (41, "semanticMashupInstance"),
        (42, "semanticMashupResult"),
        (43, "AEContactList"),
        (44, "AEContactListPerCSE"),
        (46, "multimediaSession"),
        (47, "triggerRequest"),
        (48, "crossResourceSubscription"),
        (49, "backgroundDataTransfer"),
        (50, "transactionMgmt"),
        (51, "transaction"),
        (58, "flexContainerInstance"),
        (60, "timeSyncBeacon"),
        (62, "primitiveProfile"),
        (63, "processManagement"),
        (64, "state"),
        (65, "action"),
        (66, "dependency"),
        (10001, "accessControlPolicyAnnc"),
        (10002, "AEAnnc"),
        (10003, "containerAnnc"),
        (10004, "contentInstanceAnnc"),
        (10009, "groupAnnc"),
        (10010, "locationPolicyAnnc"),
        (10013, "mgmtObjAnnc"),
        (10014, "nodeAnnc"),
        (10016, "remoteCSEAnnc"),
        (10018, "scheduleAnnc"),
        (10024, "semanticDescriptorAnnc"),
        (10028, "flexContainerAnnc"),
        (10029, "timeSeriesAnnc"),
        (10030, "timeSeriesInstanceAnnc"),
        (10038, "ontologyRepositoryAnnc"),
        (10039, "ontologyAnnc"),
        (10040, "semanticMashupJobProfileAnnc"),
        (10041, "semanticMashupInstanceAnnc"),
        (10042, "semanticMashupResultAnnc"),
        (10046, "multimediaSessionAnnc"),
        (10058, "flexContainerInstanceAnnc"),
        (10060, "timeSyncBeaconAnnc"),
        (10062, "primitiveProfileAnnc"),
        (10063, "processManagementAnnc"),
        (10064, "stateAnnc"),
        (10065, "actionAnnc"),
        (10066, "dependencyAnnc"),
        (20001, "oldest"),
        (20002, "latest"),
        (20003, "mashup"),
    ],
    bits: false,
    open: false,
};

/// `m2m:mgmtDefinition` (TS-0004 §6.3.4.2.22)
pub static MGMT_DEFINITION: EnumDef = EnumDef {
    name: "m2m:mgmtDefinition",
    values: &[
        (0, "Self-defined"),
        (1001, "firmware"),
        (1002, "software"),
        (1003, "memory"),
        (1004, "areaNwkInfo"),
        (1005, "areaNwkDeviceInfo"),
        (1006, "battery"),
        (1007, "deviceInfo"),
        (1008, "deviceCapability"),
        (1009, "reboot"),
        (1010, "eventLog"),
        (1011, "cmdhPolicy"),
        (1012, "activeCmdhPolicy"),
        (1013, "cmdhDefaults"),
        (1014, "cmdhDefEcValue"),
        (1015, "cmdhEcDefParamValues"),
        (1016, "cmdhLimits"),
        (1017, "cmdhNetworkAccessRules"),
        (1018, "cmdhNwAccessRule"),
        (1019, "cmdhBuffer"),
        (1020, "registration"),
        (1021, "dataCollection"),
        (1022, "authenticationProfile"),
        (1023, "myCertFileCred"),
        (1024, "trustAnchorCred"),
        (1025, "MAFClientRegCfg"),
        (1026, "MEFClientRegCfg"),
        (1027, "OAuth2Authentication"),
        (1028, "wifiClient"),
        (1029, "credentials"),
        (1030, "SIM"),
        (1031, "mobileNetwork"),
    ],
    bits: false,
    open: false,
};

/// `m2m:multicastCapability` (TS-0004 §6.3.4.2.58)
pub static MULTICAST_CAPABILITY: EnumDef =
    EnumDef { name: "m2m:multicastCapability", values: &[(1, "MBMS"), (2, "IP")], bits: false, open: false };

/// `m2m:networkAction` (TS-0004 §6.3.4.2.45)
pub static NETWORK_ACTION: EnumDef = EnumDef {
    name: "m2m:networkAction",
    values: &[
        (1, "cellular-registration"),
        (2, "cellular-attach"),
        (3, "cellular-pdpctxact"),
        (4, "cellular-sms"),
        (5, "default"),
    ],
    bits: false,
    open: false,
};

/// `m2m:notificationContentType` (TS-0004 §6.3.4.2.18)
pub static NOTIFICATION_CONTENT_TYPE: EnumDef = EnumDef {
    name: "m2m:notificationContentType",
    values: &[
        (1, "All Attributes"),
        (2, "Modified Attributes"),
        (3, "ResourceID"),
        (4, "Trigger Payload"),
        (5, "TimeSeries notification"),
    ],
    bits: false,
    open: false,
};

/// `m2m:notificationEventType` (TS-0004 §6.3.4.2.19)
pub static NOTIFICATION_EVENT_TYPE: EnumDef = EnumDef {
    name: "m2m:notificationEventType",
    values: &[
        (1, "Update_of_Resource"),
        (2, "Delete_of_Resource"),
        (3, "Create_of_Direct_Child_Resource"),
        (4, "Delete_of_Direct_Child_Resource"),
        (5, "Retrieve_of_Container_Resource_With_No_Child_Resource"),
        (6, "Trigger_Received_For_AE_Resource"),
        (7, "Blocking_Update"),
        (8, "Report_on_missing_data_points"),
        (9, "blockingRetrieve"),
        (10, "blockingRetrieveDirectChild"),
    ],
    bits: false,
    open: false,
};

/// `m2m:notificationTargetPolicyAction` (TS-0004 §6.3.4.2.32)
pub static NOTIFICATION_TARGET_POLICY_ACTION: EnumDef = EnumDef {
    name: "m2m:notificationTargetPolicyAction",
    values: &[
        (1, "acceptRequest"),
        (2, "rejectRequest"),
        (3, "askSubscriptionOriginatorBeforeResponding"),
        (4, "informSubscriptionOriginatorOnly"),
    ],
    bits: false,
    open: false,
};

/// `m2m:operation` (TS-0004 §6.3.4.2.5)
pub static OPERATION: EnumDef = EnumDef {
    name: "m2m:operation",
    values: &[(1, "Create"), (2, "Retrieve"), (3, "Update"), (4, "Delete"), (5, "Notify")],
    bits: false,
    open: false,
};

/// `m2m:pendingNotification` (TS-0004 §6.3.4.2.17)
pub static PENDING_NOTIFICATION: EnumDef = EnumDef {
    name: "m2m:pendingNotification",
    values: &[(1, "sendLatest"), (2, "sendAllPending")],
    bits: false,
    open: false,
};

/// `m2m:processControl`
pub static PROCESS_CONTROL: EnumDef = EnumDef {
    name: "m2m:processControl",
    values: &[(1, "Enable"), (2, "Disable"), (3, "Pause"), (4, "Reactivate")],
    bits: false,
    open: true,
};

/// `m2m:processStatus`
pub static PROCESS_STATUS: EnumDef = EnumDef {
    name: "m2m:processStatus",
    values: &[(1, "Disabled"), (2, "Enabled"), (3, "Activated"), (4, "Paused"), (5, "Completed"), (6, "Aborted")],
    bits: false,
    open: true,
};

/// `m2m:requestStatus` (TS-0004 §6.3.4.2.10)
pub static REQUEST_STATUS: EnumDef = EnumDef {
    name: "m2m:requestStatus",
    values: &[(1, "COMPLETED"), (2, "FAILED"), (3, "PENDING"), (4, "FORWARDED"), (5, "PARTIALLY_COMPLETED")],
    bits: false,
    open: false,
};

/// `m2m:resourceType` (TS-0004 §6.3.4.2.1)
pub static RESOURCE_TYPE: EnumDef = EnumDef {
    name: "m2m:resourceType",
    values: &[
        (1, "accessControlPolicy"),
        (2, "AE"),
        (3, "container"),
        (4, "contentInstance"),
        (5, "CSEBase"),
        (6, "delivery"),
        (7, "eventConfig"),
        (8, "execInstance"),
        (9, "group"),
        (10, "locationPolicy"),
        (11, "m2mServiceSubscriptionProfile"),
        (12, "mgmtCmd"),
        (13, "mgmtObj"),
        (14, "node"),
        (15, "pollingChannel"),
        (16, "remoteCSE"),
        (17, "request"),
        (18, "schedule"),
        (19, "serviceSubscribedAppRule"),
        (20, "serviceSubscribedNode"),
        (21, "statsCollect"),
        (22, "statsConfig"),
        (23, "subscription"),
        (24, "semanticDescriptor"),
        (25, "notificationTargetMgmtPolicyRef"),
        (26, "notificationTargetPolicy"),
        (27, "policyDeletionRules"),
        (28, "flexContainer"),
        (29, "timeSeries"),
        (30, "timeSeriesInstance"),
        (31, "role"),
        (32, "token"),
        (34, "dynamicAuthorizationConsultation"),
        (35, "authorizationDecision"),
        (36, "authorizationPolicy"),
        (37, "authorizationInformation"),
        (38, "ontologyRepository"),
        (39, "ontology"),
        (40, "semanticMashupJobProfile"),
        (41, "semanticMashupInstance"),
        (42, "semanticMashupResult"),
        (43, "AEContactList"),
        (44, "AEContactListPerCSE"),
        (45, "localMulticastGroup"),
        (46, "multimediaSession"),
        (47, "triggerRequest"),
        (48, "crossResourceSubscription"),
        (49, "backgroundDataTransfer"),
        (50, "transactionMgmt"),
        (51, "transaction"),
        (58, "flexContainerInstance"),
        (60, "timeSyncBeacon"),
        (62, "primitiveProfile"),
        (63, "processManagement"),
        (64, "state"),
        (65, "action"),
        (66, "dependency"),
        (10001, "accessControlPolicyAnnc"),
        (10002, "AEAnnc"),
        (10003, "containerAnnc"),
        (10004, "contentInstanceAnnc"),
        (10005, "CSEBaseAnnc"),
        (10009, "groupAnnc"),
        (10010, "locationPolicyAnnc"),
        (10013, "mgmtObjAnnc"),
        (10014, "nodeAnnc"),
        (10016, "remoteCSEAnnc"),
        (10018, "scheduleAnnc"),
        (10024, "semanticDescriptorAnnc"),
        (10028, "flexContainerAnnc"),
        (10029, "timeSeriesAnnc"),
        (10030, "timeSeriesInstanceAnnc"),
        (10038, "ontologyRepositoryAnnc"),
        (10039, "ontologyAnnc"),
        (10040, "semanticMashupJobProfileAnnc"),
        (10041, "semanticMashupInstanceAnnc"),
        (10042, "semanticMashupResultAnnc"),
        (10046, "multimediaSessionAnnc"),
        (10058, "flexContainerInstanceAnnc"),
        (10060, "timeSyncBeaconAnnc"),
        (10062, "primitiveProfileAnnc"),
        (10063, "processManagementAnnc"),
        (10064, "stateAnnc"),
        (10065, "actionAnnc"),
        (10066, "dependencyAnnc"),
    ],
    bits: false,
    open: false,
};

/// `m2m:responseStatusCode`
pub static RESPONSE_STATUS_CODE: EnumDef = EnumDef {
    name: "m2m:responseStatusCode",
    values: &[
        (1000, "ACCEPTED"),
        (1001, "ACCEPTED for nonBlockingRequestSynch"),
        (1002, "ACCEPTED for nonBlockingRequestAsynch"),
        (2000, "OK"),
        (2001, "CREATED"),
        (2002, "DELETED"),
        (2004, "UPDATED"),
        (4000, "Bad Request"),
        (4001, "Release Version Not Supported"),
        (4004, "Not Found"),
        (4005, "Operation Not Allowed"),
        (4008, "Request Timeout"),
        (4015, "Unsupported Media Type"),
        (4101, "Subscription Creator Has No Privilege"),
        (4102, "Contents Unacceptable"),
        (4103, "Originator Has No Privilege"),
        (4104, "Group Request Identifier Exists"),
        (4105, "Conflict"),
        (4106, "Originator Has Not Registered"),
        (4107, "Security Association Required"),
        (4108, "Invalid Child Resource Type"),
        (4109, "No Members"),
        (4110, "Group Member Type Inconsistent"),
        (4111, "ESPRIM Unsupported Option"),
        (4112, "ESPRIM Unknown Key ID"),
        (4113, "ESPRIM Unknown Orig RAND ID"),
        (4114, "ESPRIM Unknown Recv RAND ID"),
        (4115, "ESPRIM Bad MAC"),
        (4116, "ESPRIM Impersonation Error"),
        (4117, "Originator Has Already Registered"),
        (4118, "Ontology Not Available"),
        (4119, "Linked Semantics Not Available"),
        (4120, "Invalid Semantics"),
        (4121, "Mashup Member Not Found"),
        (4122, "Invalid Trigger Purpose"),
        (4123, "Illegal Transaction State Transition Attempted"),
        (4124, "Blocking Subscription Already Exists"),
        (4125, "Specialization Schema Not Found"),
        (4126, "App Rule Validation Failed"),
        (4127, "Operation Denied By Remote Entity"),
        (4128, "Service Subscription Not Established"),
        (4130, "Discovery Limit Exceeded"),
        (4131, "Ontology Mapping Algorithm Not Available"),
        (4132, "Ontology Mapping Policy Not Matched"),
        (4133, "Ontology Mapping Not Available"),
        (4135, "Bad Fact Inputs For Reasoning"),
        (4136, "Bad Rule Inputs For Reasoning"),
        (4137, "Discovery Limit Exceeded"),
        (4138, "Primitive Profile Not Accessible"),
        (4139, "Primitive Profile Bad Request"),
        (4140, "Unauthorized User"),
        (4141, "Service Subscription Limits Exceeded"),
        (4142, "Invalid Process Configuration"),
        (4143, "Invalid SPARQL Query"),
        (5000, "Internal Server Error"),
        (5001, "Not Implemented"),
        (5103, "Target Not Reachable"),
        (5105, "Receiver Has No Privilege"),
        (5106, "Already Exists"),
        (5107, "Remote Entity Not Reachable"),
        (5203, "Target Not Subscribable"),
        (5204, "Subscription Verification Initiation Failed"),
        (5205, "Subscription Host Has No Privilege"),
        (5206, "Non Blocking Synch Request Not Supported"),
        (5207, "Not Acceptable"),
        (5208, "Discovery Denied By IPE"),
        (5209, "Group Members Not Responded"),
        (5210, "ESPRIM Decryption Error"),
        (5211, "ESPRIM Encryption Error"),
        (5212, "SPARQL Update Error"),
        (5214, "Target Has No Session Capability"),
        (5215, "Session Is Online"),
        (5216, "Join Multicast Group Failed"),
        (5217, "Leave Multicast Group Failed"),
        (5218, "Triggering Disabled For Recipient"),
        (5219, "Unable To Replace Request"),
        (5220, "Unable To Recall Request"),
        (5221, "Cross Resource Operation Failure"),
        (5222, "Transaction Processing Is Incomplete"),
        (5230, "Ontology Mapping Algorithm Failed"),
        (5231, "Ontology Conversion Failed"),
        (5232, "Reasoning Processing Failed"),
        (6003, "External Object Not Reachable"),
        (6005, "External Object Not Found"),
        (6010, "Max Number Of Member Exceeded"),
        (6020, "Mgmt Session Cannot Be Established"),
        (6021, "Mgmt Session Establishment Timeout"),
        (6022, "Invalid Cmdtype"),
        (6023, "Invalid Arguments"),
        (6024, "Insufficient Arguments"),
        (6025, "Mgmt Conversion Error"),
        (6026, "Mgmt Cancellation Failed"),
        (6028, "Already Complete"),
        (6029, "Mgmt Command Not Cancellable"),
        (6030, "External Object Not Reachable Before RQET Timeout"),
        (6031, "External Object Not Reachable Before OET Timeout"),
        (6033, "Network QoS Configuration Error"),
        (6034, "Requested Activity Pattern Not Permitted"),
    ],
    bits: false,
    open: true,
};

/// `m2m:responseType` (TS-0004 §6.3.4.2.6)
pub static RESPONSE_TYPE: EnumDef = EnumDef {
    name: "m2m:responseType",
    values: &[
        (1, "nonBlockingRequestSynch"),
        (2, "nonBlockingRequestAsynch"),
        (3, "blockingRequest"),
        (4, "flexBlocking"),
        (5, "noResponse"),
    ],
    bits: false,
    open: false,
};

/// `m2m:resultContent` (TS-0004 §6.3.4.2.7)
pub static RESULT_CONTENT: EnumDef = EnumDef {
    name: "m2m:resultContent",
    values: &[
        (0, "nothing"),
        (1, "attributes"),
        (2, "hierarchical address"),
        (3, "hierarchical address and attributes"),
        (4, "attributes and child resources"),
        (5, "attributes and child resource references"),
        (6, "child resource references"),
        (7, "original resource"),
        (8, "child resources"),
        (9, "modified attributes"),
        (10, "semantic content"),
        (11, "semantic content and child resources"),
        (12, "permissions"),
    ],
    bits: false,
    open: false,
};

/// `m2m:semanticFormat` (TS-0004 §6.3.4.2.48)
pub static SEMANTIC_FORMAT: EnumDef = EnumDef {
    name: "m2m:semanticFormat",
    values: &[
        (1, "IRI"),
        (2, "File format: Functional-style"),
        (3, "File format: OWL/XML"),
        (4, "File format: RDF/XML"),
        (5, "File format: RDF/Turtle"),
        (6, "File format: Manchester"),
        (7, "File format: JSON-LD"),
    ],
    bits: false,
    open: false,
};

/// `m2m:sessionState` (TS-0004 §6.3.4.2.59)
pub static SESSION_STATE: EnumDef =
    EnumDef { name: "m2m:sessionState", values: &[(1, "OFFLINE"), (2, "ONLINE")], bits: false, open: false };

/// `m2m:statModelType` (TS-0004 §6.3.4.2.27)
pub static STAT_MODEL_TYPE: EnumDef =
    EnumDef { name: "m2m:statModelType", values: &[(1, "EVENTBASED")], bits: false, open: false };

/// `m2m:statsRuleStatusType` (TS-0004 §6.3.4.2.26)
pub static STATS_RULE_STATUS_TYPE: EnumDef =
    EnumDef { name: "m2m:statsRuleStatusType", values: &[(1, "ACTIVE"), (2, "INACTIVE")], bits: false, open: false };

/// `m2m:status` (TS-0004 §6.3.4.2.20)
pub static STATUS: EnumDef = EnumDef {
    name: "m2m:status",
    values: &[(0, "Uninitialized"), (1, "Successful"), (2, "Failure"), (3, "In_Process")],
    bits: false,
    open: false,
};

/// `m2m:suid` (TS-0004 §6.3.4.2.39)
pub static SUID: EnumDef = EnumDef {
    name: "m2m:suid",
    values: &[
        (10, "pre-provisioned symmetric key / MEF"),
        (11, "pre-provisioned symmetric key / MAF"),
        (12, "pre-provisioned symmetric key / SAEF (hop-by-hop security association)"),
        (13, "pre-provisioned symmetric key / ESPrim"),
        (14, "pre-provisioned symmetric key / ESData encryption"),
        (15, "pre-provisioned symmetric key / ESData signature only"),
        (21, "symmetric key from remote provisioning (RSPF) / MAF"),
        (22, "symmetric key from remote provisioning (RSPF) / SAEF (hop-by-hop security association)"),
        (23, "symmetric key from remote provisioning (RSPF) / ESPrim"),
        (24, "symmetric key from remote provisioning (RSPF) / ESData encryption"),
        (25, "symmetric key from remote provisioning (RSPF) / ESData signature only"),
        (32, "symmetric key distributed by MAF / SAEF (hop-by-hop security association)"),
        (33, "symmetric key distributed by MAF / ESPrim"),
        (34, "symmetric key distributed by MAF / ESData encryption"),
        (35, "symmetric key distributed by MAF / ESData signature only"),
        (40, "certificate / MEF"),
        (41, "certificate / MAF"),
        (42, "certificate / SAEF (hop-by-hop security association)"),
        (43, "certificate / ESPrim"),
        (44, "certificate / ESData encryption"),
        (45, "certificate / ESData signature only"),
    ],
    bits: false,
    open: false,
};

/// `m2m:timeWindowType` (TS-0004 §6.3.4.2.61)
pub static TIME_WINDOW_TYPE: EnumDef = EnumDef {
    name: "m2m:timeWindowType",
    values: &[(1, "PERIODICWINDOW"), (2, "SLIDINGWINDOW")],
    bits: false,
    open: false,
};

/// `m2m:transactionControl` (TS-0004 §6.3.4.2.64)
pub static TRANSACTION_CONTROL: EnumDef = EnumDef {
    name: "m2m:transactionControl",
    values: &[(1, "INITIAL"), (2, "LOCK"), (3, "EXECUTE"), (4, "COMMIT"), (5, "ABORT")],
    bits: false,
    open: false,
};

/// `m2m:transactionLockType` (TS-0004 §6.3.4.2.66)
pub static TRANSACTION_LOCK_TYPE: EnumDef = EnumDef {
    name: "m2m:transactionLockType",
    values: &[(1, "BLOCK_ALL"), (2, "ALLOW_RETRIEVES")],
    bits: false,
    open: false,
};

/// `m2m:transactionMgmtHandling` (TS-0004 §6.3.4.2.67)
pub static TRANSACTION_MGMT_HANDLING: EnumDef =
    EnumDef { name: "m2m:transactionMgmtHandling", values: &[(1, "DELETE"), (2, "PERSIST")], bits: false, open: false };

/// `m2m:transactionMode` (TS-0004 §6.3.4.2.63)
pub static TRANSACTION_MODE: EnumDef = EnumDef {
    name: "m2m:transactionMode",
    values: &[(1, "CSE_CONTROLLED"), (2, "CREATOR_CONTROLLED")],
    bits: false,
    open: false,
};

/// `m2m:transactionState` (TS-0004 §6.3.4.2.65)
pub static TRANSACTION_STATE: EnumDef = EnumDef {
    name: "m2m:transactionState",
    values: &[(1, "INITIAL"), (2, "LOCKED"), (3, "EXECUTED"), (4, "COMMITTED"), (5, "ERROR"), (6, "ABORTED")],
    bits: false,
    open: false,
};

/// `m2m:transferSelectionGuidance` (TS-0004 §6.3.4.2.62)
pub static TRANSFER_SELECTION_GUIDANCE: EnumDef = EnumDef {
    name: "m2m:transferSelectionGuidance",
    values: &[(1, "lowestCost"), (2, "bestDataRates")],
    bits: false,
    open: false,
};

/// `m2m:triggerPurpose` (TS-0004 §6.3.4.2.49)
pub static TRIGGER_PURPOSE: EnumDef = EnumDef {
    name: "m2m:triggerPurpose",
    values: &[(1, "establishConnection"), (2, "registrationRequest"), (3, "executeCRUD"), (4, "enrolmentRequest")],
    bits: false,
    open: false,
};

/// `m2m:triggerStatus` (TS-0004 §6.3.4.2.60)
pub static TRIGGER_STATUS: EnumDef = EnumDef {
    name: "m2m:triggerStatus",
    values: &[
        (1, "PROCESSING"),
        (2, "ERROR_NSE_NOT_FOUND"),
        (3, "TRIGGER_TRIGGERED"),
        (4, "TRIGGER_DELIVERED"),
        (5, "TRIGGER_EXPIRED"),
        (6, "TRIGGER_FAILED"),
        (7, "TRIGGER_REPLACED"),
        (8, "TRIGGER_UNCONFIRMED"),
        (9, "TRIGGER_TERMINATED"),
    ],
    bits: false,
    open: false,
};
