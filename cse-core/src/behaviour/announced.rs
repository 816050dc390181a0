//! Announced resources: copies of what other CSEs host (TS-0001 §9.6.26, TS-0004 §7.3.3.10).
//!
//! Only the CSE of the original writes a copy, whatever policies say. It also names no copy: names follow from
//! the original, so that a CSE that repeats an announcement, because it never learned what became of the
//! first, gets the copy that is there.

use std::sync::Arc;

use crate::access::authorize::Requester;
use crate::digest;
use crate::error::Error;
use crate::id::{CseIdentity, Originator, is_resource_name};
use crate::node::Node;
use crate::schema::{Ty, Virtual, keys};
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

/// Bytes of the original's identifier that appear in the name of a copy.
const READABLE_MAX: usize = 64;

/// Whether the requester may announce something below `parent` without being asked for privileges: to its own copies,
/// and to begin with under the CSEBase. `None` where policies decide.
pub(crate) async fn may_create<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    parent: &Node,
    child: Ty,
) -> Result<Option<bool>, Error> {
    let originator = &requester.originator;
    let identity = view.identity();
    let is_other_cse = identity.cse_id_of(originator.as_str()).as_deref() == Some(originator.as_str())
        && originator.as_str() != identity.cse_id;
    if !is_other_cse {
        return Ok(Some(false));
    }
    if parent.ty.is_announced() {
        return Ok(Some(parent.creator == *originator));
    }
    match parent.ty {
        Ty::CSE_BASE if child == Ty::CSE_BASE.announced() => view.knows_cse(originator).await.map(Some),
        // Where Release 1 and 2 announce to.
        Ty::REMOTE_CSE if parent.attributes.text(keys::CSE_ID) == Some(originator.as_str()) => Ok(Some(true)),
        _ => Ok(None),
    }
}

impl<Q: Source> View<'_, Q> {
    /// Whether a CSE is registered here, this one with it, or it is below one that is.
    pub(crate) async fn knows_cse(&mut self, cse: &Originator) -> Result<bool, Error> {
        if self.registration(cse).await?.is_some() {
            return Ok(true);
        }
        let base = self.base().await?;
        let neighbours = self.children(&base, &[Ty::REMOTE_CSE], crate::id::Seq::START, NEIGHBOURS_MAX).await?;
        let identity = self.identity();
        Ok(neighbours.iter().any(|neighbour| {
            let is_registrar = self
                .settings
                .registrar_id()
                .is_some_and(|registrar| neighbour.attributes.text(keys::CSE_ID) == Some(registrar.as_str()));
            let mut below = neighbour.attributes.texts(keys::DESCENDANT_CSES);
            // Whatever is not below comes from above.
            (is_registrar || below.any(|id| identity.cse_id_of(id).as_deref() == Some(cse.as_str())))
                && !neighbour.is_expired(self.now)
        }))
    }
}

/// CSEs next to this one that are looked at for one below them.
const NEIGHBOURS_MAX: usize = 10_000;

/// Whether that requester wrote the copy, and so may change and delete it.
pub(crate) fn is_of(copy: &Node, requester: &Requester) -> bool {
    copy.creator == requester.originator
}

/// `ast` of originals that take changes of their copies: BI_DIRECTIONAL (TS-0001 §9.6.26).
pub(crate) const BI_DIRECTIONAL: i64 = 2;

/// Whether others than the CSE of the original may change it through this copy, if the copy's policies let them.
pub(crate) fn takes_updates(copy: &Node) -> bool {
    copy.attributes.int(keys::ANNOUNCE_SYNC_TYPE) == Some(BI_DIRECTIONAL)
}

/// Checks what a copy says of its original: a resource of the CSE that announces it.
///
/// # Errors
/// [`Error::InvalidAttribute`].
pub(crate) fn check(identity: &CseIdentity, creator: &Originator, attributes: &Map) -> Result<(), Error> {
    let link = attributes.text(keys::LINK).unwrap_or_default();
    if identity.cse_id_of(link).as_deref() == Some(creator.as_str()) {
        return Ok(());
    }
    let problem = format!("(link) must name a resource of '{creator}', which announces it, found '{link}'");
    Err(Error::attribute(keys::LINK, problem))
}

/// The name of the copy of an original below one parent: the same whenever it is asked for.
pub(crate) fn name(creator: &Originator, attributes: &Map) -> Text {
    let link = attributes.text(keys::LINK).unwrap_or_default();
    let identity = Value::text_list([creator.as_str(), link]);
    let hash = digest::of_value(&identity);
    let last = link.rsplit('/').next().unwrap_or_default();
    if last.len() <= READABLE_MAX && is_resource_name(last) && Virtual::from_short_name(last).is_none() {
        smol_str::format_smolstr!("{last}-{hash:016x}")
    } else {
        smol_str::format_smolstr!("annc-{hash:016x}")
    }
}

/// The copy that is there already when the same CSE announces the same original again.
pub(crate) async fn existing<Q: Source>(
    view: &mut View<'_, Q>,
    parent: &Node,
    ty: Ty,
    creator: &Originator,
    attributes: &Map,
) -> Result<Option<Arc<Node>>, Error> {
    let found = view.child(parent, &name(creator, attributes)).await?;
    let link = attributes.text(keys::LINK);
    Ok(found.filter(|copy| {
        copy.ty == ty
            && copy.creator == *creator
            && copy.attributes.text(keys::LINK) == link
            && !copy.is_expired(view.now)
    }))
}
