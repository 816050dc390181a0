//! What is remembered of a request, so that it has one effect however often it is delivered: its answer or, while
//! there is none, under which identifier it was passed on to another CSE, or will be.

mod lasting;

use std::time::Duration;

pub(crate) use self::lasting::Recent;

use crate::error::Error;
use crate::ports::{Reply, ReplyKey, Snapshot};
use crate::primitive::{Redelivery, Response};
use crate::time::Timestamp;
use crate::value::{Map, Text};
use crate::view::{Source, View, failed};

/// The members that tell identifiers from a response primitive; no response has members of that form.
const PASSED_ON: &str = "@passed-on";
const KEPT_BACK: &str = "@kept-back";

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// This was the answer.
    Answered(Response),
    /// It went to another CSE under this identifier, and no answer is known.
    PassedOn(Text),
    /// It was to go to another CSE under this identifier, and did not leave.
    KeptBack(Text),
}

impl Record {
    /// As stores keep it.
    pub(crate) fn into_map(self) -> Map {
        match self {
            Self::Answered(response) => response.into_map(),
            Self::PassedOn(identifier) => Map::single(PASSED_ON, identifier),
            Self::KeptBack(identifier) => Map::single(KEPT_BACK, identifier),
        }
    }

    /// As stores keep it, with what makes it last if the request came from a CSE that made its identifier.
    pub(crate) fn into_reply(self, key: ReplyKey, at: Timestamp, made_by: Option<&str>) -> Reply {
        let mut response = self.into_map();
        if let Some(cse) = made_by {
            lasting::mark(&mut response, cse, at);
        }
        Reply { key, at, response }
    }

    /// # Errors
    /// [`Error`] when the map is none of them.
    fn from_map(mut map: Map) -> Result<Self, Error> {
        lasting::unmark(&mut map);
        match (map.text(PASSED_ON), map.text(KEPT_BACK)) {
            (Some(identifier), _) => Ok(Self::PassedOn(identifier.into())),
            (None, Some(identifier)) => Ok(Self::KeptBack(identifier.into())),
            (None, None) => Response::from_map(map).map(Self::Answered),
        }
    }
}

/// For how long back an equal request counts as the same one; `None` if this is a new one in any case.
pub(crate) fn window(redelivery: Redelivery, lifetime: Duration) -> Option<Duration> {
    match redelivery {
        Redelivery::Never | Redelivery::New => None,
        Redelivery::Possible => Some(lifetime),
        Redelivery::PossibleWithin(window) => Some(window.min(lifetime)),
        Redelivery::UsedOnce => Some(lasting::LASTING_MAX),
    }
}

/// What is remembered of an equal request, if this may be a redelivery of it, and since when.
///
/// # Errors
/// [`Error::Internal`] when the store fails.
pub(crate) async fn earlier<Q: Source>(
    view: &mut View<'_, Q>,
    key: ReplyKey,
    redelivery: Redelivery,
) -> Result<Option<(Timestamp, Record)>, Error> {
    let Some(window) = window(redelivery, view.settings.reply_lifetime) else {
        return Ok(None);
    };
    let known = latest(view, key).await?.filter(|reply| view.now <= reply.at.plus(window));
    known.map(|reply| Ok((reply.at, Record::from_map(reply.response)?))).transpose()
}

/// Under which identifier the request was passed on last, if that is what is remembered of it.
///
/// # Errors
/// [`Error::Internal`] when the store fails.
pub(crate) async fn passed_on<Q: Source>(view: &mut View<'_, Q>, key: ReplyKey) -> Result<Option<Text>, Error> {
    let known = latest(view, key).await?;
    Ok(known.and_then(|reply| reply.response.text(PASSED_ON).map(Text::from)))
}

async fn latest<Q: Source>(view: &mut View<'_, Q>, key: ReplyKey) -> Result<Option<Reply>, Error> {
    if let Some(reply) = view.source.overlay().and_then(|overlay| overlay.reply(key)) {
        return Ok(Some(reply.clone()));
    }
    view.source.query().await.map_err(failed)?.reply(key).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Rsc;

    #[test]
    fn all_kinds_survive_the_store() {
        let (answer, identifier) = (Response::new(Rsc::Created, "r1"), Text::new_static("id-mn-1-0"));
        for record in [Record::Answered(answer), Record::PassedOn(identifier.clone()), Record::KeptBack(identifier)] {
            assert_eq!(Record::from_map(record.clone().into_map()).expect("one of them"), record);
        }
    }
}
