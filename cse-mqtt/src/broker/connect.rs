//! From an accepted stream to a connection with a session: CONNECT, authentication, CONNACK.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{timeout, timeout_at};
use tracing::debug;

use super::Core;
use super::codec::{self, Connect, Reason, Version, Violation, Welcome};
use super::connection::{Attachment, Connection, ConnectionShared};
use super::policy::{Admission, Client, ConnectInfo, ConnectRefusal, Proof};
use super::registry::Keeping;
use super::serve::Origin;
use super::terms::Terms;

/// CONNACK return code of version 3.1.1 for another version of the protocol.
const UNACCEPTABLE_VERSION: u8 = 1;

/// Takes a connection through its CONNECT. `None` if it came to nothing; the stream is closed then.
pub(crate) async fn accept<S>(core: &Arc<Core>, mut stream: S, origin: Origin) -> Option<Connection<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let peer = origin.peer;
    let limit = core.limits.connect_timeout;
    // Whatever was before MQTT has used up some of it.
    let deadline = origin.since + limit;
    let Ok(outcome) = timeout_at(deadline, authenticate(core, &mut stream, origin)).await else {
        core.stats.connect_timeouts.increment();
        debug!(%peer, "no CONNECT in time");
        return None;
    };
    let refusal = match outcome {
        Ok(accepted) => return attach(core, stream, accepted),
        Err(refusal) => refusal,
    };
    debug!(%peer, %refusal, "connection refused");
    match &refusal {
        Refusal::Network(_) => return None,
        Refusal::Violation { violation, .. } if violation.is_of_protocol() => {
            core.stats.protocol_violations.increment();
        }
        Refusal::Violation { .. } | Refusal::Policy { .. } => core.stats.connects_refused.increment(),
    }
    let answer = refusal.answer();
    // Nothing depends on whether the refusal arrives.
    let _ = timeout(limit, async {
        stream.write_all(&answer).await?;
        stream.shutdown().await
    })
    .await;
    None
}

struct Accepted {
    client: Client,
    proof: Option<Proof>,
    connect: Connect,
    /// Whether the broker has chosen the client identifier.
    assigned: bool,
    /// What the client sent behind CONNECT, which it may do without waiting for CONNACK.
    rest: BytesMut,
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the network connection was lost: {0}")]
    Network(#[from] std::io::Error),
    #[error("protocol violation: {violation}")]
    Violation { violation: Violation, understands_reasons: bool },
    #[error("refused: {refusal:?}")]
    Policy { refusal: ConnectRefusal, version: Version },
}

impl Refusal {
    /// What the client is told, if anything.
    fn answer(&self) -> BytesMut {
        let mut answer = BytesMut::new();
        match self {
            Self::Network(_) => {}
            Self::Violation { violation, understands_reasons: true } => {
                codec::write_refusal(&mut answer, violation.reason(), &violation.to_string());
            }
            Self::Violation { violation: Violation::UnsupportedVersion(_), .. } => {
                answer.extend_from_slice(&codec::connack_v311(false, UNACCEPTABLE_VERSION));
            }
            Self::Violation { .. } => {}
            Self::Policy { refusal, version: Version::V311 } => {
                answer.extend_from_slice(&codec::connack_v311(false, return_code(*refusal)));
            }
            Self::Policy { refusal, version: Version::V5 } => {
                let (reason, explanation) = reason(*refusal);
                codec::write_refusal(&mut answer, reason, explanation);
            }
        }
        answer
    }
}

impl Violation {
    /// Whether it is against the protocol, and not just something that this broker does not offer.
    fn is_of_protocol(&self) -> bool {
        !matches!(self, Self::UnsupportedVersion(_) | Self::AuthenticationMethod | Self::Retained)
    }
}

fn return_code(refusal: ConnectRefusal) -> u8 {
    match refusal {
        ConnectRefusal::ClientIdRejected => 2,
        ConnectRefusal::Unavailable => 3,
        ConnectRefusal::BadCredentials => 4,
        ConnectRefusal::NotAuthorized => 5,
    }
}

fn reason(refusal: ConnectRefusal) -> (Reason, &'static str) {
    match refusal {
        ConnectRefusal::ClientIdRejected => (Reason::ClientIdRejected, "the client identifier is not allowed"),
        ConnectRefusal::Unavailable => (Reason::Unavailable, "the server cannot serve this now"),
        ConnectRefusal::BadCredentials => (Reason::BadCredentials, "wrong user name or password"),
        ConnectRefusal::NotAuthorized => (Reason::NotAuthorized, "not authorized to connect"),
    }
}

async fn authenticate<S>(core: &Core, stream: &mut S, origin: Origin) -> Result<Accepted, Refusal>
where
    S: AsyncRead + Unpin,
{
    let mut rest = BytesMut::with_capacity(512);
    let mut connect = loop {
        let decoded = codec::decode_connect(&rest, core.limits.connect_bytes_max).map_err(|violation| {
            Refusal::Violation { violation, understands_reasons: codec::understands_reasons(&rest) }
        })?;
        if let Some((connect, length)) = decoded {
            drop(rest.split_to(length));
            break connect;
        }
        if stream.read_buf(&mut rest).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    };
    let version = connect.version;
    let refused = |refusal| Refusal::Policy { refusal, version };
    let assigned = connect.client_id.is_empty();
    let client_id: Arc<str> = if !assigned {
        std::mem::take(&mut connect.client_id).into()
    } else if connect.clean_start || version == Version::V5 {
        core.unused_client_id()
    } else {
        // MQTT 3.1.1 §3.1.3.1: a session to be kept needs a name, and the client would never learn ours.
        return Err(refused(ConnectRefusal::ClientIdRejected));
    };
    let Origin { peer, certificate, .. } = origin;
    let info = ConnectInfo {
        client_id,
        username: connect.username.take(),
        password: connect.password.take(),
        certificate,
        peer,
    };
    let Admission { identity, proof } = core.policy.authenticate(&info).await.map_err(refused)?;
    let client = Client { client_id: info.client_id, identity, peer: Some(peer) };
    Ok(Accepted { client, proof, connect, assigned, rest })
}

fn attach<S>(core: &Arc<Core>, stream: S, accepted: Accepted) -> Option<Connection<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Accepted { client, proof, connect, assigned, rest } = accepted;
    let terms = Terms::of(&connect, &core.limits);
    let shared = Arc::new(ConnectionShared::new(Arc::new(client), terms, proof));
    let expiry = core.session_expiry(connect.session_expiry);
    let (session, resumed) = core.attach(&shared, Keeping { clean_start: connect.clean_start, expiry });
    core.check_standing(&shared);
    if resumed {
        // What the client may do can have changed since it subscribed.
        core.review(&session);
    }
    let client_id = &shared.client.client_id;
    debug!(%client_id, peer = ?shared.client.peer, version = ?terms.version, resumed, "client connected");
    let mut output = BytesMut::new();
    match terms.version {
        Version::V311 => output.extend_from_slice(&codec::connack_v311(resumed, 0)),
        Version::V5 => {
            let granted = whole_seconds(expiry);
            let welcome = Welcome {
                session_present: resumed,
                session_expiry: Some(granted).filter(|granted| *granted != connect.session_expiry),
                receive_max: u16::try_from(core.limits.receive_max()).unwrap_or(u16::MAX),
                packet_bytes_max: u32::try_from(codec::packet_bytes(core.limits.packet_bytes_max)).unwrap_or(u32::MAX),
                assigned_client_id: assigned.then_some(&**client_id),
            };
            codec::write_welcome(&mut output, &welcome);
        }
    }
    let fits = output.len() <= terms.packet_bytes_max;
    let attachment = Attachment::new(Arc::clone(core), session, shared);
    if !fits {
        debug!("a client that takes no packet as large as CONNACK");
        core.stats.connects_refused.increment();
        return None;
    }
    Some(Connection::new(attachment, stream, rest, output, connect.keep_alive))
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(Connect::NEVER)
}

impl Core {
    /// How long a session outlives its connection if its client wishes for `seconds`.
    pub(crate) fn session_expiry(&self, seconds: u32) -> Duration {
        match seconds {
            Connect::NEVER => self.limits.offline_expiry,
            seconds => Duration::from_secs(u64::from(seconds)).min(self.limits.offline_expiry),
        }
    }
}
