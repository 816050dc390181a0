//! Which identifier may be registered under which credential (TS-0010 §8.2, TS-0004 §7.4.5.2.1).

use super::authorize::Requester;
use crate::error::Error;
use crate::settings::Settings;
use crate::value::Text;

/// Checks that the requester's credential, if it has one, stands for an identifier: an AE-ID stem or an SP-relative
/// CSE-ID.
///
/// # Errors
/// [`Error::CredentialNotAllowed`].
pub(crate) fn check(settings: &Settings, requester: &Requester, identifier: &str, is_cse: bool) -> Result<(), Error> {
    let rules = &settings.credentials;
    let allowed = match (&requester.identifier, &requester.credential) {
        (Some(bound), _) => bound == identifier,
        (None, None) => true,
        // No pattern that was meant for devices may lead to the rights of the administrator.
        (None, Some(credential)) if identifier == settings.admin.as_str() => rules.name(credential, identifier),
        (None, Some(credential)) => rules.allow(credential, identifier),
    };
    if allowed {
        return Ok(());
    }
    let credential = requester.credential.as_deref().unwrap_or_default().to_owned();
    Err(Error::CredentialNotAllowed { credential, identifier: identifier.to_owned(), is_cse })
}

/// The credential that the requester has proven to have.
pub(crate) fn proven(requester: &Requester) -> Option<&Text> {
    requester.credential.as_ref().filter(|_| requester.authenticated)
}
