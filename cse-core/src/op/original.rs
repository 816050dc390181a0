//! RETRIEVE with result content 7: the original of an announced resource, from the CSE that hosts it (TS-0004
//! §7.5.2, TS-0001 §8.1.2).

use super::fan_out::Through;
use super::{Cx, discover};
use crate::access::policy::Access;
use crate::address::Resolved;
use crate::cse::Cse;
use crate::error::Error;
use crate::ports::Store;
use crate::primitive::{Request, Response};
use crate::schema::keys;
use crate::value::Text;
use crate::view::{Source, View};

impl<S: Store> Cse<S> {
    /// Reads the original for whoever may read the copy; whether it may read the original is decided there.
    /// That may well be the CSE from which the request comes.
    pub(crate) async fn original(&self, mut request: Request, cx: Cx, mut through: Through) -> Result<Response, Error> {
        let mut read = 0;
        let link = loop {
            let mut view = self.0.view();
            let link = link_of(&mut view, &request, &cx).await;
            if self.learn(view, &mut read, cx.deadline).await.is_some() {
                break link?;
            }
        };
        request.to = match &cx.attribute {
            Some(attribute) => smol_str::format_smolstr!("{link}#{attribute}"),
            None => link,
        };
        // The conditions were those of the copy.
        request.filter_criteria = None;
        request.result_content = None;
        through.is_redirected = true;
        self.forward(request, &cx.requester, cx.deadline, &through).await
    }
}

/// The address of the original that an announced resource stands for, if the originator may read that.
async fn link_of<Q: Source>(view: &mut View<'_, Q>, request: &Request, cx: &Cx) -> Result<Text, Error> {
    let not_announced = || Error::parameter("rcn", "can be 7 (original resource) only for announced resources");
    let Resolved::Resource(copy) = view.resolve(&cx.target).await? else {
        return Err(not_announced());
    };
    let _permit = view.authorize(&cx.requester, Access::RETRIEVE, &copy).await?;
    let link = copy.attributes.text(keys::LINK).filter(|_| copy.ty.is_announced()).ok_or_else(not_announced)?;
    discover::check_condition(view, request, &copy).await?;
    Ok(link.into())
}
