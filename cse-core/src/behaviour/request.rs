//! `<request>`: what the CSE keeps of a request that it has accepted and answers later, and what others may do with it
//! (TS-0004 §7.4.12). The CSE makes and changes it by itself; see [`crate::non_blocking`].

use crate::error::Error;
use crate::resource::Resource;
use crate::schema::Ty;

/// target: what for.
pub(crate) const TARGET: &str = "tg";
/// originator: who asked.
pub(crate) const ORIGINATOR: &str = "org";
/// requestID: the identifier that the originator gave.
pub(crate) const REQUEST_ID: &str = "rid";
/// metaInformation: the parameters.
pub(crate) const META_INFORMATION: &str = "mi";
/// requestStatus, see [`Status`].
pub(crate) const REQUEST_STATUS: &str = "rs";
/// operationResult: the response.
pub(crate) const OPERATION_RESULT: &str = "ors";

/// The whole request, but for its content: what is carried out.
pub(crate) const REQUEST: &str = "@request";
/// What the binding knew of the peer.
pub(crate) const PEER: &str = "@peer";
/// Since when something may have been done that cannot be taken back; not there while that is certainly not so.
pub(crate) const BEGUN: &str = "@begun";

/// How far a request has come (`m2m:requestStatus`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// It was carried out.
    Completed = 1,
    /// It was refused, or could not be carried out.
    Failed = 2,
    /// It is accepted and not carried out yet.
    Pending = 3,
    /// The next CSE has it, and its answer is not here yet.
    Forwarded = 4,
    /// It was carried out, but not all members of a group have answered in time.
    PartiallyCompleted = 5,
}

/// Whether it is a request that has still to be carried out, or whose answer is still to come.
pub(crate) fn is_pending(resource: &Resource) -> bool {
    let status = resource.attributes.int(REQUEST_STATUS);
    resource.ty == Ty::REQUEST && [Status::Pending, Status::Forwarded].iter().any(|open| status == Some(*open as i64))
}

/// Whether the next CSE has it, and its answer is still to come.
pub(crate) fn is_forwarded(resource: &Resource) -> bool {
    resource.attributes.int(REQUEST_STATUS) == Some(Status::Forwarded as i64)
}

/// To delete one that is pending is to recall it, which is too late once others have been asked.
pub(crate) fn check_delete(resource: &Resource) -> Result<(), Error> {
    if is_pending(resource) && resource.attributes.contains(BEGUN) {
        return Err(Error::CannotRecall(resource.id.to_string()));
    }
    Ok(())
}
