//! Short names by long name, so that code says what it means.
//!
//! A short name may stand for different things in different types; a long name that has several short names
//! is told apart by a prefix.
//!
//! Written by `schema-gen/generate.py`.

/// accessControlAttributes: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_ATTRIBUTES: &str = "aca";
/// accessControlAuthenticationFlag: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_AUTHENTICATION_FLAG: &str = "acaf";
/// accessControlContexts: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_CONTEXTS: &str = "acco";
/// accessControlEvalCriteria: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_EVAL_CRITERIA: &str = "acec";
/// accessControlIpAddresses: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_IP_ADDRESSES: &str = "acip";
/// accessControlLimit: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_LIMIT: &str = "acl";
/// accessControlLocationRegion: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_LOCATION_REGION: &str = "aclr";
/// accessControlObjectDetails: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_OBJECT_DETAILS: &str = "acod";
/// accessControlOperations: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_OPERATIONS: &str = "acop";
/// accessControlOriginators: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_ORIGINATORS: &str = "acor";
/// accessControlPolicyIDs: `<AE>`, `<container>`, `<CSEBase>` and others.
pub const ACCESS_CONTROL_POLICY_IDS: &str = "acpi";
/// accessControlRules: `m2m:setOfAcrs`.
pub const ACCESS_CONTROL_RULES: &str = "acr";
/// accessControlUserIDs: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_USER_IDS: &str = "acui";
/// accessControlWindow: `m2m:accessControlRule`.
pub const ACCESS_CONTROL_WINDOW: &str = "actw";
/// activityPatternElements: `<AE>`, `<remoteCSE>`, `m2m:activityPatternElements`.
pub const ACTIVITY_PATTERN_ELEMENTS: &str = "ape";
/// advancedQuery: `m2m:eventNotificationCriteria`.
pub const ADVANCED_QUERY: &str = "aq";
/// AE-ID: `<AE>`.
pub const AE_ID: &str = "aei";
/// AEReferenceIDChange: `m2m:notification`.
pub const AE_REFERENCE_ID_CHANGE: &str = "aerid";
/// AERegistrationPointChange: `m2m:notification`.
pub const AE_REGISTRATION_POINT_CHANGE: &str = "aerp";
/// announcedAttribute: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const ANNOUNCED_ATTRIBUTE: &str = "aa";
/// announceSyncType: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const ANNOUNCE_SYNC_TYPE: &str = "ast";
/// announceTo: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const ANNOUNCE_TO: &str = "at";
/// applyRelativePath: `m2m:filterCriteria`.
pub const APPLY_RELATIVE_PATH: &str = "arp";
/// App-ID: `<AE>`.
pub const APP_ID: &str = "api";
/// appName: `<AE>`.
pub const APP_NAME: &str = "apn";
/// associatedCrossResourceSub: `<subscription>`.
pub const ASSOCIATED_CROSS_RESOURCE_SUB: &str = "acrs";
/// attribute: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const ATTRIBUTE: &str = "atr";
/// authorizationDecisionResourceIDs: `<accessControlPolicy>`.
pub const AUTHORIZATION_DECISION_RESOURCE_IDS: &str = "adri";
/// authorizationInformationResourceIDs: `<accessControlPolicy>`.
pub const AUTHORIZATION_INFORMATION_RESOURCE_IDS: &str = "airi";
/// authorizationPolicyResourceIDs: `<accessControlPolicy>`.
pub const AUTHORIZATION_POLICY_RESOURCE_IDS: &str = "apri";
/// authorRelIndicator: `m2m:metaInformation`.
pub const AUTHOR_REL_INDICATOR: &str = "auri";
/// authorSigns: `m2m:metaInformation`.
pub const AUTHOR_SIGNS: &str = "aus";
/// authorSignIndicator: `m2m:metaInformation`.
pub const AUTHOR_SIGN_INDICATOR: &str = "asi";
/// batchNotify: `<subscription>`.
pub const BATCH_NOTIFY: &str = "bn";
/// certificates: `m2m:e2eSecInfo`.
pub const CERTIFICATES: &str = "escert";
/// childAttribute: `m2m:filterCriteria`.
pub const CHILD_ATTRIBUTE: &str = "catr";
/// childLabels: `m2m:filterCriteria`.
pub const CHILD_LABELS: &str = "clbl";
/// childResourceType: `m2m:accessControlRule`, `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const CHILD_RESOURCE_TYPE: &str = "chty";
/// circRegion: `m2m:locationRegion`.
pub const CIRC_REGION: &str = "accr";
/// consistencyStrategy: `<group>`.
pub const CONSISTENCY_STRATEGY: &str = "csy";
/// containerDefinition: `m2m:specializationType`.
pub const CONTAINER_DEFINITION: &str = "cnd";
/// content: `<contentInstance>`.
pub const CONTENT: &str = "con";
/// contentFilterQuery: `m2m:filterCriteria`.
pub const CONTENT_FILTER_QUERY: &str = "cfq";
/// contentFilterSyntax: `m2m:filterCriteria`.
pub const CONTENT_FILTER_SYNTAX: &str = "cfs";
/// contentInfo: `<contentInstance>`.
pub const CONTENT_INFO: &str = "cnf";
/// contentOffset: `m2m:operationResult`.
pub const CONTENT_OFFSET: &str = "cnot";
/// contentRef: `<contentInstance>`.
pub const CONTENT_REF: &str = "conr";
/// contentSerialization: `<AE>`, `<CSEBase>`, `<remoteCSE>`.
pub const CONTENT_SERIALIZATION: &str = "csz";
/// contentSize: `<contentInstance>`.
pub const CONTENT_SIZE: &str = "cs";
/// contentStatus: `m2m:operationResult`.
pub const CONTENT_STATUS: &str = "cnst";
/// contentType: `m2m:filterCriteria`.
pub const CONTENT_TYPE: &str = "cty";
/// (base content): `m2m:childResourceRef`.
pub const CONTENT_VALUE: &str = "val";
/// coordinates: `m2m:geoCoordinates`.
pub const COORDINATES: &str = "crd";
/// countryCode: `m2m:locationRegion`.
pub const COUNTRY_CODE: &str = "accc";
/// createdAfter: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const CREATED_AFTER: &str = "cra";
/// createdBefore: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const CREATED_BEFORE: &str = "crb";
/// creationTime: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const CREATION_TIME: &str = "ct";
/// creator: `<container>`, `<contentInstance>`, `<group>` and others.
pub const CREATOR: &str = "cr";
/// CSEBase: `<remoteCSE>`.
pub const CSE_BASE: &str = "cb";
/// CSE-ID: `<CSEBase>`, `<remoteCSE>`.
pub const CSE_ID: &str = "csi";
/// cseType: `<CSEBase>`, `<remoteCSE>`.
pub const CSE_TYPE: &str = "cst";
/// currentByteSize: `<container>`.
pub const CURRENT_BYTE_SIZE: &str = "cbs";
/// currentNrOfInstances: `<container>`.
pub const CURRENT_NR_OF_INSTANCES: &str = "cni";
/// currentNrOfMembers: `<group>`.
pub const CURRENT_NR_OF_MEMBERS: &str = "cnm";
/// currentTime: `<CSEBase>`.
pub const CURRENT_TIME: &str = "ctm";
/// custodian: `<AE>`, `<container>`, `<CSEBase>` and others.
pub const CUSTODIAN: &str = "cstn";
/// dataGenerationTime: `<contentInstance>`.
pub const DATA_GENERATION_TIME: &str = "dgt";
/// dataSizeIndicator: `m2m:activityPattern`.
pub const DATA_SIZE_INDICATOR: &str = "dsi";
/// deletionCnt: `<contentInstance>`.
pub const DELETION_CNT: &str = "dcnt";
/// deliveryAggregation: `m2m:metaInformation`.
pub const DELIVERY_AGGREGATION: &str = "da";
/// descendantCSEs: `<remoteCSE>`.
pub const DESCENDANT_CSES: &str = "dcse";
/// desiredIdentifierResultType: `m2m:metaInformation`.
pub const DESIRED_IDENTIFIER_RESULT_TYPE: &str = "drt";
/// disableRetrieval: `<container>`.
pub const DISABLE_RETRIEVAL: &str = "disr";
/// duration: `m2m:batchNotify`, `m2m:missingData`.
pub const DURATION: &str = "dur";
/// dynamicAuthorizationConsultationIDs: `<AE>`, `<container>`, `<CSEBase>` and others.
pub const DYNAMIC_AUTHORIZATION_CONSULTATION_IDS: &str = "daci";
/// e2eSecInfo: `<AE>`, `<CSEBase>`, `<remoteCSE>`.
pub const E2E_SEC_INFO: &str = "esi";
/// enableEventNotificationOriginator: `<subscription>`.
pub const ENABLE_EVENT_NOTIFICATION_ORIGINATOR: &str = "eeno";
/// esprimKeyGenAlgIDs: `m2m:receiverESPrimRandObject`.
pub const ESPRIM_KEY_GEN_ALG_IDS: &str = "esks";
/// esprimProtocolAndAlgIDs: `m2m:receiverESPrimRandObject`.
pub const ESPRIM_PROTOCOL_AND_ALG_IDS: &str = "espa";
/// esprimRandExpiry: `m2m:receiverESPrimRandObject`.
pub const ESPRIM_RAND_EXPIRY: &str = "esrx";
/// esprimRandID: `m2m:receiverESPrimRandObject`.
pub const ESPRIM_RAND_ID: &str = "esri";
/// esprimRandValue: `m2m:receiverESPrimRandObject`.
pub const ESPRIM_RAND_VALUE: &str = "esrv";
/// eventCategory: `m2m:metaInformation`, `m2m:operationResult`.
pub const EVENT_CATEGORY: &str = "ec";
/// eventNotificationCriteria: `<subscription>`.
pub const EVENT_NOTIFICATION_CRITERIA: &str = "enc";
/// expirationCounter: `<subscription>`.
pub const EXPIRATION_COUNTER: &str = "exc";
/// expirationTime: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const EXPIRATION_TIME: &str = "et";
/// expireAfter: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const EXPIRE_AFTER: &str = "exa";
/// expireBefore: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const EXPIRE_BEFORE: &str = "exb";
/// externalGroupID: `<remoteCSE>`.
pub const EXTERNAL_GROUP_ID: &str = "egid";
/// filterCriteria: `m2m:metaInformation`, `m2m:notification`.
pub const FILTER_CRITERIA: &str = "fc";
/// filterOperation: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const FILTER_OPERATION: &str = "fo";
/// filterUsage: `m2m:filterCriteria`.
pub const FILTER_USAGE: &str = "fu";
/// from: `m2m:operationResult`.
pub const FROM: &str = "fr";
/// geometry: `m2m:filterCriteria`.
pub const GEOMETRY: &str = "geom";
/// geometryType: `m2m:filterCriteria`.
pub const GEOMETRY_TYPE: &str = "gmty";
/// geoSpatialFunction: `m2m:filterCriteria`.
pub const GEO_SPATIAL_FUNCTION: &str = "gsf";
/// groupID: `<subscription>`.
pub const GROUP_ID: &str = "gpi";
/// groupName: `<group>`.
pub const GROUP_NAME: &str = "gn";
/// groupRequestIdentifier: `m2m:metaInformation`.
pub const GROUP_REQUEST_IDENTIFIER: &str = "gid";
/// groupRequestTargetMembers: `m2m:metaInformation`.
pub const GROUP_REQUEST_TARGET_MEMBERS: &str = "grtm";
/// groupSomecastTargetNumber: `m2m:metaInformation`.
pub const GROUP_SOMECAST_TARGET_NUMBER: &str = "gstn";
/// holder: `<CSEBase>`.
pub const HOLDER: &str = "hld";
/// IN-CSE-ID: `<CSEBase>`, `<remoteCSE>`.
pub const IN_CSE_ID: &str = "ici";
/// IPEDiscoveryRequest: `m2m:notification`.
pub const IPE_DISCOVERY_REQUEST: &str = "idr";
/// ipv4Addresses: `m2m:accessControlRule`.
pub const IPV4_ADDRESSES: &str = "ipv4";
/// ipv6Addresses: `m2m:accessControlRule`.
pub const IPV6_ADDRESSES: &str = "ipv6";
/// labels: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const LABELS: &str = "lbl";
/// labelsQuery: `m2m:filterCriteria`.
pub const LABELS_QUERY: &str = "lbq";
/// lastModifiedTime: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const LAST_MODIFIED_TIME: &str = "lt";
/// latestNotify: `<subscription>`.
pub const LATEST_NOTIFY: &str = "ln";
/// level: `m2m:filterCriteria`.
pub const LEVEL: &str = "lvl";
/// limit: `m2m:filterCriteria`.
pub const LIMIT: &str = "lim";
/// link: announced variants.
pub const LINK: &str = "lnk";
/// localTokenIDs: `m2m:metaInformation`.
pub const LOCAL_TOKEN_IDS: &str = "ltids";
/// location: `<AE>`, `<container>`, `<contentInstance>` and others.
pub const LOCATION: &str = "loc";
/// locationID: `<container>`.
pub const LOCATION_ID: &str = "li";
/// M2M-Ext-ID: `<AE>`, `<remoteCSE>`.
pub const M2M_EXT_ID: &str = "mei";
/// m2mServiceUser: `m2m:metaInformation`.
pub const M2M_SERVICE_USER: &str = "msu";
/// maxAge: `<subscription>`.
pub const MAX_AGE: &str = "ma";
/// maxByteSize: `<container>`.
pub const MAX_BYTE_SIZE: &str = "mbs";
/// maxInstanceAge: `<container>`.
pub const MAX_INSTANCE_AGE: &str = "mia";
/// maxNrOfInstances: `<container>`.
pub const MAX_NR_OF_INSTANCES: &str = "mni";
/// maxNrOfMembers: `<group>`.
pub const MAX_NR_OF_MEMBERS: &str = "mnm";
/// maxNrOfNotify: `m2m:rateLimit`.
pub const MAX_NR_OF_NOTIFY: &str = "mnn";
/// membersAccessControlPolicyIDs: `<group>`.
pub const MEMBERS_ACCESS_CONTROL_POLICY_IDS: &str = "macp";
/// memberIDs: `<group>`.
pub const MEMBER_IDS: &str = "mid";
/// memberType: `<group>`.
pub const MEMBER_TYPE: &str = "mt";
/// memberTypeValidated: `<group>`.
pub const MEMBER_TYPE_VALIDATED: &str = "mtv";
/// mgmtDefinition: `m2m:specializationType`.
pub const MGMT_DEFINITION: &str = "mgd";
/// missingData: `m2m:eventNotificationCriteria`.
pub const MISSING_DATA: &str = "md";
/// modifiedSince: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const MODIFIED_SINCE: &str = "ms";
/// multicastCapability: `<remoteCSE>`.
pub const MULTICAST_CAPABILITY: &str = "mtcc";
/// name: `m2m:attribute`, `m2m:childResourceRef`, `m2m:contentRef`.
pub const NAME: &str = "nm";
/// nodeLink: `<AE>`, `<CSEBase>`, `<remoteCSE>`.
pub const NODE_LINK: &str = "nl";
/// notification: `m2m:aggregatedNotification`.
pub const NOTIFICATION: &str = "sgn";
/// notificationCongestionPolicy: `<CSEBase>`.
pub const NOTIFICATION_CONGESTION_POLICY: &str = "ncp";
/// notificationContentType: `<subscription>`.
pub const NOTIFICATION_CONTENT_TYPE: &str = "nct";
/// notificationEvent: `m2m:notification`.
pub const NOTIFICATION_EVENT: &str = "nev";
/// notificationEventCat: `<subscription>`.
pub const NOTIFICATION_EVENT_CAT: &str = "nec";
/// notificationEventCount: `m2m:setOfNotificationStatsInfo`.
pub const NOTIFICATION_EVENT_COUNT: &str = "noec";
/// notificationEventType: `m2m:eventNotificationCriteria`, `m2m:notification`.
pub const NOTIFICATION_EVENT_TYPE: &str = "net";
/// notificationForwardingURI: `<subscription>`, `m2m:notification`.
pub const NOTIFICATION_FORWARDING_URI: &str = "nfu";
/// notificationStatsEnable: `<subscription>`.
pub const NOTIFICATION_STATS_ENABLE: &str = "nse";
/// notificationStatsInfo: `<subscription>`.
pub const NOTIFICATION_STATS_INFO: &str = "nsi";
/// notificationStoragePriority: `<subscription>`.
pub const NOTIFICATION_STORAGE_PRIORITY: &str = "nsp";
/// notificationTarget: `m2m:notification`.
pub const NOTIFICATION_TARGET: &str = "ntt";
/// notificationURI: `<subscription>`, `m2m:responseTypeInfo`.
pub const NOTIFICATION_URI: &str = "nu";
/// notifyAggregation: `<group>`.
pub const NOTIFY_AGGREGATION: &str = "nar";
/// number: `m2m:batchNotify`, `m2m:missingData`.
pub const NUMBER: &str = "num";
/// offset: `m2m:filterCriteria`.
pub const OFFSET: &str = "ofst";
/// ontologyMappingResources: `m2m:metaInformation`.
pub const ONTOLOGY_MAPPING_RESOURCES: &str = "omr";
/// ontologyRef: `<AE>`, `<container>`, `<contentInstance>`.
pub const ONTOLOGY_REF: &str = "or";
/// operation: `m2m:notification`.
pub const OPERATION: &str = "op";
/// operations: `m2m:filterCriteria`, `m2m:operationMonitor`.
pub const OPERATIONS: &str = "ops";
/// operationExecutionTime: `m2m:metaInformation`.
pub const OPERATION_EXECUTION_TIME: &str = "oet";
/// operationMonitor: `m2m:eventNotificationCriteria`, `m2m:notification`.
pub const OPERATION_MONITOR: &str = "om";
/// operator: `m2m:evalCriteria`.
pub const OPERATOR: &str = "optr";
/// originatingTimestamp: `m2m:metaInformation`, `m2m:operationResult`.
pub const ORIGINATING_TIMESTAMP: &str = "ot";
/// originator: `m2m:notification`, `m2m:operationMonitor`.
pub const ORIGINATOR: &str = "or";
/// parentAttribute: `m2m:filterCriteria`.
pub const PARENT_ATTRIBUTE: &str = "patr";
/// parentID: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const PARENT_ID: &str = "pi";
/// parentLabels: `m2m:filterCriteria`.
pub const PARENT_LABELS: &str = "palb";
/// parentResourceType: `m2m:filterCriteria`.
pub const PARENT_RESOURCE_TYPE: &str = "pty";
/// pendingNotification: `<subscription>`.
pub const PENDING_NOTIFICATION: &str = "pn";
/// pointOfAccess: `<AE>`, `<CSEBase>`, `<remoteCSE>`.
pub const POINT_OF_ACCESS: &str = "poa";
/// preSubscriptionNotify: `<subscription>`.
pub const PRE_SUBSCRIPTION_NOTIFY: &str = "psn";
/// primitiveContent: `m2m:operationResult`.
pub const PRIMITIVE_CONTENT: &str = "pc";
/// privileges: `<accessControlPolicy>`.
pub const PRIVILEGES: &str = "pv";
/// rateLimit: `<subscription>`.
pub const RATE_LIMIT: &str = "rl";
/// registrationStatus: `<AE>`.
pub const REGISTRATION_STATUS: &str = "regs";
/// ReleaseVersionIndicator: `m2m:metaInformation`.
pub const RELEASE_VERSION_INDICATOR: &str = "rvi";
/// representation: `m2m:notification`.
pub const REPRESENTATION: &str = "rep";
/// requestsSent: `m2m:setOfNotificationStatsInfo`.
pub const REQUESTS_SENT: &str = "rqs";
/// requestAggregation: `<pollingChannel>`.
pub const REQUEST_AGGREGATION: &str = "rqag";
/// requestExpirationTimestamp: `m2m:metaInformation`.
pub const REQUEST_EXPIRATION_TIMESTAMP: &str = "rqet";
/// requestIdentifier: `m2m:operationResult`.
pub const REQUEST_IDENTIFIER: &str = "rqi";
/// requestReachability: `<AE>`, `<remoteCSE>`.
pub const REQUEST_REACHABILITY: &str = "rr";
/// resourceID: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const RESOURCE_ID: &str = "ri";
/// resourceName: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const RESOURCE_NAME: &str = "rn";
/// resourceRef: `m2m:listOfChildResourceRef`.
pub const RESOURCE_REF: &str = "rrf";
/// resourceType: `<accessControlPolicy>`, `<AE>`, `<container>` and others.
pub const RESOURCE_TYPE: &str = "ty";
/// responsesReceived: `m2m:setOfNotificationStatsInfo`.
pub const RESPONSES_RECEIVED: &str = "rsr";
/// responseStatusCode: `m2m:operationResult`.
pub const RESPONSE_STATUS_CODE: &str = "rsc";
/// responseType: `m2m:metaInformation`.
pub const RESPONSE_TYPE: &str = "rt";
/// responseTypeValue: `m2m:responseTypeInfo`.
pub const RESPONSE_TYPE_VALUE: &str = "rtv";
/// resultContent: `m2m:metaInformation`.
pub const RESULT_CONTENT: &str = "rcn";
/// resultExpirationTimestamp: `m2m:metaInformation`, `m2m:operationResult`.
pub const RESULT_EXPIRATION_TIMESTAMP: &str = "rset";
/// resultPersistence: `m2m:metaInformation`.
pub const RESULT_PERSISTENCE: &str = "rp";
/// roleIDs: `m2m:metaInformation`.
pub const ROLE_IDS: &str = "rids";
/// scheduleElement: `m2m:activityPattern`.
pub const SCHEDULE_ELEMENT: &str = "se";
/// scheduleEntry: `m2m:scheduleEntries`.
pub const SCHEDULE_ENTRY: &str = "sce";
/// selfPrivileges: `<accessControlPolicy>`.
pub const SELF_PRIVILEGES: &str = "pvs";
/// semanticsFilter: `m2m:filterCriteria`.
pub const SEMANTICS_FILTER: &str = "smf";
/// semanticQueryIndicator: `m2m:metaInformation`.
pub const SEMANTIC_QUERY_INDICATOR: &str = "sqi";
/// semanticSupportIndicator: `<group>`.
pub const SEMANTIC_SUPPORT_INDICATOR: &str = "ssi";
/// sessionCapabilities: `<AE>`.
pub const SESSION_CAPABILITIES: &str = "scp";
/// sharedReceiverESPrimRandObject: `m2m:e2eSecInfo`.
pub const SHARED_RECEIVER_ES_PRIM_RAND_OBJECT: &str = "esro";
/// sizeAbove: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const SIZE_ABOVE: &str = "sza";
/// sizeBelow: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const SIZE_BELOW: &str = "szb";
/// specializationID: `m2m:childResourceRef`.
pub const SPECIALIZATION_ID: &str = "spid";
/// specializationType: `<group>`, `m2m:accessControlRule`.
pub const SPECIALIZATION_TYPE: &str = "spty";
/// SP-ID: `<CSEBase>`, `<remoteCSE>`.
pub const SP_ID: &str = "spi";
/// stateTag: `<container>`, `<contentInstance>`.
pub const STATE_TAG: &str = "st";
/// stateTagBigger: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const STATE_TAG_BIGGER: &str = "stb";
/// stateTagSmaller: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const STATE_TAG_SMALLER: &str = "sts";
/// stationaryIndication: `m2m:activityPattern`.
pub const STATIONARY_INDICATION: &str = "sti";
/// subject: `m2m:evalCriteria`.
pub const SUBJECT: &str = "sbjt";
/// subscriberURI: `<subscription>`.
pub const SUBSCRIBER_URI: &str = "su";
/// subscriptionDeletion: `m2m:notification`.
pub const SUBSCRIPTION_DELETION: &str = "sud";
/// subscriptionIDs: `<container>`.
pub const SUBSCRIPTION_IDS: &str = "subi";
/// subscriptionReference: `m2m:notification`.
pub const SUBSCRIPTION_REFERENCE: &str = "sur";
/// supportedE2ESecFeatures: `m2m:e2eSecInfo`.
pub const SUPPORTED_E2E_SEC_FEATURES: &str = "esf";
/// supportedReleaseVersions: `<AE>`, `<CSEBase>`, `<remoteCSE>`.
pub const SUPPORTED_RELEASE_VERSIONS: &str = "srv";
/// supportedResourceType: `<CSEBase>`.
pub const SUPPORTED_RESOURCE_TYPE: &str = "srt";
/// target: `m2m:setOfNotificationStatsInfo`.
pub const TARGET: &str = "tg";
/// targetRemovalAllowance: `m2m:notification`.
pub const TARGET_REMOVAL_ALLOWANCE: &str = "tra";
/// targetRemovalRequest: `m2m:notification`.
pub const TARGET_REMOVAL_REQUEST: &str = "trr";
/// threshold: `m2m:evalCriteria`.
pub const THRESHOLD: &str = "thld";
/// timeWindow: `m2m:rateLimit`.
pub const TIME_WINDOW: &str = "tww";
/// to: `m2m:operationResult`.
pub const TO: &str = "to";
/// tokens: `m2m:metaInformation`.
pub const TOKENS: &str = "tkns";
/// tokenIDs: `m2m:metaInformation`.
pub const TOKEN_IDS: &str = "tids";
/// tokenRequestIndicator: `m2m:metaInformation`.
pub const TOKEN_REQUEST_INDICATOR: &str = "tqi";
/// trackingID1: `m2m:notification`.
pub const TRACKING_ID1: &str = "tid1";
/// trackingID2: `m2m:notification`.
pub const TRACKING_ID2: &str = "tid2";
/// trackRegistrationPoints: `<AE>`.
pub const TRACK_REGISTRATION_POINTS: &str = "trps";
/// triggerEnable: `<AE>`, `<remoteCSE>`.
pub const TRIGGER_ENABLE: &str = "tren";
/// Trigger-Recipient-ID: `<AE>`, `<remoteCSE>`.
pub const TRIGGER_RECIPIENT_ID: &str = "tri";
/// triggerReferenceNumber: `<AE>`, `<remoteCSE>`.
pub const TRIGGER_REFERENCE_NUMBER: &str = "trn";
/// type: `m2m:childResourceRef`, `m2m:geoCoordinates`.
pub const TYPE: &str = "typ";
/// unmodifiedSince: `m2m:eventNotificationCriteria`, `m2m:filterCriteria`.
pub const UNMODIFIED_SINCE: &str = "us";
/// URI: `m2m:contentRef`.
pub const URI: &str = "uri";
/// URIReference: `m2m:contentRef`.
pub const URI_REFERENCE: &str = "urir";
/// value: `m2m:attribute`.
pub const VALUE: &str = "val";
/// vendorInformation: `m2m:metaInformation`.
pub const VENDOR_INFORMATION: &str = "vsi";
/// verificationRequest: `m2m:notification`.
pub const VERIFICATION_REQUEST: &str = "vrq";
