//! Clause 8 of TS-0010 as the broker asks for it: one object that authenticates, authorizes, and tells the binding what
//! is known of whoever sent a message.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cse_core::id::{CseIdentity, Originator, Peer};
use cse_core::registrations::{Ended, Registrations};
use cse_core::settings::CredentialRules;
use cse_core::value::Text;

use super::client_id;
use super::identity::{self, Entity, Who};
use super::leaving::{Deletion, Leaving};
use super::logins::{Login, LoginLimits, Logins};
use super::naming::{self, CertificateIdentity};
use super::quiet::Quiet;
use super::rights::{Nobody, Registered, Rights};
use super::users::Users;
use crate::broker::{
    Admission, Broker, Client, ConnectInfo, ConnectRefusal, Counter, Identity, Policy, PolicyFuture, Proof, Standing,
};
use crate::link::Vouched;

/// How long the end of a registration may leave its subscriptions as they are, for the answer to its deletion.
const ANSWERED_MAX: Duration = Duration::from_secs(2);

/// Whether topics are restricted by identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// They are not, and client identifiers are free: whoever is let in may speak for everybody.
    Open,
    /// As TS-0010 clause 8 says.
    Strict,
}

/// What the operator decides about clients of the embedded broker.
#[derive(Debug)]
pub struct SecurityOptions {
    /// Whether topics are restricted by identity.
    pub mode: Mode,
    /// Which name of a client certificate counts.
    pub certificate_identity: CertificateIdentity,
    /// Whether clients without credential are let in.
    pub anonymous: bool,
    /// Users with passwords.
    pub users: Option<Arc<Users>>,
    /// Whether clients may have certificates.
    pub certificates: bool,
    /// Bounds of logins with password.
    pub logins: LoginLimits,
    /// What may be registered under which credential; the same as in the settings of the CSE.
    pub credentials: CredentialRules,
}

/// Counters of what clients of the embedded broker were let in and refused for.
#[derive(Debug, Default)]
pub struct SecurityStats {
    /// Clients let in by certificate.
    pub certificates_accepted: Counter,
    /// Clients refused because their certificate has no usable name.
    pub certificates_refused: Counter,
    /// Logins with the right password.
    pub logins_accepted: Counter,
    /// Logins with a wrong name or password.
    pub logins_failed: Arc<Counter>,
    /// Logins refused without looking at them: too many at once, or too many failures of the address.
    pub logins_deferred: Counter,
    /// Clients let in without credential.
    pub anonymous_accepted: Counter,
    /// Clients refused because they have no credential.
    pub anonymous_refused: Counter,
    /// Clients refused because their client identifier is not theirs.
    pub client_ids_refused: Counter,
}

/// The security of one embedded broker.
pub struct Security {
    rights: Rights,
    options: SecurityOptions,
    logins: Option<Logins>,
    registrations: OnceLock<Arc<Registrations>>,
    stats: SecurityStats,
    denials: Quiet,
    refusals: Quiet,
    leaving: Arc<Leaving>,
}

impl std::fmt::Debug for Security {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Security").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What is known of the sender of a message, for the CSE.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sender {
    /// Its Credential-ID; none for those who have no credential.
    pub(crate) credential: Option<Text>,
    /// The identifier that the credential stands for.
    pub(crate) identifier: Option<Text>,
    /// Whether what the topic says of the sender was proven.
    pub(crate) proven: bool,
    /// What it is, if the topic is its own; `None` in open mode, where that does not matter.
    pub(crate) vouched: Option<Vouched>,
}

impl Security {
    /// For the CSE of that identity and administrator, with the topic prefix of its binding.
    pub fn new(identity: CseIdentity, admin: Originator, topic_prefix: &str, options: SecurityOptions) -> Self {
        let stats = SecurityStats::default();
        let logins = options.users.as_ref().map(|users| {
            let (users, failed) = (Arc::clone(users), Arc::clone(&stats.logins_failed));
            Logins::new(users, options.logins, failed)
        });
        Self {
            rights: Rights::new(identity, admin, topic_prefix),
            logins,
            options,
            registrations: OnceLock::new(),
            stats,
            denials: Quiet::default(),
            refusals: Quiet::default(),
            leaving: Arc::default(),
        }
    }

    /// Tells who is registered. Until then, nobody is.
    pub fn attach(&self, registrations: Arc<Registrations>) {
        // Only the first counts; there is one CSE.
        let _ = self.registrations.set(registrations);
    }

    /// Whether topics are restricted.
    pub fn mode(&self) -> Mode {
        self.options.mode
    }

    /// How many users have passwords.
    pub fn users(&self) -> usize {
        self.options.users.as_ref().map_or(0, |users| users.count())
    }

    /// The counters.
    pub fn stats(&self) -> &SecurityStats {
        &self.stats
    }

    /// Withdraws subscriptions from clients whose registration ends, for as long as it is polled.
    pub async fn withdraw(&self, broker: &Broker) {
        let Some(registrations) = self.registrations.get() else {
            return std::future::pending().await;
        };
        if self.options.mode == Mode::Open {
            return std::future::pending().await;
        }
        // Sessions that were kept over a restart may be from other times.
        broker.review(|_| true);
        loop {
            let Ended::These(ended) = registrations.ended().await else {
                broker.review(|_| true);
                continue;
            };
            let is_leaving = |credential: &Option<Text>| {
                credential.as_deref().is_some_and(|credential| self.leaving.has(credential))
            };
            let (leaving, gone): (Vec<_>, Vec<_>) =
                ended.into_iter().partition(|(_, credential)| is_leaving(credential));
            withdraw_from(broker, &gone);
            if !leaving.is_empty() {
                let credentials: Vec<Text> = leaving.iter().filter_map(|(_, credential)| credential.clone()).collect();
                // What takes longer is no deletion of a registration.
                let _ = tokio::time::timeout(ANSWERED_MAX, self.leaving.answered(&credentials)).await;
                withdraw_from(broker, &leaving);
            }
        }
    }

    /// A deletion that has come from that sender, so that it hears the answer whatever it deletes; to be dropped then.
    pub(crate) fn begin_deletion(&self, peer: &Peer) -> Option<Deletion> {
        let credential = peer.credential.clone().filter(|_| peer.authenticated && self.options.mode == Mode::Strict);
        credential.map(|credential| self.leaving.begin(credential))
    }

    /// What is known of the sender of a message on that topic.
    pub(crate) fn sender(&self, client: &Client, topic: &str) -> Sender {
        let who = Who::of(&client.identity);
        if !who.proven && self.options.mode == Mode::Open {
            return Sender::default();
        }
        // In strict mode the broker has let nothing else through, but what is registered may have changed since.
        let (is_own_topic, is_cse) = self.decide(|rights, registered| {
            (rights.may_publish(&who, registered, topic), rights.is_from_cse(&who, registered, topic))
        });
        Sender {
            credential: Some(who.credential.into()),
            identifier: who.identifier().map(Text::from),
            proven: who.proven && is_own_topic,
            vouched: (self.options.mode == Mode::Strict).then_some(match (is_own_topic, is_cse) {
                (false, _) => Vouched::Not,
                (true, false) => Vouched::Ae,
                (true, true) => Vouched::Cse,
            }),
        }
    }

    pub(super) fn list_of_users(&self) -> Option<&Arc<Users>> {
        self.options.users.as_ref()
    }

    pub(super) fn may_have_certificates(&self) -> bool {
        self.options.certificates
    }

    fn decide<T>(&self, decision: impl FnOnce(&Rights, &dyn Registered) -> T) -> T {
        match self.registrations.get() {
            Some(registrations) => decision(&self.rights, registrations.as_ref()),
            None => decision(&self.rights, &Nobody),
        }
    }

    async fn identify(&self, connect: &ConnectInfo) -> Result<Admission, ConnectRefusal> {
        if let Some(certificate) = &connect.certificate {
            let rule = self.options.certificate_identity;
            let named = naming::of_certificate(self.rights.identity(), rule, certificate);
            let own = &self.rights.identity().cse_id;
            let Some(named) = named.filter(|named| named.entity != Some(Entity::Cse(own.clone()))) else {
                self.stats.certificates_refused.increment();
                return Err(ConnectRefusal::NotAuthorized);
            };
            self.stats.certificates_accepted.increment();
            return Ok(identity::identity(named.entity.as_ref(), &named.credential).into());
        }
        if let Some(name) = &connect.username
            && let Some(logins) = &self.logins
        {
            let password = connect.password.clone().unwrap_or_default();
            return match logins.verify(connect.peer.ip(), name.clone(), password).await {
                Login::Right(admission) => {
                    self.stats.logins_accepted.increment();
                    Ok(admission)
                }
                Login::Wrong => Err(ConnectRefusal::BadCredentials),
                Login::Refused => {
                    self.stats.logins_deferred.increment();
                    Err(ConnectRefusal::Unavailable)
                }
            };
        }
        if self.options.anonymous {
            // A user name that nobody can check proves nothing.
            self.stats.anonymous_accepted.increment();
            return Ok(identity::anonymous().into());
        }
        self.stats.anonymous_refused.increment();
        Err(if connect.username.is_some() { ConnectRefusal::BadCredentials } else { ConnectRefusal::NotAuthorized })
    }

    async fn admit(&self, connect: &ConnectInfo) -> Result<Admission, ConnectRefusal> {
        let admission = self.identify(connect).await?;
        if self.options.mode == Mode::Open {
            return Ok(admission);
        }
        let fits = self.decide(|rights, registered| {
            client_id::fits(
                &connect.client_id,
                &Who::of(&admission.identity),
                rights,
                registered,
                &self.options.credentials,
            )
        });
        if !fits {
            self.stats.client_ids_refused.increment();
            return Err(ConnectRefusal::ClientIdRejected);
        }
        Ok(admission)
    }

    fn note_denial(&self, client: &Client, what: &'static str, topic: &str) {
        if let Some(suppressed) = self.denials.admit() {
            let (client_id, identity) = (client.client_id.as_ref(), client.identity.name());
            tracing::warn!(client_id, identity, topic, suppressed, "{what} denied: the topic is not the client's");
        }
    }
}

/// Has the broker look again at what those are subscribed to whose registrations these were.
fn withdraw_from(broker: &Broker, ended: &[(Text, Option<Text>)]) {
    if ended.is_empty() {
        return;
    }
    broker.review(|client| {
        let who = Who::of(&client.identity);
        ended.iter().any(|(identifier, credential)| {
            who.identifier() == Some(identifier) || credential.as_deref() == Some(who.credential)
        })
    });
}

impl Policy for Security {
    fn authenticate<'a>(&'a self, connect: &'a ConnectInfo) -> PolicyFuture<'a> {
        Box::pin(async {
            let outcome = self.admit(connect).await;
            if let Err(refusal) = &outcome
                && let Some(suppressed) = self.refusals.admit()
            {
                let (client_id, peer) = (connect.client_id.as_ref(), connect.peer);
                tracing::warn!(client_id, %peer, ?refusal, suppressed, "client refused");
            }
            outcome
        })
    }

    fn may_subscribe(&self, client: &Client, filter: &str) -> bool {
        if self.options.mode == Mode::Open {
            return true;
        }
        let who = Who::of(&client.identity);
        let may = self.decide(|rights, registered| rights.may_subscribe(&who, registered, filter));
        if !may {
            self.note_denial(client, "subscription", filter);
        }
        may
    }

    fn may_publish(&self, client: &Client, topic: &str) -> bool {
        if self.options.mode == Mode::Open {
            return true;
        }
        let who = Who::of(&client.identity);
        let may = self.decide(|rights, registered| rights.may_publish(&who, registered, topic));
        if !may {
            self.note_denial(client, "message", topic);
        }
        may
    }

    fn standing(&self, identity: &Identity, proof: Option<Proof>) -> Standing {
        self.standing_of(identity, proof)
    }
}
