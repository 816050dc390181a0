//! From an accepted stream to a connection with a session: CONNECT, authentication, CONNACK.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{timeout, timeout_at};
use tracing::debug;

use super::Core;
use super::codec::{self, Connect, Violation};
use super::connection::{Attachment, Connection, ConnectionShared};
use super::policy::{Client, ConnectInfo, ConnectRefusal};
use super::registry::Keeping;
use super::serve::Origin;

/// CONNACK return code for a protocol version other than 3.1.1.
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
        Ok(Accepted { client, connect, rest }) => return Some(attach(core, stream, client, &connect, rest)),
        Err(refusal) => refusal,
    };
    debug!(%peer, %refusal, "connection refused");
    let code = match refusal {
        Refusal::Network(_) => return None,
        Refusal::Violation(Violation::UnsupportedVersion(_)) => UNACCEPTABLE_VERSION,
        Refusal::Violation(_) => {
            core.stats.protocol_violations.increment();
            return None;
        }
        Refusal::Refused(refusal) => return_code(refusal),
    };
    core.stats.connects_refused.increment();
    // Nothing depends on whether the refusal arrives.
    let _ = timeout(limit, async {
        stream.write_all(&codec::connack(false, code)).await?;
        stream.shutdown().await
    })
    .await;
    None
}

struct Accepted {
    client: Client,
    connect: Connect,
    /// What the client sent behind CONNECT, which it may do without waiting for CONNACK.
    rest: BytesMut,
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the network connection was lost: {0}")]
    Network(#[from] std::io::Error),
    #[error("protocol violation: {0}")]
    Violation(#[from] Violation),
    #[error("refused: {0:?}")]
    Refused(ConnectRefusal),
}

fn return_code(refusal: ConnectRefusal) -> u8 {
    match refusal {
        ConnectRefusal::ClientIdRejected => 2,
        ConnectRefusal::Unavailable => 3,
        ConnectRefusal::BadCredentials => 4,
        ConnectRefusal::NotAuthorized => 5,
    }
}

async fn authenticate<S>(core: &Core, stream: &mut S, origin: Origin) -> Result<Accepted, Refusal>
where
    S: AsyncRead + Unpin,
{
    let mut rest = BytesMut::with_capacity(512);
    let mut connect = loop {
        if let Some((connect, length)) = codec::decode_connect(&rest, core.limits.connect_bytes_max)? {
            drop(rest.split_to(length));
            break connect;
        }
        if stream.read_buf(&mut rest).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    };
    let client_id: Arc<str> = if !connect.client_id.is_empty() {
        std::mem::take(&mut connect.client_id).into()
    } else if connect.clean_session {
        core.unused_client_id()
    } else {
        // MQTT 3.1.1 §3.1.3.1: a session to be kept needs a name.
        return Err(Refusal::Refused(ConnectRefusal::ClientIdRejected));
    };
    let Origin { peer, certificate, .. } = origin;
    let info = ConnectInfo {
        client_id,
        username: connect.username.take(),
        password: connect.password.take(),
        certificate,
        peer,
    };
    let identity = core.policy.authenticate(&info).await.map_err(Refusal::Refused)?;
    let client = Client { client_id: info.client_id, identity, peer: Some(peer) };
    Ok(Accepted { client, connect, rest })
}

fn attach<S>(core: &Arc<Core>, stream: S, client: Client, connect: &Connect, rest: BytesMut) -> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shared = Arc::new(ConnectionShared::new(Arc::new(client)));
    let expiry = if connect.clean_session { Duration::ZERO } else { core.limits.offline_expiry };
    let keeping = Keeping { clean_start: connect.clean_session, expiry };
    let (session, resumed) = core.attach(&shared, keeping);
    if resumed {
        // What the client may do can have changed since it subscribed.
        for filter in session.filters() {
            if !core.policy.may_subscribe(&shared.client, filter.as_str()) {
                core.stats.subscriptions_denied.increment();
                core.router.unsubscribe(&session, &filter);
            }
        }
    }
    debug!(client_id = %shared.client.client_id, peer = ?shared.client.peer, resumed, "client connected");
    let output = BytesMut::from(&codec::connack(resumed, 0)[..]);
    let attachment = Attachment::new(Arc::clone(core), session, shared);
    Connection::new(attachment, stream, rest, output, connect.keep_alive)
}
