//! By which registree a CSE is reached: the registrees themselves, the CSEs below them (`dcse`), and other service
//! providers by their IN-CSE (TS-0001 §10.2.2.3).
//!
//! `dcse` is what a registree claims. A CSE that is registered here itself is never reached by way of another, and of
//! several that claim one descendant the first registered has it, so that a later claim takes no route away.

use std::collections::{BTreeSet, HashMap};

use rustc_hash::FxHashMap;

use crate::id::{CseIdentity, Seq, provider_of};
use crate::value::Text;

/// The next CSE on the way to another one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NextHop {
    /// Its CSE-ID: SP-relative, absolute if it belongs to another service provider.
    pub cse_id: Text,
    /// The `<remoteCSE>` here that stands for it.
    pub(crate) seq: Seq,
}

/// Registrees and what is below them. The keys of the keyed maps come from clients.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_seq: FxHashMap<Seq, Registree>,
    by_descendant: HashMap<Text, BTreeSet<Seq>>,
    /// Registrees of other service providers, by M2M-SP-ID.
    by_provider: HashMap<Text, BTreeSet<Seq>>,
}

#[derive(Debug, Eq, PartialEq)]
struct Registree {
    cse_id: Text,
    descendants: BTreeSet<Text>,
}

impl Routes {
    /// Takes a registree over, also one that has changed. Returns whether this changes any route.
    ///
    /// `cse_id` is canonical; `never` are the CSEs that are below nobody: this one and its registrar.
    pub(super) fn put<'a>(
        &mut self,
        identity: &CseIdentity,
        never: &[&str],
        seq: Seq,
        cse_id: Text,
        descendants: impl Iterator<Item = &'a str>,
    ) -> bool {
        let provider = provider_of(&cse_id);
        let descendants = descendants
            .filter_map(|claimed| {
                let absolute;
                let claimed = match provider {
                    // SP-relative there means the service provider of the registree.
                    Some(provider) if !claimed.starts_with("//") => {
                        absolute = format!("{provider}{claimed}");
                        &absolute
                    }
                    _ => claimed,
                };
                identity.canonical_cse_id(claimed)
            })
            .filter(|claimed| *claimed != cse_id && !never.contains(&claimed.as_str()))
            .collect();
        let registree = Registree { cse_id, descendants };
        if self.by_seq.get(&seq) == Some(&registree) {
            return false;
        }
        self.remove(seq);
        for descendant in &registree.descendants {
            self.by_descendant.entry(descendant.clone()).or_default().insert(seq);
        }
        if let Some(provider) = provider_of(&registree.cse_id) {
            self.by_provider.entry(provider.into()).or_default().insert(seq);
        }
        self.by_seq.insert(seq, registree);
        true
    }

    /// Forgets a registree. Returns whether there was one.
    pub(super) fn remove(&mut self, seq: Seq) -> bool {
        let Some(registree) = self.by_seq.remove(&seq) else {
            return false;
        };
        for descendant in &registree.descendants {
            withdraw(&mut self.by_descendant, descendant, seq);
        }
        if let Some(provider) = provider_of(&registree.cse_id) {
            withdraw(&mut self.by_provider, provider, seq);
        }
        true
    }

    /// The way to a CSE that is not registered here itself.
    pub(super) fn indirect(&self, cse_id: &str) -> Option<NextHop> {
        let below = || self.by_descendant.get(cse_id);
        let beyond = || self.by_provider.get(provider_of(cse_id)?);
        let seq = *below().or_else(beyond)?.first()?;
        let registree = self.by_seq.get(&seq)?;
        Some(NextHop { cse_id: registree.cse_id.clone(), seq })
    }

    /// All registrees and what is below them, in order.
    pub(super) fn all(&self) -> BTreeSet<Text> {
        self.iter().cloned().collect()
    }

    /// As [`Routes::all`], in no order, and what several claim more than once.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Text> {
        let registrees = self.by_seq.values();
        registrees.flat_map(|registree| registree.descendants.iter().chain([&registree.cse_id]))
    }
}

fn withdraw(claims: &mut HashMap<Text, BTreeSet<Seq>>, key: &str, seq: Seq) {
    if let Some(seqs) = claims.get_mut(key) {
        seqs.remove(&seq);
        if seqs.is_empty() {
            claims.remove(key);
        }
    }
}
