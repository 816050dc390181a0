//! What can be chosen for the binding.

use std::sync::Arc;
use std::time::Duration;

use cse_core::value::Text;

use crate::restricted::RestrictedBroker;
use crate::security::Security;
use crate::transport::ClientTls;

/// Options of the binding, the same for both kinds of broker.
#[derive(Clone, Debug)]
pub struct BindingOptions {
    /// Path of this CSE's MQTT point of access, put before each topic. Default: none.
    pub topic_prefix: String,
    /// Whether and with whom the early draft of TS-0010 is spoken. Default: with nobody.
    pub early_draft: EarlyDraft,
    /// Points of access that lead to the broker this binding is connected to (`mqtt://host:port`). Requests to
    /// them take the existing connection, as do those to host and port of [`ExternalOptions`].
    pub own_points_of_access: Vec<String>,
    /// Requests carried out at a time, a quarter of them of one originator; more wait. Default 1,024.
    pub concurrent_requests_max: usize,
    /// Requests waiting for one of those to end; beyond it nothing more is taken from the link but answers to requests
    /// of this CSE. Default 4,096.
    pub waiting_requests_max: usize,
    /// Requests of one originator waiting likewise; beyond it they are refused as "busy". Default 1,024.
    pub waiting_per_originator_max: usize,
    /// Bytes of payload waiting likewise. Default 32 MiB.
    pub waiting_bytes_max: usize,
    /// How long a repeated request counts as a redelivery where the broker cannot tell (an external one). Default
    /// 10 s; zero: only if it is marked DUP.
    pub redelivery_window: Duration,
    /// Answers whose receipt is followed, to tell redeliveries (embedded broker). Default 100,000; beyond it the
    /// oldest is forgotten, and a repetition of its request counts as a new one.
    pub followed_answers_max: usize,
    /// The policy of the embedded broker, which knows who its clients are. Default: none, and nothing is known.
    pub security: Option<Arc<Security>>,
    /// The external broker keeps its users to the topics of [`StaticRules`](crate::security::StaticRules). Default:
    /// not that we know; then the levels of a topic are believed as far as they agree with `fr`.
    pub restricted: Option<RestrictedBroker>,
    /// The only entity whose requests are taken: SP-relative or absolute CSE-ID of the CSE whose broker this is. Others
    /// there have nothing to ask of this CSE directly, and who they are is that broker's affair. Default: none, so
    /// everybody's are.
    pub only_peer: Option<Text>,
    /// A request that takes longer is acknowledged before it is complete, and is not redelivered after a crash.
    /// Default `None`: never.
    ///
    /// Brokers and clients send a limited number of messages (20, often) that are not acknowledged. Requests that
    /// wait for an answer which comes the same way (a verification of a subscription, say) would otherwise
    /// wait for themselves.
    pub acknowledge_after: Option<Duration>,
    /// Requests of this CSE waiting for an answer; more are refused. Default 10,000.
    pub pending_requests_max: usize,
    /// Connections to other brokers, for notifications. Default 64; an idle one makes room for a new one.
    pub other_brokers_max: usize,
    /// A connection to another broker that is not used for so long is closed. Default 5 min.
    pub other_brokers_idle: Duration,
    /// TLS towards other brokers (`mqtts://`). Default: believes the authorities of the system.
    pub other_brokers_tls: Arc<ClientTls>,
    /// How long requests may run on when the binding is stopped, and how long their answers may take to reach the
    /// broker. Default 10 s each.
    pub stop_grace: Duration,
}

/// What the binding does with clients that speak the early draft of TS-0010.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EarlyDraft {
    /// Whether their requests are carried out. Without, they are counted and named in the log.
    pub served: bool,
    /// Identifiers of entities that get requests in the form of the draft from the start (AE-ID stems, SP-relative
    /// otherwise; `*` stands for any text). Others get them after a request of theirs had this form.
    pub entities: Vec<Text>,
}

impl Default for BindingOptions {
    fn default() -> Self {
        Self {
            topic_prefix: String::new(),
            early_draft: EarlyDraft::default(),
            own_points_of_access: Vec::new(),
            concurrent_requests_max: 1024,
            waiting_requests_max: 4096,
            waiting_per_originator_max: 1024,
            waiting_bytes_max: 32 * 1024 * 1024,
            redelivery_window: Duration::from_secs(10),
            followed_answers_max: 100_000,
            security: None,
            restricted: None,
            only_peer: None,
            acknowledge_after: None,
            pending_requests_max: 10_000,
            other_brokers_max: 64,
            other_brokers_idle: Duration::from_secs(5 * 60),
            other_brokers_tls: Arc::default(),
            stop_grace: Duration::from_secs(10),
        }
    }
}

/// How bytes get to an external broker (TS-0010 §7.2).
#[derive(Clone, Debug, Default)]
pub enum Transport {
    /// Plain TCP.
    #[default]
    Tcp,
    /// TLS.
    Tls(Arc<ClientTls>),
    /// WebSocket.
    WebSocket {
        /// Path to ask for, beginning with `/`.
        path: String,
    },
    /// WebSocket over TLS.
    WebSocketTls {
        /// Path to ask for, beginning with `/`.
        path: String,
        /// TLS.
        tls: Arc<ClientTls>,
    },
}

/// Version of MQTT that is spoken with an external broker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProtocolVersion {
    /// MQTT 3.1.1, which TS-0010 is written for.
    #[default]
    V311,
    /// MQTT 5: messages expire at the broker, it says why it refuses something and that nobody is subscribed.
    V5,
}

/// A password that does not show in logs.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Password(String);

impl Password {
    /// Hides the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// User name and password for a broker.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password; may be empty.
    pub password: Password,
}

/// An external broker and how to connect to it.
#[derive(Clone, Debug)]
pub struct ExternalOptions {
    /// Host name or address.
    pub host: String,
    /// Port; 1883 is registered for MQTT over TCP.
    pub port: u16,
    /// How bytes get there.
    pub transport: Transport,
    /// Version of MQTT. Default 3.1.1.
    pub version: ProtocolVersion,
    /// How long the broker keeps the session of this CSE when it is away, in whole seconds (MQTT 5; with 3.1.1 the
    /// broker decides). Default `None`: for ever.
    pub session_expiry: Option<Duration>,
    /// What stands before the CSE-ID in the client identifier. Default `C::`; TS-0010 up to V2.4.1 has `C:`.
    pub client_id_prefix: String,
    /// What stands after it. Default: nothing. Processes that share a CSE-ID need one each.
    pub client_id_suffix: String,
    /// User name and password, if the broker wants them.
    pub login: Option<Login>,
    /// MQTT keep-alive, whole seconds up to 65,535; zero switches it off. Default 60 s.
    pub keep_alive: Duration,
    /// Largest MQTT packet in both directions, in bytes. Default 1 MiB.
    pub packet_bytes_max: usize,
    /// Messages of this CSE that the broker has not acknowledged. Beyond it requests of this CSE are refused and no
    /// requests are taken from the broker. Default 10,000.
    pub outbox_messages_max: usize,
    /// As [`ExternalOptions::outbox_messages_max`], in bytes. Default 32 MiB.
    pub outbox_bytes_max: usize,
    /// Time for the connection and CONNACK, and for SUBACK. Default 5 s.
    pub connect_timeout: Duration,
    /// First pause before a new try to connect. Default 100 ms; it doubles, and a random part is taken off.
    pub reconnect_min: Duration,
    /// Longest such pause. Default 30 s.
    pub reconnect_max: Duration,
}

impl ExternalOptions {
    /// The broker at that host and port, with the defaults.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            transport: Transport::Tcp,
            version: ProtocolVersion::V311,
            session_expiry: None,
            client_id_prefix: "C::".to_owned(),
            client_id_suffix: String::new(),
            login: None,
            keep_alive: Duration::from_secs(60),
            packet_bytes_max: 1024 * 1024,
            outbox_messages_max: 10_000,
            outbox_bytes_max: 32 * 1024 * 1024,
            connect_timeout: Duration::from_secs(5),
            reconnect_min: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(30),
        }
    }

    /// Session expiry as it goes over the wire.
    pub(crate) fn session_expiry_seconds(&self) -> u32 {
        const NEVER: u32 = u32::MAX;
        self.session_expiry.map_or(NEVER, |expiry| u32::try_from(expiry.as_secs()).unwrap_or(NEVER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        let login = Login { username: "cse".into(), password: Password::new("hidden") };
        assert!(!format!("{login:?}").contains("hidden"));
    }
}
