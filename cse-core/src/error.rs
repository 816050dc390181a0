//! Response status codes (TS-0004 §6.6) and the reasons that lead to them.
//!
//! Inside, an [`Error`] says what is wrong; [`Error::rsc`] is the one place where that becomes a status code.

use std::fmt;

macro_rules! response_status_codes {
    ($($code:literal $name:ident $http:literal $text:literal)*) => {
        /// A response status code.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(u16)]
        pub enum Rsc {
            $(#[doc = concat!(stringify!($code), " ", $text)] $name = $code,)*
        }

        impl Rsc {
            /// The code of that number.
            pub fn from_code(code: u16) -> Option<Rsc> {
                match code {
                    $($code => Some(Rsc::$name),)*
                    _ => None,
                }
            }

            /// The HTTP status that goes with the code (TS-0009 §6.3.2).
            pub fn http_status(self) -> u16 {
                match self {
                    $(Rsc::$name => $http,)*
                }
            }

            /// The name in the specification.
            pub fn name(self) -> &'static str {
                match self {
                    $(Rsc::$name => $text,)*
                }
            }
        }
    };
}

response_status_codes! {
    1000 Accepted 202 "ACCEPTED"
    1001 AcceptedNonBlockingSynch 202 "ACCEPTED_NON_BLOCKING_SYNCH"
    1002 AcceptedNonBlockingAsynch 202 "ACCEPTED_NON_BLOCKING_ASYNCH"
    2000 Ok 200 "OK"
    2001 Created 201 "CREATED"
    2002 Deleted 200 "DELETED"
    2004 Updated 200 "UPDATED"
    4000 BadRequest 400 "BAD_REQUEST"
    4001 ReleaseVersionNotSupported 501 "RELEASE_VERSION_NOT_SUPPORTED"
    4004 NotFound 404 "NOT_FOUND"
    4005 OperationNotAllowed 405 "OPERATION_NOT_ALLOWED"
    4008 RequestTimeout 504 "REQUEST_TIMEOUT"
    4015 UnsupportedMediaType 415 "UNSUPPORTED_MEDIA_TYPE"
    4101 SubscriptionCreatorHasNoPrivilege 403 "SUBSCRIPTION_CREATOR_HAS_NO_PRIVILEGE"
    4102 ContentsUnacceptable 400 "CONTENTS_UNACCEPTABLE"
    4103 OriginatorHasNoPrivilege 403 "ORIGINATOR_HAS_NO_PRIVILEGE"
    4104 GroupRequestIdentifierExists 409 "GROUP_REQUEST_IDENTIFIER_EXISTS"
    4105 Conflict 409 "CONFLICT"
    4106 OriginatorNotAuthenticated 403 "ORIGINATOR_NOT_AUTHENTICATED"
    4107 SecurityAssociationRequired 403 "SECURITY_ASSOCIATION_REQUIRED"
    4108 InvalidChildResourceType 403 "INVALID_CHILD_RESOURCE_TYPE"
    4109 NoMembers 403 "NO_MEMBERS"
    4110 GroupMemberTypeInconsistent 400 "GROUP_MEMBER_TYPE_INCONSISTENT"
    4111 EsprimUnsupportedOption 403 "ESPRIM_UNSUPPORTED_OPTION"
    4112 EsprimUnknownKeyId 403 "ESPRIM_UNKNOWN_KEY_ID"
    4113 EsprimUnknownOrigRandId 403 "ESPRIM_UNKNOWN_ORIG_RAND_ID"
    4114 EsprimUnknownRecvRandId 403 "ESPRIM_UNKNOWN_RECV_RAND_ID"
    4115 EsprimBadMac 403 "ESPRIM_BAD_MAC"
    4116 EsprimImpersonationError 403 "ESPRIM_IMPERSONATION_ERROR"
    4117 OriginatorHasAlreadyRegistered 403 "ORIGINATOR_HAS_ALREADY_REGISTERED"
    4118 OntologyNotAvailable 404 "ONTOLOGY_NOT_AVAILABLE"
    4119 LinkedSemanticsNotAvailable 404 "LINKED_SEMANTICS_NOT_AVAILABLE"
    4120 InvalidSemantics 400 "INVALID_SEMANTICS"
    4121 MashupMemberNotFound 404 "MASHUP_MEMBER_NOT_FOUND"
    4122 InvalidTriggerPurpose 400 "INVALID_TRIGGER_PURPOSE"
    4123 IllegalTransactionStateTransitionAttempted 400 "ILLEGAL_TRANSACTION_STATE_TRANSITION_ATTEMPTED"
    4124 BlockingSubscriptionAlreadyExists 409 "BLOCKING_SUBSCRIPTION_ALREADY_EXISTS"
    4125 SpecializationSchemaNotFound 501 "SPECIALIZATION_SCHEMA_NOT_FOUND"
    4126 AppRuleValidationFailed 403 "APP_RULE_VALIDATION_FAILED"
    4127 OperationDeniedByRemoteEntity 403 "OPERATION_DENIED_BY_REMOTE_ENTITY"
    4128 ServiceSubscriptionNotEstablished 403 "SERVICE_SUBSCRIPTION_NOT_ESTABLISHED"
    4142 InvalidProcessConfiguration 400 "INVALID_PROCESS_CONFIGURATION"
    4143 InvalidSparqlQuery 400 "INVALID_SPARQL_QUERY"
    5000 InternalServerError 500 "INTERNAL_SERVER_ERROR"
    5001 NotImplemented 501 "NOT_IMPLEMENTED"
    5103 TargetNotReachable 404 "TARGET_NOT_REACHABLE"
    5105 ReceiverHasNoPrivilege 403 "RECEIVER_HAS_NO_PRIVILEGE"
    5106 AlreadyExists 409 "ALREADY_EXISTS"
    5107 RemoteEntityNotReachable 404 "REMOTE_ENTITY_NOT_REACHABLE"
    5203 TargetNotSubscribable 403 "TARGET_NOT_SUBSCRIBABLE"
    5204 SubscriptionVerificationInitiationFailed 500 "SUBSCRIPTION_VERIFICATION_INITIATION_FAILED"
    5205 SubscriptionHostHasNoPrivilege 403 "SUBSCRIPTION_HOST_HAS_NO_PRIVILEGE"
    5206 NonBlockingSynchRequestNotSupported 501 "NON_BLOCKING_SYNCH_REQUEST_NOT_SUPPORTED"
    5207 NotAcceptable 406 "NOT_ACCEPTABLE"
    5208 DiscoveryDeniedByIpe 403 "DISCOVERY_DENIED_BY_IPE"
    5209 GroupMembersNotResponded 500 "GROUP_MEMBERS_NOT_RESPONDED"
    5210 EsprimDecryptionError 500 "ESPRIM_DECRYPTION_ERROR"
    5211 EsprimEncryptionError 500 "ESPRIM_ENCRYPTION_ERROR"
    5212 SparqlUpdateError 500 "SPARQL_UPDATE_ERROR"
    5214 TargetHasNoSessionCapability 403 "TARGET_HAS_NO_SESSION_CAPABILITY"
    5215 SessionIsOnline 403 "SESSION_IS_ONLINE"
    5216 JoinMulticastGroupFailed 500 "JOIN_MULTICAST_GROUP_FAILED"
    5217 LeaveMulticastGroupFailed 500 "LEAVE_MULTICAST_GROUP_FAILED"
    5218 TriggeringDisabledForRecipient 403 "TRIGGERING_DISABLED_FOR_RECIPIENT"
    5219 UnableToReplaceRequest 409 "UNABLE_TO_REPLACE_REQUEST"
    5220 UnableToRecallRequest 409 "UNABLE_TO_RECALL_REQUEST"
    5221 CrossResourceOperationFailure 500 "CROSS_RESOURCE_OPERATION_FAILURE"
    5222 TransactionProcessingIsIncomplete 403 "TRANSACTION_PROCESSING_IS_INCOMPLETE"
    6003 ExternalObjectNotReachable 404 "EXTERNAL_OBJECT_NOT_REACHABLE"
    6005 ExternalObjectNotFound 404 "EXTERNAL_OBJECT_NOT_FOUND"
    6010 MaxNumberOfMemberExceeded 400 "MAX_NUMBER_OF_MEMBER_EXCEEDED"
    6020 MgmtSessionCannotBeEstablished 500 "MGMT_SESSION_CANNOT_BE_ESTABLISHED"
    6021 MgmtSessionEstablishmentTimeout 500 "MGMT_SESSION_ESTABLISHMENT_TIMEOUT"
    6022 InvalidCmdtype 400 "INVALID_CMDTYPE"
    6023 InvalidArguments 400 "INVALID_ARGUMENTS"
    6024 InsufficientArguments 400 "INSUFFICIENT_ARGUMENTS"
    6025 MgmtConversionError 500 "MGMT_CONVERSION_ERROR"
    6026 MgmtCancellationFailed 500 "MGMT_CANCELLATION_FAILED"
    6028 AlreadyComplete 409 "ALREADY_COMPLETE"
    6029 MgmtCommandNotCancellable 409 "MGMT_COMMAND_NOT_CANCELLABLE"
    6030 ExternalObjectNotReachableBeforeRqetTimeout 504 "EXTERNAL_OBJECT_NOT_REACHABLE_BEFORE_RQET_TIMEOUT"
    6031 ExternalObjectNotReachableBeforeOetTimeout 504 "EXTERNAL_OBJECT_NOT_REACHABLE_BEFORE_OET_TIMEOUT"
}

impl Rsc {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Whether the request was carried out or accepted.
    pub fn is_success(self) -> bool {
        self.code() < 4000
    }
}

impl fmt::Display for Rsc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.code(), self.name())
    }
}

/// Why a request is not carried out. The text goes to the originator as `m2m:dbg`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    // === the primitive ===
    /// The payload is no primitive.
    #[error("the payload is not a request primitive: {0}")]
    NotAPrimitive(String),
    /// A mandatory request parameter is missing.
    #[error("the mandatory request parameter '{0}' is missing")]
    MissingParameter(&'static str),
    /// A request parameter has a wrong value.
    #[error("request parameter '{name}' {problem}")]
    InvalidParameter {
        /// Short name of the parameter, or `fc/` and the member.
        name: String,
        /// What is wrong, as the end of a sentence.
        problem: String,
    },
    /// A request parameter that does not exist.
    #[error("'{0}' is not a request parameter")]
    UnknownParameter(String),
    /// A request parameter that goes with other operations only.
    #[error("request parameter '{name}' is not allowed with {operation}")]
    ParameterNotAllowed {
        /// Short name of the parameter.
        name: &'static str,
        /// The operation or the circumstances.
        operation: String,
    },
    /// A function of the specification that this CSE does not have.
    #[error("{0} is not supported by this CSE")]
    NotImplemented(String),
    /// The release version is none that this CSE speaks.
    #[error("release version '{0}' is not supported; this CSE speaks 1, 2, 2a, 3, 4 and 5")]
    ReleaseVersionNotSupported(String),
    /// The serialization of the request is unknown.
    #[error("'{0}' is not a serialization that this CSE reads")]
    UnsupportedMediaType(String),
    /// None of the wanted response serializations is available.
    #[error("none of the accepted response formats ({0}) is supported")]
    NotAcceptable(String),
    /// The request or its result has expired.
    #[error("{0}")]
    Expired(&'static str),

    // === addressing ===
    /// There is no such resource.
    #[error("no resource at '{0}'")]
    NotFound(String),
    /// No resource satisfies the conditions.
    #[error("the resource does not satisfy the filter criteria")]
    NoMatch,
    /// The container has no instance.
    #[error("'{0}' has no instance")]
    NoInstance(String),
    /// The address belongs to another CSE, to which no way is known.
    #[error("no route to '{target}': {why}")]
    NoRoute {
        /// The address.
        target: String,
        /// What is in the way, as the end of a sentence.
        why: &'static str,
    },

    // === the originator ===
    /// The originator lacks the privilege.
    #[error("originator '{originator}' has no privilege for {operation} on '{target}'")]
    NoPrivilege {
        /// Who asked.
        originator: String,
        /// What was asked for.
        operation: &'static str,
        /// On what.
        target: String,
    },
    /// The identity of the hop and the originator of the primitive do not agree.
    #[error("{0}")]
    OriginatorMismatch(String),
    /// Who wants a request passed on is neither registered here nor comes by way of a CSE that is.
    #[error("originator '{0}' is not registered here, and no CSE that is passes on its requests")]
    OriginatorNotRegistered(String),
    /// A registration is not allowed to this originator.
    #[error("originator '{0}' is not allowed to register here")]
    RegistrationNotAllowed(String),
    /// A CSE registration is not allowed to this originator.
    #[error("'{0}' is not allowed to register as a CSE here")]
    CseRegistrationNotAllowed(String),
    /// The credential that the peer has proven, or named, does not stand for that identifier.
    #[error("credential '{credential}' is not allowed to register '{identifier}' here")]
    CredentialNotAllowed {
        /// Credential-ID.
        credential: String,
        /// AE-ID stem or CSE-ID.
        identifier: String,
        /// Whether a CSE wanted to register.
        is_cse: bool,
    },
    /// The originator is registered already.
    #[error("'{0}' is registered already")]
    AlreadyRegistered(String),
    /// The creator of a subscription may not notify the target.
    #[error("the subscription's creator has no privilege to notify '{0}'")]
    SubscriptionCreatorHasNoPrivilege(String),
    /// The hosting CSE may not notify the target.
    #[error("this CSE has no privilege to notify '{0}'")]
    SubscriptionHostHasNoPrivilege(String),
    /// The receiver of a forwarded request refused for lack of privilege.
    #[error("no privilege to access '{0}'")]
    ReceiverHasNoPrivilege(String),

    // === the operation ===
    /// The operation is never allowed on the target.
    #[error("{operation} is not allowed on {target}")]
    OperationNotAllowed {
        /// The operation.
        operation: &'static str,
        /// On what and why.
        target: String,
    },
    /// The type may not be a child of the target's type.
    #[error("{child} cannot be a child of {parent}")]
    InvalidChildType {
        /// Long name of the type to create.
        child: String,
        /// Long name of the parent's type.
        parent: String,
    },
    /// The target cannot have subscriptions.
    #[error("{0} cannot be subscribed to")]
    NotSubscribable(String),
    /// The content is missing or has not the form that the operation needs.
    #[error("the content is not acceptable: {0}")]
    InvalidContent(String),
    /// An attribute that the type does not have.
    #[error("{resource} has no attribute '{attribute}'")]
    UnknownAttribute {
        /// Long name of the type.
        resource: &'static str,
        /// Short name as sent.
        attribute: String,
    },
    /// An attribute that the originator may not set with this operation.
    #[error("attribute '{attribute}' ({long_name}) of {resource} cannot be given in {operation}")]
    AttributeNotPermitted {
        /// Long name of the type.
        resource: &'static str,
        /// Short name.
        attribute: &'static str,
        /// Long name.
        long_name: &'static str,
        /// CREATE or UPDATE.
        operation: &'static str,
    },
    /// A mandatory attribute is missing.
    #[error("mandatory attribute '{attribute}' ({long_name}) of {resource} is missing")]
    MissingAttribute {
        /// Long name of the type.
        resource: &'static str,
        /// Short name.
        attribute: &'static str,
        /// Long name.
        long_name: &'static str,
    },
    /// An attribute has a wrong value.
    #[error("attribute '{attribute}' {problem}")]
    InvalidAttribute {
        /// Short name, with the path inside a complex value.
        attribute: String,
        /// What is wrong, as the end of a sentence.
        problem: String,
    },
    /// A sibling has the name already.
    #[error("there is already a resource named '{0}' here")]
    NameConflict(String),
    /// A single instance is larger than the container may hold, or a limit of this CSE is exceeded.
    #[error("{0}")]
    TooLarge(String),
    /// The content cannot be accepted where it is.
    #[error("{0}")]
    ContentsUnacceptable(String),

    // === subscriptions ===
    /// A notification target did not confirm.
    #[error("notification target '{target}' could not be verified: {problem}")]
    VerificationFailed {
        /// The target.
        target: String,
        /// What happened.
        problem: String,
    },
    /// There is a blocking subscription already.
    #[error("the resource has a blocking subscription already")]
    BlockingSubscriptionExists,
    /// The target of a blocking update refused.
    #[error("the blocking subscription's notification target refused: {0}")]
    DeniedByRemoteEntity(String),
    /// The target of a blocking update cannot be reached.
    #[error("the blocking subscription's notification target '{0}' cannot be reached")]
    RemoteEntityNotReachable(String),

    // === groups ===
    /// The group has no members.
    #[error("the group has no members")]
    NoMembers,
    /// More members than allowed.
    #[error("{count} members exceed maxNrOfMembers {max}")]
    TooManyMembers {
        /// How many there would be.
        count: usize,
        /// `mnm`.
        max: u64,
    },
    /// A member has another type than the group wants.
    #[error("member '{0}' has not the member type of the group")]
    MemberTypeInconsistent(String),
    /// The same fan-out came here before.
    #[error("group request identifier '{0}' was seen here already")]
    GroupRequestIdentifierExists(String),
    /// No member answered in time.
    #[error("no member answered in time")]
    MembersNotResponded,

    // === the rest ===
    /// The target cannot be reached.
    #[error("'{0}' cannot be reached")]
    NotReachable(String),
    /// Another CSE was asked and refused; the status is its own.
    #[error("'{by}' refuses it: {reason}")]
    RefusedAbove {
        /// The CSE.
        by: String,
        /// Its answer.
        status: Rsc,
        /// Its words.
        reason: String,
    },
    /// No schema for the specialization.
    #[error("no specialization '{0}' is known here")]
    SpecializationNotFound(String),
    /// A non-blocking request has begun and cannot be recalled.
    #[error("'{0}' is being carried out and cannot be recalled")]
    CannotRecall(String),
    /// The CSE is at one of its limits now; a later try may succeed.
    #[error("this CSE is busy: {0}")]
    Busy(&'static str),
    /// The store failed; the detail is in the log.
    #[error("internal error; the log of the CSE tells more")]
    Internal,
}

impl Error {
    /// A wrong request parameter.
    pub fn parameter(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::InvalidParameter { name: name.into(), problem: problem.into() }
    }

    /// A wrong attribute value.
    pub fn attribute(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::InvalidAttribute { attribute: name.into(), problem: problem.into() }
    }

    /// The one place where a reason becomes a response status code.
    pub fn rsc(&self) -> Rsc {
        match self {
            Error::NotAPrimitive(_)
            | Error::MissingParameter(_)
            | Error::InvalidParameter { .. }
            | Error::UnknownParameter(_)
            | Error::ParameterNotAllowed { .. }
            | Error::InvalidContent(_)
            | Error::UnknownAttribute { .. }
            | Error::AttributeNotPermitted { .. }
            | Error::MissingAttribute { .. }
            | Error::InvalidAttribute { .. } => Rsc::BadRequest,
            Error::NotImplemented(_) => Rsc::NotImplemented,
            Error::ReleaseVersionNotSupported(_) => Rsc::ReleaseVersionNotSupported,
            Error::UnsupportedMediaType(_) => Rsc::UnsupportedMediaType,
            Error::NotAcceptable(_) | Error::TooLarge(_) => Rsc::NotAcceptable,
            Error::Expired(_) => Rsc::RequestTimeout,
            Error::NotFound(_) | Error::NoMatch | Error::NoInstance(_) | Error::NoRoute { .. } => Rsc::NotFound,
            Error::NoPrivilege { .. } | Error::OriginatorMismatch(_) => Rsc::OriginatorHasNoPrivilege,
            Error::OriginatorNotRegistered(_) => Rsc::OriginatorNotAuthenticated,
            Error::RegistrationNotAllowed(_) | Error::CredentialNotAllowed { is_cse: false, .. } => {
                Rsc::AppRuleValidationFailed
            }
            Error::CredentialNotAllowed { is_cse: true, .. } => Rsc::SecurityAssociationRequired,
            Error::CseRegistrationNotAllowed(_) => Rsc::SecurityAssociationRequired,
            Error::AlreadyRegistered(_) => Rsc::OriginatorHasAlreadyRegistered,
            Error::SubscriptionCreatorHasNoPrivilege(_) => Rsc::SubscriptionCreatorHasNoPrivilege,
            Error::SubscriptionHostHasNoPrivilege(_) => Rsc::SubscriptionHostHasNoPrivilege,
            Error::ReceiverHasNoPrivilege(_) => Rsc::ReceiverHasNoPrivilege,
            Error::OperationNotAllowed { .. } => Rsc::OperationNotAllowed,
            Error::InvalidChildType { .. } => Rsc::InvalidChildResourceType,
            Error::NotSubscribable(_) => Rsc::TargetNotSubscribable,
            Error::NameConflict(_) => Rsc::Conflict,
            Error::ContentsUnacceptable(_) => Rsc::ContentsUnacceptable,
            Error::VerificationFailed { .. } => Rsc::SubscriptionVerificationInitiationFailed,
            Error::BlockingSubscriptionExists => Rsc::BlockingSubscriptionAlreadyExists,
            Error::DeniedByRemoteEntity(_) => Rsc::OperationDeniedByRemoteEntity,
            Error::RemoteEntityNotReachable(_) => Rsc::RemoteEntityNotReachable,
            Error::NoMembers => Rsc::NoMembers,
            Error::TooManyMembers { .. } => Rsc::MaxNumberOfMemberExceeded,
            Error::MemberTypeInconsistent(_) => Rsc::GroupMemberTypeInconsistent,
            Error::GroupRequestIdentifierExists(_) => Rsc::GroupRequestIdentifierExists,
            Error::MembersNotResponded => Rsc::GroupMembersNotResponded,
            Error::NotReachable(_) => Rsc::TargetNotReachable,
            Error::RefusedAbove { status, .. } => *status,
            Error::SpecializationNotFound(_) => Rsc::SpecializationSchemaNotFound,
            Error::CannotRecall(_) => Rsc::UnableToRecallRequest,
            Error::Busy(_) | Error::Internal => Rsc::InternalServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_agree() {
        for code in 1000..7000 {
            if let Some(rsc) = Rsc::from_code(code) {
                assert_eq!(rsc.code(), code);
            }
        }
        assert_eq!(Rsc::from_code(4103), Some(Rsc::OriginatorHasNoPrivilege));
        assert_eq!(Rsc::from_code(4007), None);
    }
}
