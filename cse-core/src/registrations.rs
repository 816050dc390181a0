//! Who is registered here, and under which credential: at hand for the bindings that enforce it (TS-0010 §8.4).
//!
//! A view in memory of the `<AE>` and `<remoteCSE>` resources below the CSEBase: loaded at start, kept up to date by the
//! writer at every commit and before its answers leave. So whoever has got the answer to its registration finds
//! itself in it. It is bounded as the tree is.

use std::collections::HashMap;

use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::cache::Committed;
use crate::id::Seq;
use crate::ports::{Snapshot, Store, StoreError};
use crate::resource::Resource;
use crate::schema::{Ty, keys};
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
#[derive(Debug, Default)]
pub struct Registrations {
    inner: RwLock<Inner>,
    ended: Mutex<Vec<(Text, Option<Text>)>>,
    has_ended: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// By AE-ID stem or SP-relative CSE-ID. The keys come from clients, hence the keyed default hasher.
    by_identifier: HashMap<Text, (Seq, Registration)>,
    by_seq: FxHashMap<Seq, Text>,
}

impl Registrations {
    /// Reads what is registered.
    pub(crate) async fn load<S: Store>(store: &S) -> Result<Self, StoreError> {
        let registrations = Self::default();
        let mut snapshot = store.snapshot().await?;
        let mut after = Seq::START;
        loop {
            let page = snapshot.children(Seq::CSE_BASE, &[Ty::AE, Ty::REMOTE_CSE], after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(registrations);
            };
            after = last.seq;
            let mut inner = registrations.inner.write();
            page.iter().for_each(|resource| inner.put(resource));
        }
    }

    /// The registration of an AE-ID stem or an SP-relative CSE-ID (`/id-mn`).
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
            changed().next().is_some() || committed.deleted.iter().any(|seq| inner.by_seq.contains_key(seq))
        };
        if !concerned {
            return;
        }
        let mut gone = Vec::new();
        let mut inner = self.inner.write();
        for seq in &committed.deleted {
            gone.extend(inner.remove(*seq));
        }
        for node in changed() {
            inner.put(&node.resource);
        }
        drop(inner);
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
}

impl Inner {
    fn put(&mut self, resource: &Resource) {
        let (kind, identifier) = match resource.ty {
            Ty::AE => (EntityKind::Ae, Some(resource.id.clone())),
            _ => (EntityKind::Cse, resource.attributes.text(keys::CSE_ID).map(Text::from)),
        };
        let Some(identifier) = identifier else { return };
        let credential = resource.attributes.text(CREDENTIAL).map(Text::from);
        self.by_seq.insert(resource.seq, identifier.clone());
        self.by_identifier.insert(identifier, (resource.seq, Registration { kind, credential }));
    }

    fn remove(&mut self, seq: Seq) -> Option<(Text, Option<Text>)> {
        let identifier = self.by_seq.remove(&seq)?;
        let is_its_own = self.by_identifier.get(&identifier).is_some_and(|(of, _)| *of == seq);
        let (_, registration) = if is_its_own { self.by_identifier.remove(&identifier)? } else { return None };
        Some((identifier, registration.credential))
    }
}
