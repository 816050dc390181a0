//! From which side of the tree a request comes: from an AE or this CSE itself, or from a CSE next to this one. That
//! decides where it may go (TS-0004 §7.3.2.6) and what is known of its identifier.
//!
//! What an AE registered here asks may come back through the CSE that it was passed on to, in its name: from a group
//! there with members here (TS-0004 §7.4.14.2.4), or for the original of a copy there. So that CSE speaks for
//! the AE, exactly as long as it has a request of it.

use super::identifier;
use crate::cse::Cse;
use crate::error::Error;
use crate::id::Originator;
use crate::ports::Store;
use crate::primitive::{Binding, Operation, Redelivery, Request};
use crate::schema::Ty;
use crate::settings::Settings;
use crate::value::Text;

/// How often a request is passed on at most. Trees of CSEs are a few levels high, so more hops are a circle.
const HOPS_MAX: u32 = 16;

/// See the module.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// An AE that is registered here, the administrator, this CSE itself or a group of it; and nobody in between.
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
            return Ok(self.comes_back_from(request, originator).map_or(Side::Here, Side::Cse));
        }
        let neighbour = self.neighbour(request, originator).map(Side::Cse);
        neighbour.ok_or_else(|| Error::OriginatorNotRegistered(originator.to_string()))
    }

    /// Whether an originator is an AE that is registered here.
    fn is_of_here(&self, originator: &Originator) -> bool {
        originator.is_ae_stem() && self.0.registrations.has_ae(originator.as_str())
    }

    /// Refuses a request that a CSE passes on in the name of somebody who belongs to this CSE, unless it comes back.
    ///
    /// # Errors
    /// [`Error::OriginatorMismatch`].
    pub(crate) fn check_comes_from(&self, request: &Request, originator: &Originator) -> Result<(), Error> {
        match self.comes_back_from(request, originator) {
            Some(sender) if !self.may_come_back(&sender, request, originator) => {
                tracing::warn!(%sender, %originator, "a CSE speaks for somebody who belongs to this one");
                let text = format!("'{sender}' may not speak for '{originator}', which belongs to this CSE");
                Err(Error::OriginatorMismatch(text))
            }
            _ => Ok(()),
        }
    }

    /// The CSE that passes on a request in the name of somebody who belongs to this CSE; `None` if nobody does.
    fn comes_back_from(&self, request: &Request, originator: &Originator) -> Option<Text> {
        let Settings { identity, admin, .. } = &self.0.settings;
        let is_known_here = || self.is_of_here(originator) || originator == admin;
        let Some(sender) = &request.context.sender else {
            // The binding does not know. AEs name themselves by their stems.
            let is_between_cses = request.context.binding != Binding::Internal
                && request.from.as_ref().is_some_and(|from| from.starts_with('/'));
            return if is_between_cses && is_known_here() { self.maker(request) } else { None };
        };
        if !sender.starts_with('/') {
            return None;
        }
        // Whom a credential may register is decided with the registration. An S-type AE-ID does not say where its AE is.
        let belongs_here = if is_by_credential(request) || originator.is_service_level() {
            originator.is_service_level() && is_known_here()
        } else {
            !originator.as_str().starts_with('/') || originator.as_str() == identity.cse_id
        };
        belongs_here.then(|| identity.canonical_originator(sender).text().clone())
    }

    /// Whether a CSE may speak for an originator that belongs to this one: for an AE that is registered here, while a
    /// request of it is there.
    fn may_come_back(&self, sender: &Text, request: &Request, originator: &Originator) -> bool {
        let registers =
            request.operation == Operation::Create && matches!(request.resource_type, Some(Ty::AE | Ty::REMOTE_CSE));
        let form = if sender.starts_with("//") { "//" } else { "/" };
        !registers
            && request.from.as_ref().is_some_and(|from| from.starts_with(form))
            && *originator != self.0.settings.admin
            && self.is_of_here(originator)
            && self.0.places.has(sender, originator)
    }

    /// The CSE next to this one that has made the identifier of a request, as far as it says so.
    fn maker(&self, request: &Request) -> Option<Text> {
        let made = identifier::read(&request.request_identifier)?;
        let by = smol_str::format_smolstr!("/{}", made.by);
        self.is_neighbour(&by).then_some(by)
    }

    /// The CSE next to this one from which a request comes; `None` if it comes from none.
    fn neighbour(&self, request: &Request, originator: &Originator) -> Option<Text> {
        let identity = &self.0.settings.identity;
        if let Some(sender) = &request.context.sender {
            let sender = identity.canonical_originator(sender).text().clone();
            return self.is_neighbour(&sender).then_some(sender);
        }
        // The binding does not know, so what it has to be: the tree has one way to each originator. An S-type AE-ID does
        // not say where its AE is, and what was passed on may come back; then the identifier says who passes it on, if
        // that is a CSE like this.
        let maker = self.maker(request);
        if originator.is_service_level() {
            return maker;
        }
        if let Some(maker) = maker.filter(|maker| self.0.places.has(maker, originator)) {
            return Some(maker);
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
        let has_made = |made: &identifier::Made<'_>| {
            let is_it = |cse_id: Option<Text>| cse_id.is_some_and(|cse_id| made.by == base_of(&cse_id));
            match self.is_of_here(originator) {
                true => is_it(self.comes_back_from(request, originator)),
                false => is_it(self.neighbour(request, originator)) || is_it(self.claimed(request, originator)),
            }
        };
        match identifier::read(&request.request_identifier).filter(has_made) {
            Some(_) => Redelivery::UsedOnce,
            None => request.context.redelivery,
        }
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

/// Whether this is the registration of whoever has the credential under which it comes, or of an AE that has no
/// identifier yet.
fn is_by_credential(request: &Request) -> bool {
    let registers = |ty| request.operation == Operation::Create && request.resource_type == Some(ty);
    let has_none = || matches!(request.from.as_deref(), None | Some("" | "C" | "S"));
    match request.context.registrant {
        Some(_) => registers(Ty::AE) || registers(Ty::REMOTE_CSE),
        None => registers(Ty::AE) && has_none(),
    }
}

/// A CSE-ID without its slash, and without its service provider.
fn base_of(cse_id: &str) -> &str {
    cse_id.rsplit('/').next().unwrap_or(cse_id)
}
