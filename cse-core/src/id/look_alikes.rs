//! CSEs whose CSE-ID looks like the stem of an AE-ID.
//!
//! `/S17` is the SP-relative form of an S-type AE-ID as well as that of a CSE-ID (TS-0001 §7.2), and as a topic level
//! `C17` may be either, too. By form alone such a word is an AE. It is a CSE where one of that CSE-ID is known: the
//! registrar, a registree, a descendant. All clones of an identity share what is known, since all of them read the
//! same identifiers; only the registrations of the CSE write it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::value::Text;

/// SP-relative CSE-IDs that are known and begin like an AE-ID stem.
#[derive(Clone, Default)]
pub(super) struct LookAlikes(Arc<RwLock<BTreeSet<Text>>>);

impl LookAlikes {
    /// Whether an identifier of one segment, without its slash, is that of a known CSE.
    pub(super) fn has(&self, stem: &str) -> bool {
        is_candidate(stem) && self.0.read().contains(stem)
    }

    /// Takes the place of what was known; of the SP-relative CSE-IDs only those that look alike are kept.
    pub(super) fn replace(&self, cse_ids: impl Iterator<Item = Text>) {
        let stems = cse_ids.filter_map(|id| id.strip_prefix('/').filter(|stem| is_candidate(stem)).map(Text::from));
        let stems: BTreeSet<Text> = stems.collect();
        if *self.0.read() != stems {
            *self.0.write() = stems;
        }
    }
}

impl fmt::Debug for LookAlikes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.read().iter()).finish()
    }
}

/// Whether a word looks like the stem of an AE-ID.
pub(super) fn is_candidate(stem: &str) -> bool {
    stem.starts_with(['C', 'S']) && !stem.contains('/')
}
