//! Reason codes of MQTT 5 (§2.4) that this broker sends, and which ones clients may send.

use super::Violation;

/// Why, as clients of version 5 are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Reason {
    Success = 0x00,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    Malformed = 0x81,
    ProtocolError = 0x82,
    UnsupportedVersion = 0x84,
    ClientIdRejected = 0x85,
    BadCredentials = 0x86,
    NotAuthorized = 0x87,
    Unavailable = 0x88,
    ShuttingDown = 0x8b,
    BadAuthenticationMethod = 0x8c,
    KeepAliveTimeout = 0x8d,
    TakenOver = 0x8e,
    FilterRefused = 0x8f,
    UnknownPacketId = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    RetainNotSupported = 0x9a,
    SharedNotSupported = 0x9e,
    IdentifiersNotSupported = 0xa1,
}

impl Reason {
    /// Whether it says that something has failed.
    pub(crate) fn is_failure(self) -> bool {
        is_failure(self as u8)
    }
}

/// What clients may say in PUBACK and PUBREC.
pub(super) const OF_RECEIPT: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
/// What clients may say in PUBREL and PUBCOMP.
pub(super) const OF_RELEASE: &[u8] = &[0x00, 0x92];
/// What clients may say in DISCONNECT.
pub(super) const OF_DISCONNECT: &[u8] =
    &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];

/// Whether a reason code of a client says that it has failed.
pub(super) fn is_failure(code: u8) -> bool {
    code & 0x80 != 0
}

impl Violation {
    /// What a client of version 5 is told before its connection is closed.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::TooLarge(_) | Self::AnswerTooLarge => Reason::PacketTooLarge,
            Self::Malformed
            | Self::ReservedFlags
            | Self::PropertyNotAllowed(_)
            | Self::InvalidTopic
            | Self::InvalidFilter => Reason::Malformed,
            Self::PacketIdZero
            | Self::UnexpectedPacket
            | Self::DupWithoutAck
            | Self::InvalidProtocol
            | Self::PasswordWithoutUsername
            | Self::PropertyRepeated(_)
            | Self::PropertyValue(_)
            | Self::SubscriptionOptions
            | Self::ReasonCode(_)
            | Self::ExpiryAfterNone => Reason::ProtocolError,
            Self::UnsupportedVersion(_) => Reason::UnsupportedVersion,
            Self::TooManyUnreleased | Self::ReceiveMaximum => Reason::ReceiveMaximumExceeded,
            Self::TopicAlias => Reason::TopicAliasInvalid,
            Self::Retained => Reason::RetainNotSupported,
            Self::AuthenticationMethod => Reason::BadAuthenticationMethod,
        }
    }
}
