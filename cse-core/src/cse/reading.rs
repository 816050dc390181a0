//! RETRIEVE: answered from a snapshot, after policies at other CSEs that it needs have been read; those who monitor such
//! accesses are told.

use std::sync::Arc;

use super::Cse;
use crate::access::policy::Access;
use crate::behaviour::subscription::EventType::RetrieveOfContainerWithoutInstance;
use crate::error::Error;
use crate::node::Node;
use crate::op::{self, Cx};
use crate::ports::Store;
use crate::primitive::{Operation, Request, Response, ResultContent};
use crate::schema::{Ty, keys};
use crate::writer::{Job, Observed};

impl<S: Store> Cse<S> {
    /// Answers a RETRIEVE.
    pub(super) async fn retrieve(&self, request: &Request, cx: &Cx) -> Result<Response, Error> {
        let mut read = 0;
        let (mut view, result) = loop {
            let mut view = self.0.view();
            let result = op::retrieve::answer_to(&mut view, cx, request).await;
            if let Some(view) = self.learn(view, &mut read, cx.deadline).await {
                break (view, result);
            }
        };
        // Refused attempts can be monitored, too.
        let (result, node) = match result {
            Ok((response, node)) => (Ok(response), Some(node)),
            Err(error) => (Err(error), view.plain(&cx.target).await?),
        };
        if let Some(node) = node {
            let subscriptions = view.subscriptions(&node).await?;
            let access = if request.is_discovery() { Access::DISCOVERY } else { Access::RETRIEVE };
            let without_instance = result.is_ok() && finds_no_instance(request, &node);
            self.observe(&subscriptions, &node, cx, Operation::Retrieve, access, without_instance);
        }
        result
    }

    /// Tells the writer of an access that a subscription wants to know of.
    pub(super) fn observe(
        &self,
        subscriptions: &[Arc<Node>],
        node: &Node,
        cx: &Cx,
        operation: Operation,
        access: Access,
        without_instance: bool,
    ) {
        let mut subscriptions = subscriptions.iter().filter_map(|node| node.subscription());
        let is_wanted = subscriptions.any(|subscription| {
            subscription.monitors(&cx.requester.originator, access)
                || (without_instance && subscription.wants(RetrieveOfContainerWithoutInstance))
        });
        if !is_wanted {
            return;
        }
        let requester = cx.requester.clone();
        let observed = Observed { resource: node.seq, requester, operation, access, without_instance };
        if self.0.jobs.try_send(Job::Observed(observed)).is_err() {
            self.0.metrics.observations_dropped.increment();
        }
    }
}

/// Whether a read lists the children of a container that has no instance.
fn finds_no_instance(request: &Request, node: &Node) -> bool {
    let lists_children = matches!(
        request.result_content,
        Some(ResultContent::AttributesAndChildResources | ResultContent::ChildResources)
    );
    lists_children && node.ty == Ty::CONTAINER && node.attributes.unsigned(keys::CURRENT_NR_OF_INSTANCES) == Some(0)
}
