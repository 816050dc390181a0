//! Who is registered here, and under which credential: at hand for the bindings that enforce it (TS-0010 §8.4).
//!
//! A view in memory of the `<AE>` and `<remoteCSE>` resources below the CSEBase: loaded at start, kept up to date by the
//! writer at every commit and before its answers leave. So whoever has got the answer to its registration finds
//! itself in it. It is bounded as the tree is.
//!
//! The `<remoteCSE>` that stands for the registrar of this CSE is no registration here, and is kept apart.

mod routes;

use std::collections::{BTreeSet, HashMap};

use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, watch};

pub use self::routes::NextHop;
use self::routes::Routes;
use crate::cache::Committed;
use crate::id::{CseIdentity, Seq};
use crate::ports::{Snapshot, Store, StoreError};
use crate::resource::Resource;
use crate::schema::{Ty, keys};
use crate::settings::Settings;
use crate::value::Text;

/// The member of an `<AE>` that keeps the credential it was registered under.
pub(crate) const CREDENTIAL: &str = "@credential";

/// Registrations read in one step at start.
const PAGE: usize = 500;
/// Ended registrations that are told one by one; for more, all are to be looked at.
const ENDED_MAX: usize = 1_024;

/// What is registered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EntityKind {
    /// An application entity.
    Ae,
    /// A CSE.
    Cse,
}

/// One registration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registration {
    /// What is registered.
    pub kind: EntityKind,
    /// The Credential-ID that was proven when it registered; `None` if none was.
    pub credential: Option<Text>,
}

/// Registrations that have come to their end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// These: AE-ID stem or SP-relative CSE-ID, and the credential of each.
    These(Vec<(Text, Option<Text>)>),
    /// More than are worth naming.
    Many,
}

/// The registrations of a CSE now.
#[derive(Debug)]
pub struct Registrations {
    identity: CseIdentity,
    /// Canonical CSE-ID of the registrar.
    registrar: Option<Text>,
    inner: RwLock<Inner>,
    ended: Mutex<Vec<(Text, Option<Text>)>>,
    has_ended: Notify,
    routes_version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By AE-ID stem or canonical CSE-ID. The keys come from clients, hence the keyed default hasher.
    by_identifier: HashMap<Text, (Seq, Registration)>,
    by_seq: FxHashMap<Seq, Text>,
    routes: Routes,
    /// The `<remoteCSE>` that stands for the registrar.
    registrar: Option<Seq>,
}

impl Registrations {
    fn new(settings: &Settings) -> Self {
        let registrar = settings.registrar_id().map(|registrar| registrar.text().clone());
        settings.identity.know_cses(registrar.iter().cloned());
        Self {
            identity: settings.identity.clone(),
            registrar,
            inner: RwLock::default(),
            ended: Mutex::default(),
            has_ended: Notify::new(),
            routes_version: watch::Sender::new(0),
        }
    }

    /// Reads what is registered.
    pub(crate) async fn load<S: Store>(store: &S, settings: &Settings) -> Result<Self, StoreError> {
        let registrations = Self::new(settings);
        let mut snapshot = store.snapshot().await?;
        let mut after = Seq::START;
        loop {
            let page = snapshot.children(Seq::CSE_BASE, &[Ty::AE, Ty::REMOTE_CSE], after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(registrations);
            };
            after = last.seq;
            let mut inner = registrations.inner.write();
            for resource in &page {
                registrations.put(&mut inner, resource);
            }
            registrations.know_cses(&inner);
        }
    }

    /// Says which CSEs are no AEs although their CSE-IDs look like it. An AE that is registered here is one, whatever a
    /// registree claims to be below it.
    fn know_cses(&self, inner: &Inner) {
        let is_ae = |stem: &str| inner.by_identifier.get(stem).is_some_and(|(_, it)| it.kind == EntityKind::Ae);
        let looks_like_one =
            |cse_id: &&Text| cse_id.strip_prefix(['/']).is_some_and(|stem| stem.starts_with(['C', 'S']));
        let cses = inner.routes.iter().chain(&self.registrar).filter(looks_like_one).filter(|id| !is_ae(&id[1..]));
        self.identity.know_cses(cses.cloned());
    }

    /// The registree by which a CSE is reached: itself, or one that has it among its descendants, or of a CSE of
    /// another service provider the one that is registered from there. `None` for CSEs that are not below this one, the
    /// registrar among them.
    ///
    /// `cse_id` is SP-relative, or absolute if it belongs to another service provider, as
    /// [`CseIdentity::cse_id_of`] has it.
    pub fn next_hop(&self, cse_id: &str) -> Option<NextHop> {
        let inner = self.inner.read();
        match inner.by_identifier.get_key_value(cse_id) {
            Some((cse_id, (seq, registration))) if registration.kind == EntityKind::Cse => {
                Some(NextHop { cse_id: cse_id.clone(), seq: *seq })
            }
            _ => inner.routes.indirect(cse_id),
        }
    }

    /// The registrar, once there is a `<remoteCSE>` that stands for it.
    pub fn registrar(&self) -> Option<NextHop> {
        let seq = self.inner.read().registrar?;
        Some(NextHop { cse_id: self.registrar.clone()?, seq })
    }

    /// The CSEs that are below this one: those registered here and their descendants, in order of their CSE-IDs.
    pub fn cses(&self) -> BTreeSet<Text> {
        self.inner.read().routes.all()
    }

    /// Tells when what [`Registrations::cses`] says has changed; the number only grows.
    pub fn cses_version(&self) -> watch::Receiver<u64> {
        self.routes_version.subscribe()
    }

    /// The registration of an AE-ID stem or a CSE-ID: SP-relative (`/id-mn`), absolute of other service providers.
    pub fn get(&self, identifier: &str) -> Option<Registration> {
        self.inner.read().by_identifier.get(identifier).map(|(_, registration)| registration.clone())
    }

    /// Whether an AE with that stem is registered.
    pub fn has_ae(&self, stem: &str) -> bool {
        self.has(stem, |registration| registration.kind == EntityKind::Ae)
    }

    /// Whether that AE-ID stem or SP-relative CSE-ID is registered under that credential.
    pub fn is_under(&self, identifier: &str, credential: &str) -> bool {
        self.has(identifier, |registration| registration.credential.as_deref() == Some(credential))
    }

    fn has(&self, identifier: &str, holds: impl FnOnce(&Registration) -> bool) -> bool {
        self.inner.read().by_identifier.get(identifier).is_some_and(|(_, registration)| holds(registration))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.inner.read().by_identifier.len()
    }

    /// Waits until registrations have ended that were not told yet. For one listener; cancel safe.
    pub async fn ended(&self) -> Ended {
        loop {
            let told = std::mem::take(&mut *self.ended.lock());
            match told.len() {
                0 => self.has_ended.notified().await,
                count if count > ENDED_MAX => return Ended::Many,
                _ => return Ended::These(told),
            }
        }
    }

    /// Takes over what was committed.
    pub(crate) fn commit(&self, committed: &Committed) {
        let is_registration = |resource: &Resource| matches!(resource.ty, Ty::AE | Ty::REMOTE_CSE);
        let changed = || committed.changed.iter().filter(|node| is_registration(&node.resource));
        // Most commits change no registration; those must not wait for readers.
        let concerned = {
            let inner = self.inner.read();
            changed().next().is_some() || committed.deleted.iter().any(|seq| inner.knows(*seq))
        };
        if !concerned {
            return;
        }
        let mut gone = Vec::new();
        let mut routes_changed = false;
        let mut inner = self.inner.write();
        for seq in &committed.deleted {
            routes_changed |= inner.routes.remove(*seq);
            gone.extend(inner.remove(*seq));
        }
        for node in changed() {
            routes_changed |= self.put(&mut inner, &node.resource);
        }
        if routes_changed || !gone.is_empty() || changed().any(|node| node.resource.ty == Ty::AE) {
            self.know_cses(&inner);
        }
        drop(inner);
        if routes_changed {
            self.routes_version.send_modify(|version| *version += 1);
        }
        if gone.is_empty() {
            return;
        }
        let mut ended = self.ended.lock();
        // One more than the most says that there were more; nobody has to listen.
        let room = (ENDED_MAX + 1).saturating_sub(ended.len());
        ended.extend(gone.into_iter().take(room));
        drop(ended);
        self.has_ended.notify_one();
    }

    /// Takes over one registration. Returns whether this changes any route.
    fn put(&self, inner: &mut Inner, resource: &Resource) -> bool {
        if resource.ty == Ty::AE {
            inner.put(resource, EntityKind::Ae, resource.id.clone());
            return false;
        }
        let Some(cse_id) = resource.attributes.text(keys::CSE_ID) else {
            return false;
        };
        let Some(cse_id) = self.identity.canonical_cse_id(cse_id) else {
            return false;
        };
        if self.registrar.as_ref() == Some(&cse_id) {
            inner.registrar = Some(resource.seq);
            return false;
        }
        let own = self.identity.cse_id.as_str();
        let never = [own, self.registrar.as_deref().unwrap_or(own)];
        let descendants = resource.attributes.texts(keys::DESCENDANT_CSES);
        let changed = inner.routes.put(&self.identity, &never, resource.seq, cse_id.clone(), descendants);
        inner.put(resource, EntityKind::Cse, cse_id);
        changed
    }
}

impl Inner {
    fn knows(&self, seq: Seq) -> bool {
        self.by_seq.contains_key(&seq) || self.registrar == Some(seq)
    }

    fn put(&mut self, resource: &Resource, kind: EntityKind, identifier: Text) {
        let credential = resource.attributes.text(CREDENTIAL).map(Text::from);
        self.by_seq.insert(resource.seq, identifier.clone());
        self.by_identifier.insert(identifier, (resource.seq, Registration { kind, credential }));
    }

    fn remove(&mut self, seq: Seq) -> Option<(Text, Option<Text>)> {
        if self.registrar == Some(seq) {
            self.registrar = None;
            return None;
        }
        let identifier = self.by_seq.remove(&seq)?;
        let is_its_own = self.by_identifier.get(&identifier).is_some_and(|(of, _)| *of == seq);
        let (_, registration) = if is_its_own { self.by_identifier.remove(&identifier)? } else { return None };
        Some((identifier, registration.credential))
    }
}

#[cfg(test)]
mod tests;
