//! From which side of the tree a request comes: from an AE or this CSE itself, or from a CSE next to this one. That
//! decides where it may go (TS-0004 §7.3.2.6) and what is known of its identifier.

use super::identifier;
use crate::cse::Cse;
use crate::error::Error;
use crate::id::Originator;
use crate::ports::Store;
use crate::primitive::{Binding, Redelivery, Request};
use crate::value::Text;

/// How often a request is passed on at most. Trees of CSEs are a few levels high, so more hops are a circle.
const HOPS_MAX: u32 = 16;

/// See the module.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// An AE that is registered here, the administrator, this CSE itself or a group of it.
    Here,
    /// The registree or registrar with that CSE-ID.
    Cse(Text),
}

impl<S: Store> Cse<S> {
    /// Whether a request comes from somebody whom this CSE knows.
    ///
    /// # Errors
    /// [`Error::OriginatorNotRegistered`] if it does not.
    pub(crate) fn check_is_known(
        &self,
        request: &Request,
        originator: &Originator,
        privileged: bool,
    ) -> Result<(), Error> {
        self.side_of(request, originator, privileged).map(drop)
    }

    /// From which side a request comes.
    ///
    /// # Errors
    /// [`Error::OriginatorNotRegistered`] if it comes from nobody who is registered here, or with whom this CSE is.
    pub(super) fn side_of(&self, request: &Request, originator: &Originator, privileged: bool) -> Result<Side, Error> {
        if privileged || self.is_of_here(originator) {
            return Ok(Side::Here);
        }
        let neighbour = self.neighbour(request, originator).map(Side::Cse);
        neighbour.ok_or_else(|| Error::OriginatorNotRegistered(originator.to_string()))
    }

    /// Whether an originator is an AE that is registered here.
    fn is_of_here(&self, originator: &Originator) -> bool {
        originator.is_ae_stem() && self.0.registrations.has_ae(originator.as_str())
    }

    /// Refuses a request that a CSE passes on in the name of an AE that is registered here under an S-type AE-ID, or of
    /// the administrator of such a name: bindings cannot tell them from those of elsewhere.
    ///
    /// # Errors
    /// [`Error::OriginatorMismatch`].
    pub(crate) fn check_comes_from(&self, request: &Request, originator: &Originator) -> Result<(), Error> {
        let Some(sender) = request.context.sender.as_deref().filter(|sender| sender.starts_with('/')) else {
            return Ok(());
        };
        let is_of_here = || self.is_of_here(originator) || *originator == self.0.settings.admin;
        if originator.is_service_level() && is_of_here() {
            let text = format!("'{sender}' may not speak for '{originator}', which belongs to this CSE");
            return Err(Error::OriginatorMismatch(text));
        }
        Ok(())
    }

    /// The CSE next to this one from which a request comes; `None` if it comes from none.
    fn neighbour(&self, request: &Request, originator: &Originator) -> Option<Text> {
        let identity = &self.0.settings.identity;
        if let Some(sender) = &request.context.sender {
            let sender = identity.canonical_originator(sender).text().clone();
            return self.is_neighbour(&sender).then_some(sender);
        }
        // The binding does not know, so what it has to be: the tree has one way to each originator. An S-type AE-ID does
        // not say where its AE is; then the identifier does, if the CSE that passes it on is one like this.
        if originator.is_service_level() {
            let made = identifier::read(&request.request_identifier)?;
            let by = smol_str::format_smolstr!("/{}", made.by);
            return self.is_neighbour(&by).then_some(by);
        }
        let cse_id = identity.cse_id_of(originator.as_str()).filter(|cse_id| *cse_id != identity.cse_id)?;
        self.next_hop(&cse_id).map(|hop| hop.cse_id)
    }

    /// The CSE that a request says it comes from, whether it is known here or not.
    fn claimed(&self, request: &Request, originator: &Originator) -> Option<Text> {
        let identity = &self.0.settings.identity;
        match &request.context.sender {
            Some(sender) => Some(identity.canonical_originator(sender).text().clone()),
            None => identity.cse_id_of(originator.as_str()),
        }
    }

    /// Whether a CSE is registered here, or this one with it.
    fn is_neighbour(&self, cse_id: &str) -> bool {
        let registrations = &self.0.registrations;
        registrations.registrar().is_some_and(|hop| hop.cse_id == cse_id)
            || registrations.next_hop(cse_id).is_some_and(|hop| hop.cse_id == cse_id)
    }

    /// Whether a request may be a redelivery, with what its identifier says of that. AEs may use one identifier for
    /// everything. But what a CSE next to this one has made is used once, so an equal request under it is the
    /// same one: that CSE repeats it when it does not know what became of the first. One whose registration has expired
    /// meanwhile does so all the same.
    pub(crate) fn redelivery_of(&self, request: &Request, originator: &Originator) -> Redelivery {
        let given = request.context.redelivery;
        if !self.is_of_here(originator)
            && let Some(made) = identifier::read(&request.request_identifier)
            && (self.neighbour(request, originator).is_some_and(|neighbour| made.by == base_of(&neighbour))
                || self.claimed(request, originator).is_some_and(|cse_id| made.by == base_of(&cse_id)))
        {
            return Redelivery::UsedOnce;
        }
        given
    }

    /// How often a request has been passed on before it came here. CSEs that give no identifiers of their own count
    /// as one.
    ///
    /// # Errors
    /// [`Error::NoRoute`] when it goes round in a circle.
    pub(super) fn passed_on_before(&self, request: &Request, side: &Side) -> Result<u32, Error> {
        let no_route = |why| Error::NoRoute { target: request.to.to_string(), why };
        let made = identifier::read(&request.request_identifier);
        let made = made.filter(|_| request.context.binding != Binding::Internal);
        let has_come_back = made.is_some_and(|made| {
            let is_of_neighbour = || self.is_neighbour(&smol_str::format_smolstr!("/{}", made.by));
            made.by == self.0.settings.identity.base_id() || (*side == Side::Here && is_of_neighbour())
        });
        if has_come_back {
            return Err(no_route("the request has come back to the CSE that passed it on"));
        }
        let Side::Cse(neighbour) = side else {
            return Ok(0);
        };
        let count = made.filter(|made| made.by == base_of(neighbour)).map_or(1, |made| made.passed_on);
        if count >= HOPS_MAX {
            return Err(no_route("it was passed on too often; the registrars of some CSEs may form a circle"));
        }
        Ok(count)
    }
}

/// A CSE-ID without its slash, and without its service provider.
fn base_of(cse_id: &str) -> &str {
    cse_id.rsplit('/').next().unwrap_or(cse_id)
}
