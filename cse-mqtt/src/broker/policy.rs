//! Who may connect, subscribe and publish: the seam where the broker asks and somebody else decides.

use std::fmt;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

/// Who a client was found to be by [`Policy::authenticate`].
///
/// A session belongs to an identity: another identity that connects with the same client identifier never gets it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Identity(Arc<str>);

impl Identity {
    /// An identity with the name the policy knows it by.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name the policy gave it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether the name is empty, as that of all clients is whom the policy cannot tell apart.
    pub fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a policy let a client in for, in terms of its own: the broker keeps it while it has the session in memory, and
/// asks with it about the client's [`Standing`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proof(u64);

impl Proof {
    /// A proof that the policy tells from others by this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

/// A client that may connect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Admission {
    /// Who it is.
    pub identity: Identity,
    /// What showed it, if that may lose its force.
    pub proof: Option<Proof>,
}

impl From<Identity> for Admission {
    fn from(identity: Identity) -> Self {
        Self { identity, proof: None }
    }
}

/// Whether what let a client in still holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It does.
    Good,
    /// The client has to prove anew who it is: its connection is closed, and its session waits for it.
    Stale,
    /// Nobody can be that client any more: its session ends, too.
    Gone,
}

/// What a client said about itself in its CONNECT, and where it came from.
#[derive(Clone, Eq, PartialEq)]
pub struct ConnectInfo {
    /// Client identifier; the generated one if the client left it empty.
    pub client_id: Arc<str>,
    /// User name, if any.
    pub username: Option<String>,
    /// Password, if any: any bytes.
    pub password: Option<Bytes>,
    /// What the client certificate says, if the transport has verified one.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// Address of the peer.
    pub peer: SocketAddr,
}

/// The names in a client certificate that the transport has verified.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerCertificate {
    /// Subject alternative names of type URI, in their order.
    pub uris: Vec<String>,
    /// Common name of the subject.
    pub common_name: Option<String>,
}

impl fmt::Debug for ConnectInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectInfo")
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("certificate", &self.certificate)
            .field("peer", &self.peer)
            .finish()
    }
}

/// Why a CONNECT is refused; becomes the CONNACK return code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectRefusal {
    /// The identifier is correct UTF-8 but not allowed (return code 2).
    ClientIdRejected,
    /// The service cannot decide or serve now (return code 3).
    Unavailable,
    /// Wrong user name or password (return code 4).
    BadCredentials,
    /// Authenticated, but not authorized to connect (return code 5).
    NotAuthorized,
}

/// A connected client (or a link), as policies and receivers of its messages see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Client identifier, or the name of the link.
    pub client_id: Arc<str>,
    /// Who it is.
    pub identity: Identity,
    /// Address of the peer; none for a link.
    pub peer: Option<SocketAddr>,
}

/// A future on the heap, for the one asynchronous question of [`Policy`].
pub type PolicyFuture<'a> = Pin<Box<dyn Future<Output = Result<Admission, ConnectRefusal>> + Send + 'a>>;

/// Decides who may do what.
///
/// [`Policy::authenticate`] may wait (for a database, or for a slow password hash on another thread) and is bounded by
/// [`Limits::connect_timeout`](super::Limits::connect_timeout). The others are asked for each packet, on the task
/// of the connection: they must answer from memory, in well under a microsecond.
pub trait Policy: Send + Sync + 'static {
    /// Finds out who the client is and whether it may connect with its client identifier.
    fn authenticate<'a>(&'a self, connect: &'a ConnectInfo) -> PolicyFuture<'a>;

    /// Whether the client may subscribe to `filter`. Asked at SUBSCRIBE, and again when a session is resumed.
    fn may_subscribe(&self, client: &Client, filter: &str) -> bool;

    /// Whether the client may publish to `topic`. Asked for each PUBLISH.
    fn may_publish(&self, client: &Client, topic: &str) -> bool;

    /// Whether a client that was let in with that proof may stay. Asked when it has got its session, and by
    /// [`Broker::review_standing`](super::Broker::review_standing). Sessions from an earlier process have no proof.
    fn standing(&self, _identity: &Identity, _proof: Option<Proof>) -> Standing {
        Standing::Good
    }
}

/// Lets everybody do everything, with the user name (or nothing) as identity.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenPolicy;

impl Policy for OpenPolicy {
    fn authenticate<'a>(&'a self, connect: &'a ConnectInfo) -> PolicyFuture<'a> {
        let name = connect.username.as_deref().unwrap_or_default();
        Box::pin(ready(Ok(Identity::new(name).into())))
    }

    fn may_subscribe(&self, _client: &Client, _filter: &str) -> bool {
        true
    }

    fn may_publish(&self, _client: &Client, _topic: &str) -> bool {
        true
    }
}
