//! NOTIFY: a request to an entity that is registered here is passed on to it (TS-0004 §7.5.1.2, TS-0001 §10.3.7).

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::forward::maker_of;
use super::{Answers, Cx, Question};
use crate::access::policy::Access;
use crate::address::Resolved;
use crate::cse::Cse;
use crate::digest;
use crate::error::{Error, Rsc};
use crate::id::Originator;
use crate::node::Node;
use crate::notify::{as_seen_by, single};
use crate::ports::{BoxFuture, Patience, Sent, Store};
use crate::primitive::{Operation, Request, Response};
use crate::schema::{Ty, keys};
use crate::time::Timestamp;
use crate::value::{Map, Name, Text};
use crate::view::{Source, View};
use crate::writer::Under;

impl<S: Store> Cse<S> {
    /// Answers a NOTIFY to a resource of this CSE.
    pub(crate) async fn notify(&self, mut request: Request, cx: &Cx) -> Result<Response, Error> {
        let shared = &self.0;
        let mut read = 0;
        let node = loop {
            let mut view = shared.view();
            let node = notified(&mut view, cx).await;
            if self.learn(view, &mut read, cx.deadline).await.is_some() {
                break node?;
            }
        };
        let route = self.entity_route(&node).await?.ok_or_else(|| Error::NotReachable(node.path.to_string()))?;
        // Identifiers of different originators may be the same; towards the entity this CSE's are used.
        let key = (digest::of(&request), maker_of(&request));
        let redelivery = request.context.redelivery;
        let send = |under: Under| async {
            request.request_identifier = under.identifier;
            // The answer that there was none needs time for its way, too.
            let timeout = cx.deadline.since(shared.clock.now()) * 3 / 4;
            match self.send_along(&route, request, timeout, Patience::UntilTimeout).await {
                Ok(Sent::Answered(response)) => Ok(*response),
                Ok(Sent::Unanswered | Sent::Unanswerable) => Err(Error::Expired("the entity did not answer in time")),
                Err(error) => {
                    tracing::debug!(entity = %node.id, %error, "a notification cannot be passed on");
                    Err(Error::NotReachable(node.path.to_string()))
                }
            }
        };
        self.pass_on(key, redelivery, shared.new_request_identifier(), cx.deadline, send).await
    }

    /// A NOTIFY of this CSE to a target.
    pub(crate) fn notify_request(&self, target: &str, mut content: Map, event_category: Option<u32>) -> Request {
        as_seen_by(target, &mut content, &self.0.settings.identity);
        let from = self.0.settings.identity.cse_id.clone();
        let mut request = Request::new(Operation::Notify, "", from, self.0.new_request_identifier());
        request.content = Some(content);
        request.event_category = event_category;
        request
    }

    /// Asks the network what has to be known before a change is made.
    pub(crate) async fn ask(
        &self,
        question: Question,
        answers: &mut Answers,
        deadline: Timestamp,
    ) -> Result<(), Error> {
        match question {
            Question::Policies(lacking) => {
                self.read_policies(lacking, deadline).await;
                answers.policies_read += 1;
                Ok(())
            }
            Question::Stem(asked) => {
                answers.stem = Some(Box::pin(self.ask_for_stem(&asked, deadline)).await?);
                Ok(())
            }
            Question::Members { members, originator } => {
                let elsewhere = self.look_at(members, &originator, deadline).await;
                Arc::make_mut(&mut answers.group).elsewhere.extend(elsewhere);
                Ok(())
            }
            Question::Verify { subscription, creator, targets } => {
                let mut asked: Vec<BoxFuture<'_, Result<(), Error>>> = Vec::with_capacity(targets.len());
                for target in &targets {
                    asked.push(Box::pin(self.verify(&subscription, &creator, target)));
                }
                stream::iter(asked).buffer_unordered(VERIFIED_AT_ONCE).try_collect::<()>().await?;
                answers.verified.extend(targets);
                Ok(())
            }
            Question::Block { subscription, target, notification, .. } => {
                self.ask_to_agree(&target, notification).await?;
                answers.agreed.push(subscription);
                Ok(())
            }
            Question::Original(write_back) => {
                answers.original = Some(Box::new(self.write_back(&write_back).await?));
                Ok(())
            }
        }
    }

    /// Has a notification target confirm a subscription.
    async fn verify(&self, subscription: &Text, creator: &Originator, target: &Text) -> Result<(), Error> {
        let failed = |problem: String| Error::VerificationFailed { target: target.to_string(), problem };
        let Some(route) = self.route(target).await? else {
            return Err(failed("it is no URL, and no AE or CSE that is reachable from here".into()));
        };
        let identity = &self.0.settings.identity;
        let mut sgn = Map::single(Name::new_static("vrq"), true);
        sgn.push(Name::new_static("sur"), subscription.clone());
        let creator = if creator.is_ae_stem() && creator.as_str().starts_with('C') {
            identity.sp_relative(creator.as_str()).into()
        } else {
            creator.text().clone()
        };
        sgn.push(Name::new_static(keys::CREATOR), creator);
        let request = self.notify_request(target, single(sgn), None);
        let timeout = self.0.settings.verification_timeout;
        match self.send_along(&route, request, timeout, Patience::UntilTimeout).await {
            Ok(Sent::Answered(response)) => match response.status {
                Rsc::SubscriptionCreatorHasNoPrivilege => {
                    Err(Error::SubscriptionCreatorHasNoPrivilege(target.to_string()))
                }
                Rsc::SubscriptionHostHasNoPrivilege => Err(Error::SubscriptionHostHasNoPrivilege(target.to_string())),
                status if status.is_success() => Ok(()),
                status => Err(failed(format!("it answered {status}"))),
            },
            // Nobody can say yes there, and nobody no: that the broker takes such topics has to do.
            Ok(Sent::Unanswerable) => Ok(()),
            Ok(Sent::Unanswered) => Err(failed("it did not answer in time".into())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Has the target of a blocking subscription agree to an update.
    async fn ask_to_agree(&self, target: &Text, notification: Map) -> Result<(), Error> {
        let unreachable = || Error::RemoteEntityNotReachable(target.to_string());
        let route = self.route(target).await?.ok_or_else(unreachable)?;
        let request = self.notify_request(target, single(notification), None);
        let timeout = self.0.settings.verification_timeout;
        match self.send_along(&route, request, timeout, Patience::UntilTimeout).await {
            Ok(Sent::Answered(response)) if response.is_success() => Ok(()),
            Ok(Sent::Answered(response)) if response.status == Rsc::TargetNotReachable => Err(unreachable()),
            Ok(Sent::Answered(response)) => Err(Error::DeniedByRemoteEntity(response.status.to_string())),
            Ok(Sent::Unanswered | Sent::Unanswerable) | Err(_) => Err(unreachable()),
        }
    }
}

/// Notification targets of one subscription that are asked at the same time.
const VERIFIED_AT_ONCE: usize = 8;

/// The entity that a NOTIFY is for, if the originator may notify it.
async fn notified<Q: Source>(view: &mut View<'_, Q>, cx: &Cx) -> Result<Arc<Node>, Error> {
    let node = match view.resolve(&cx.target).await? {
        Resolved::Resource(node) => node,
        Resolved::Latest(_)
        | Resolved::Oldest(_)
        | Resolved::FanOut(..)
        | Resolved::PollingChannelUri(_)
        | Resolved::Other(..) => {
            let target = format!("virtual resource '{}'", cx.target);
            return Err(Error::OperationNotAllowed { operation: "NOTIFY", target });
        }
    };
    let _permit = view.authorize(&cx.requester, Access::NOTIFY, &node).await?;
    if !matches!(node.ty, Ty::AE | Ty::REMOTE_CSE) {
        let target = format!("'{}'; it is neither an AE nor a CSE that is registered here", node.path);
        return Err(Error::OperationNotAllowed { operation: "NOTIFY", target });
    }
    Ok(node)
}
