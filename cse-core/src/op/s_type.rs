//! AE-IDs of the service provider (S-type) at an MN-CSE or ASN-CSE: the IN-CSE gives them, keeps an `<AEAnnc>` for each, and so
//! knows at which CSE the AE is (TS-0001 §10.2.2.2, TS-0004 §7.4.5.2.1). See [`super::s_record`] for its side.
//!
//! A registration asks the IN-CSE when nothing else is in its way, and is decided again with the stem that came back. The
//! question is the same however often the registration is delivered, and so is its answer.
//!
//! A CSE without registrar has no IN-CSE to ask, and gives such stems by itself.

use super::{Answers, Draft, Question};
use crate::access::authorize::Requester;
use crate::access::credential;
use crate::cse::Cse;
use crate::digest;
use crate::error::{Error, Rsc};
use crate::id::{CseType, Originator, is_unreserved};
use crate::op::Cx;
use crate::op::fan_out::Through;
use crate::op::s_record::{self, ANY};
use crate::ports::{ReplyKey, Store};
use crate::primitive::{Operation, Redelivery, Request, Response, ResultContent};
use crate::schema::{Ty, keys};
use crate::settings::Settings;
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

/// The root element of an `<AEAnnc>`.
const ROOT: &str = "m2m:aeA";
/// A record is asked to live as long as its host lets it: it outlives the registration.
const FOR_EVER: &str = "99991231T235959";
/// What begins the label that says under which credential an AE is registered.
pub(super) const CREDENTIAL_LABEL: &str = "Credential-ID:";

/// What the IN-CSE is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    in_cse: Text,
    /// The stem that the AE wants, or [`ANY`].
    stem: Text,
    app_id: Text,
    credential: Text,
    /// Of the registration; tells its repetitions.
    key: ReplyKey,
    redelivery: Redelivery,
    expiration: Option<AbsRelTimestamp>,
}

/// Whether this CSE has S-type stems from an IN-CSE.
pub(crate) fn are_given_above(settings: &Settings) -> bool {
    let registrar = settings.registrar.as_ref();
    settings.identity.cse_type != CseType::In && registrar.is_some_and(|registrar| !registrar.is_foreign())
}

/// Whether this CSE needs the IN-CSE's word for that stem. The administrator is of this CSE alone.
pub(crate) fn is_given_above(settings: &Settings, stem: &str) -> bool {
    stem.starts_with('S') && stem != settings.admin.as_str() && are_given_above(settings)
}

/// The IN-CSE of the service provider, as far as it is known.
pub(crate) async fn in_cse<Q: Source>(view: &mut View<'_, Q>) -> Result<Option<Text>, Error> {
    let identity = view.identity();
    let named = |attributes: &Map| attributes.text(keys::IN_CSE_ID).and_then(|id| identity.canonical_cse_id(id));
    let base = view.base().await?;
    if let Some(id) = named(&base.attributes) {
        return Ok(Some(id));
    }
    let Some(registrar) = view.settings.registrar_id() else { return Ok(None) };
    let Some(node) = view.registration(&registrar).await? else { return Ok(None) };
    let is_at_the_top = node.attributes.int(keys::CSE_TYPE).is_none_or(|kind| kind == CseType::In as i64);
    Ok(named(&node.attributes).or_else(|| is_at_the_top.then(|| registrar.text().clone())))
}

/// What the IN-CSE has to be asked before an AE is registered, if anything.
///
/// # Errors
/// [`Error::NotReachable`] while it is not known which CSE that is.
pub(super) async fn question<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    draft: &Draft,
    answers: &Answers,
) -> Result<Option<Question>, Error> {
    if draft.ty != Ty::AE || answers.stem.is_some() || !is_given_above(view.settings, &draft.id) {
        return Ok(None);
    }
    let unknown = || Error::NotReachable("the IN-CSE, which gives AE-IDs that begin with S".into());
    let in_cse = in_cse(view).await?.ok_or_else(unknown)?;
    let redelivery = match request.context.redelivery {
        // Another device may say the same words; see `earlier_answer` of the writer.
        Redelivery::PossibleWithin(_) if draft.id == ANY && request.context.registrant.is_none() => Redelivery::Never,
        other => other,
    };
    Ok(Some(Question::Stem(Box::new(Asked {
        in_cse,
        stem: draft.id.clone(),
        app_id: draft.attributes.text(keys::APP_ID).unwrap_or_default().into(),
        credential: credential::proven(&cx.requester).cloned().unwrap_or_default(),
        key: digest::of(request),
        redelivery,
        expiration: request.request_expiration,
    }))))
}

impl<S: Store> Cse<S> {
    /// Has the IN-CSE give a stem, or agree to one; it has a record of it then.
    ///
    /// # Errors
    /// [`Error::AlreadyRegistered`], [`Error::NotReachable`], [`Error::Expired`], and [`Error::RefusedAbove`] for whatever else it
    /// answers.
    pub(crate) async fn ask_for_stem(&self, asked: &Asked, deadline: Timestamp) -> Result<Text, Error> {
        if asked.stem != ANY {
            // Whether there is a record from an earlier registration shows when it is to be changed.
            let response = self.send_about(self.taking(asked, Operation::Update), &asked.stem, deadline).await?;
            match response.status {
                status if status.is_success() => return Ok(asked.stem.clone()),
                Rsc::NotFound => {}
                _ => return Err(refused(asked, &response)),
            }
        }
        let response = self.send_about(self.taking(asked, Operation::Create), &asked.stem, deadline).await?;
        if !response.is_success() {
            return Err(refused(asked, &response));
        }
        let given = stem_in(&response).filter(|given| asked.stem == ANY || *given == asked.stem);
        given.ok_or_else(|| Error::RefusedAbove {
            by: asked.in_cse.to_string(),
            status: Rsc::InternalServerError,
            reason: "its answer names no stem, or another one".into(),
        })
    }

    fn taking(&self, asked: &Asked, operation: Operation) -> Request {
        let mut attributes = Map::new();
        attributes.insert(keys::LINK, self.0.settings.identity.sp_relative(&asked.stem));
        if operation == Operation::Create {
            attributes.insert(keys::APP_ID, asked.app_id.clone());
        }
        attributes.insert(keys::LABELS, Value::text_list([format!("{CREDENTIAL_LABEL}{}", asked.credential)]));
        attributes.insert(keys::EXPIRATION_TIME, FOR_EVER);
        let identifier = smol_str::format_smolstr!("stem-{:032x}", asked.key.0);
        let mut request = about_record(operation, &asked.in_cse, &asked.stem, attributes, identifier);
        request.request_expiration = asked.expiration;
        request.context.redelivery = asked.redelivery;
        request
    }

    /// Sends a request about the record of a stem to the IN-CSE, in the name that is due: that of the AE at this CSE.
    pub(crate) async fn send_about(
        &self,
        mut request: Request,
        stem: &str,
        deadline: Timestamp,
    ) -> Result<Response, Error> {
        let originator = Originator::from_canonical(self.0.settings.identity.sp_relative(stem));
        request.from = Some(originator.text().clone());
        let to = request.to.clone();
        let requester = Requester {
            originator,
            privileged: true,
            address: None,
            authenticated: false,
            credential: None,
            identifier: None,
        };
        match Box::pin(self.forward(request, &requester, deadline, &Through::default())).await {
            Err(Error::NoRoute { .. }) => Err(Error::NotReachable(to.to_string())),
            outcome => outcome,
        }
    }

    /// Where a request goes on that is meant for an AE by its S-type AE-ID, if that AE is not registered here: from an IN-CSE
    /// to the CSE that its record names, from elsewhere to the IN-CSE. `to` is the address as it was given: what names this CSE
    /// itself, as records do, goes nowhere else.
    ///
    /// # Errors
    /// [`Error::NotReachable`] for an AE that is registered nowhere now.
    pub(crate) async fn stem_elsewhere(&self, local: &str, to: &str) -> Result<Option<Text>, Error> {
        let settings = &self.0.settings;
        if !settings.identity.stem_of_service_level(local) {
            return Ok(None);
        }
        let mut view = self.0.view();
        match view.plain(local).await? {
            Some(node) if s_record::is_record(&node) => match s_record::registrar_link(&node) {
                Some(link) => Ok(Some(link)),
                None => Err(Error::NotReachable(local.to_owned())),
            },
            None if is_given_above(settings, local)
                && !(to.starts_with('/') && settings.identity.local_part(to).is_some()) =>
            {
                Ok(in_cse(&mut view).await?.map(|host| smol_str::format_smolstr!("{host}/{local}")))
            }
            _ => Ok(None),
        }
    }
}

/// An UPDATE that has the record of a stem say whether the AE is at this CSE.
pub(crate) fn telling(in_cse: &str, stem: &str, link: Text, identifier: Text) -> Request {
    let mut attributes = Map::single(keys::LINK, link);
    attributes.insert(keys::EXPIRATION_TIME, FOR_EVER);
    about_record(Operation::Update, in_cse, stem, attributes, identifier)
}

fn about_record(operation: Operation, in_cse: &str, stem: &str, attributes: Map, identifier: Text) -> Request {
    let to = match stem {
        ANY => smol_str::format_smolstr!("{in_cse}/-"),
        stem => smol_str::format_smolstr!("{in_cse}/{stem}"),
    };
    let mut request = Request::new(operation, to, "", identifier);
    request.content = Some(Map::single(ROOT, attributes));
    if operation == Operation::Create {
        request.resource_type = Some(Ty::AE.announced());
        request.result_content = Some(ResultContent::Attributes);
    } else {
        request.result_content = Some(ResultContent::Nothing);
    }
    request
}

/// The stem in an answer to a CREATE: the identifier of the record.
fn stem_in(response: &Response) -> Option<Text> {
    let (_, record) = response.content.as_ref()?.only()?;
    let id = record.as_map()?.text(keys::RESOURCE_ID)?;
    let stem = id.rsplit('/').next()?;
    let is_stem = stem.len() > 1 && stem.len() <= s_record::STEM_MAX && stem.starts_with('S') && is_unreserved(stem);
    is_stem.then(|| stem.into())
}

fn refused(asked: &Asked, response: &Response) -> Error {
    match response.status {
        Rsc::OriginatorHasAlreadyRegistered => Error::AlreadyRegistered(asked.stem.to_string()),
        Rsc::TargetNotReachable | Rsc::NotFound => Error::NotReachable(asked.in_cse.to_string()),
        status => Error::RefusedAbove {
            by: asked.in_cse.to_string(),
            status,
            reason: response.debug_text().unwrap_or_default().to_owned(),
        },
    }
}
