//! Reads that subscriptions want to be told of. They change nothing, but what they cause is ordered and durable like the
//! notifications of changes.

use crate::access::authorize::{Permit, Requester};
use crate::access::policy::Access;
use crate::behaviour::subscription::EventType;
use crate::error::Error;
use crate::id::Seq;
use crate::notify::Happening;
use crate::overlay::Effects;
use crate::ports::Store;
use crate::primitive::Operation;
use crate::view::{View, WriteSource};

/// A read that subscriptions want to be told of.
pub(crate) struct Observed {
    pub(crate) resource: Seq,
    pub(crate) requester: Requester,
    pub(crate) operation: Operation,
    pub(crate) access: Access,
    /// Whether a container was found without instances.
    pub(crate) without_instance: bool,
}

impl Observed {
    /// Tells of the read.
    pub(super) async fn run<S: Store>(self, view: &mut View<'_, WriteSource<'_, S>>) -> Result<(), Error> {
        let Some(node) = view.node(self.resource).await? else {
            return Ok(());
        };
        let mut effects = Effects::new(Permit::internal("a monitored read"));
        if self.without_instance {
            let event = EventType::RetrieveOfContainerWithoutInstance;
            view.notify(&node, &Happening { event, subject: &node, modified: None }, &mut effects).await?;
        }
        view.notify_of_attempt(&node, &self.requester, self.operation, self.access, &mut effects).await?;
        view.source.apply(effects);
        Ok(())
    }
}
