//! Deletions that are being answered. A client that deletes its own registration loses its topics with it, and still is to
//! hear that it did: what it is subscribed to is withdrawn only then.

use std::collections::HashMap;
use std::sync::Arc;

use cse_core::value::Text;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Which credentials have deletions under way. Bounded as the requests are that a binding takes.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    under_way: Mutex<HashMap<Text, usize>>,
    answered: Notify,
}

/// A deletion; answered when this is dropped.
#[derive(Debug)]
pub(crate) struct Deletion {
    leaving: Arc<Leaving>,
    credential: Text,
}

impl Leaving {
    /// A deletion that comes under that credential.
    pub(crate) fn begin(self: &Arc<Self>, credential: Text) -> Deletion {
        *self.under_way.lock().entry(credential.clone()).or_default() += 1;
        Deletion { leaving: Arc::clone(self), credential }
    }

    /// Whether there are some under that credential.
    pub(super) fn has(&self, credential: &str) -> bool {
        self.under_way.lock().contains_key(credential)
    }

    /// Waits until those that are under way now under one of these credentials, and those that have come in the
    /// meantime, are answered.
    pub(super) async fn answered(&self, credentials: &[Text]) {
        loop {
            let answered = self.answered.notified();
            if !credentials.iter().any(|credential| self.has(credential)) {
                return;
            }
            answered.await;
        }
    }
}

impl Drop for Deletion {
    fn drop(&mut self) {
        let mut under_way = self.leaving.under_way.lock();
        if let Some(count) = under_way.get_mut(&self.credential) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.credential);
            }
        }
        drop(under_way);
        // One task waits; told too often, it only looks.
        self.leaving.answered.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_hears_of_the_last_answer() {
        let leaving = Arc::new(Leaving::default());
        let credentials = [Text::from("lamp-7")];
        assert!(leaving.answered(&credentials).now_or_never().is_some());
        let (one, two) = (leaving.begin("lamp-7".into()), leaving.begin("lamp-7".into()));
        let other = leaving.begin("lamp-8".into());
        let mut waiting = std::pin::pin!(leaving.answered(&credentials));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(one);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(two);
        assert!(waiting.now_or_never().is_some());
        assert!(leaving.has("lamp-8") && !leaving.has("lamp-7"));
        drop(other);
        assert!(leaving.under_way.lock().is_empty());
    }
}
