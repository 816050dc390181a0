//! What other CSEs host and this one needs to decide: read when it is needed, kept for a while, and for some time longer
//! while its CSE cannot be reached.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;

use crate::cse::Cse;
use crate::error::{Error, Rsc};
use crate::op::fan_out::Through;
use crate::ports::{BoxFuture, Store};
use crate::primitive::{Binding, Operation, ReleaseVersion, Request, Response, ResultContent};
use crate::settings::Settings;
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::Text;

/// Resources that are known; beyond, the one that was not used longest is forgotten.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// Bytes of one resource, roughly; a larger one counts as not there.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// A resource that could not be read is tried again after this time.
const RETRY: Duration = Duration::from_secs(10);

/// What is known of resources at other CSEs, by their addresses as attributes have them.
pub(crate) struct Elsewhere<T>(Mutex<LruCache<Text, Entry<T>>>);

struct Entry<T> {
    found: Option<Arc<T>>,
    /// When it was read.
    read: Timestamp,
    /// Until then it is used as it is.
    fresh_until: Timestamp,
    /// Held while it is read.
    reading: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of a resource now.
#[derive(Debug)]
pub(crate) enum Known<T> {
    /// What was made of it.
    Found(Arc<T>),
    /// That it does not exist, or could not be read just now.
    Nothing,
    /// Too little: it has to be read.
    Unknown,
}

/// What came of reading a resource.
pub(crate) enum Reading<T> {
    Found(T),
    /// Its host says that there is none, or none for this CSE.
    None,
    /// Its host cannot be reached.
    Unreachable,
}

impl<T> Reading<T> {
    /// What the answer to a RETRIEVE comes to; `make` makes of it what is kept, if it is of use.
    pub(crate) fn of(
        answer: Result<Response, Error>,
        address: &str,
        make: impl FnOnce(&Response) -> Option<T>,
    ) -> Self {
        match answer {
            Ok(response) if response.is_success() => match make(&response) {
                Some(found) => Self::Found(found),
                None => {
                    tracing::warn!(%address, "what an attribute names at another CSE is something else, or too large");
                    Self::None
                }
            },
            Ok(response) => {
                let status = response.status;
                tracing::debug!(%address, %status, "a resource at another CSE cannot be read");
                match status {
                    Rsc::TargetNotReachable | Rsc::RequestTimeout | Rsc::InternalServerError => Self::Unreachable,
                    _ => Self::None,
                }
            }
            Err(error) => {
                tracing::debug!(%address, %error, "a resource at another CSE cannot be read now");
                Self::Unreachable
            }
        }
    }
}

impl<T> Default for Elsewhere<T> {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KNOWN_MAX)))
    }
}

impl<T> Elsewhere<T> {
    pub(crate) fn known(&self, address: &str, now: Timestamp) -> Known<T> {
        let mut known = self.0.lock();
        match known.get(address).filter(|entry| now < entry.fresh_until) {
            Some(Entry { found: Some(found), .. }) => Known::Found(Arc::clone(found)),
            Some(_) => Known::Nothing,
            None => Known::Unknown,
        }
    }

    /// What was known last, however long ago.
    pub(crate) fn last_known(&self, address: &str) -> Option<Arc<T>> {
        self.0.lock().get(address)?.found.clone()
    }

    /// To be held while a resource is read, so that it is read once for all who need it.
    pub(crate) fn reading(&self, address: &Text, now: Timestamp) -> Arc<tokio::sync::Mutex<()>> {
        let unread = || Entry { found: None, read: now, fresh_until: now, reading: Arc::default() };
        Arc::clone(&self.0.lock().get_or_insert_mut(address.clone(), unread).reading)
    }

    pub(crate) fn note(&self, address: &Text, reading: Reading<T>, now: Timestamp, settings: &Settings) {
        let (lifetime, grace) = (settings.policy_lifetime, settings.policy_grace);
        let mut known = self.0.lock();
        let Some(entry) = known.get_mut(address) else { return };
        entry.fresh_until = now.plus(RETRY.min(lifetime));
        match reading {
            Reading::Found(found) => {
                entry.found = Some(Arc::new(found));
                entry.read = now;
                entry.fresh_until = now.plus(lifetime);
            }
            Reading::None => entry.found = None,
            Reading::Unreachable if now >= entry.read.plus(lifetime).plus(grace) => entry.found = None,
            Reading::Unreachable => {}
        }
    }
}

impl<S: Store> Cse<S> {
    /// Reads a resource at another CSE as this CSE, before a deadline and as long as a verification may take.
    pub(crate) fn read_elsewhere<'a>(
        &'a self,
        address: &Text,
        wanted: Option<ResultContent>,
        deadline: Timestamp,
    ) -> BoxFuture<'a, Result<Response, Error>> {
        let shared = &self.0;
        let from = shared.settings.identity.cse_id.clone();
        let mut request = Request::new(Operation::Retrieve, address.clone(), from, shared.new_request_identifier());
        request.release_version = Some(ReleaseVersion::R3);
        request.context.binding = Binding::Internal;
        request.result_content = wanted;
        let until = shared.clock.now().plus(shared.settings.verification_timeout).min(deadline);
        // The next CSE has no longer than that, either.
        request.request_expiration = Some(AbsRelTimestamp::Absolute(until));
        Box::pin(self.attempt(request, Through::fulfilling(None, until)))
    }
}
