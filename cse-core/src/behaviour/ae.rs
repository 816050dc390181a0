//! `<AE>`: registration (TS-0004 §7.4.5.2.1, TS-0001 §10.2.2.2).

use super::points_of_access;
use crate::access::authorize::Requester;
use crate::error::Error;
use crate::id::{Originator, is_unreserved};
use crate::op::Draft;
use crate::primitive::ReleaseVersion;
use crate::schema::keys;
use crate::settings::Settings;
use crate::value::{Map, Text, Value};

/// What an originator asks for when it registers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// The CSE chooses a stem that begins with this letter.
    Any(char),
    /// This stem.
    Stem(Text),
}

impl Wanted {
    /// Reads `From` of a registration; absent and empty leave the choice to the CSE.
    ///
    /// # Errors
    /// For what is no AE-ID stem.
    pub(crate) fn of(from: Option<&str>, requester: &Requester, settings: &Settings) -> Result<Self, Error> {
        let identity = &settings.identity;
        if let Some(bound) = requester.identifier.as_ref().filter(|bound| !bound.contains('/'))
            && matches!(from, None | Some("" | "C" | "/C" | "S" | "/S"))
        {
            // TS-0010 §8.2: the credential says which AE-ID it is to be.
            return Ok(Self::Stem(bound.clone()));
        }
        match from {
            None | Some("" | "C" | "/C") => Ok(Self::Any('C')),
            Some("S" | "/S") => Ok(Self::Any('S')),
            Some(text) => {
                let originator = identity.canonical_originator(text);
                if !originator.is_ae_stem() {
                    if originator == settings.admin {
                        return Ok(Self::Stem(originator.text().clone()));
                    }
                    return Err(Error::parameter(
                        "fr",
                        format!("'{text}' is no AE-ID stem; it begins with C or S and has no '/', or is C, S or empty"),
                    ));
                }
                if !is_unreserved(originator.as_str()) || originator.as_str().len() > 128 {
                    return Err(Error::parameter(
                        "fr",
                        "an AE-ID stem has at most 128 letters, digits, '-', '.', '_' and '~'",
                    ));
                }
                Ok(Self::Stem(originator.text().clone()))
            }
        }
    }
}

/// Release 1 knows no `srv`, later ones demand it.
pub(crate) fn supplement_release_1(content: &mut Map, release: Option<ReleaseVersion>) {
    if release.is_none_or(|release| release == ReleaseVersion::R1)
        && let Some((root, Value::Map(attributes))) = content.only()
        && !attributes.contains(keys::SUPPORTED_RELEASE_VERSIONS)
    {
        let mut attributes = attributes.clone();
        attributes.insert(keys::SUPPORTED_RELEASE_VERSIONS, Value::text_list(["1"]));
        *content = Map::single(root.clone(), attributes);
    }
}

pub(crate) fn before_create(draft: &mut Draft) -> Result<(), Error> {
    let app_id = draft.attributes.text(keys::APP_ID).unwrap_or_default();
    if !matches!(app_id.as_bytes().first(), Some(b'N' | b'R' | b'r')) {
        return Err(Error::attribute(
            keys::APP_ID,
            "(App-ID) must begin with N (not registered with an authority) or R (registered)",
        ));
    }
    points_of_access(&draft.attributes)?;
    draft.attributes.insert(keys::AE_ID, draft.id.clone());
    // The AE owns its registration, whoever the request names.
    draft.creator = Originator::from_canonical(draft.id.clone());
    Ok(())
}

pub(crate) fn before_update(attributes: &Map) -> Result<(), Error> {
    points_of_access(attributes)
}
