//! Names of the HTTP headers of TS-0009 §6.4, and reading one safely.

use cse_core::error::Error;
use http::HeaderMap;
use http::header::HeaderName;

pub(crate) const ORIGIN: HeaderName = HeaderName::from_static("x-m2m-origin");
pub(crate) const REQUEST_IDENTIFIER: HeaderName = HeaderName::from_static("x-m2m-ri");
pub(crate) const RELEASE_VERSION: HeaderName = HeaderName::from_static("x-m2m-rvi");
pub(crate) const RESPONSE_STATUS: HeaderName = HeaderName::from_static("x-m2m-rsc");
pub(crate) const ORIGINATING_TIMESTAMP: HeaderName = HeaderName::from_static("x-m2m-ot");
pub(crate) const REQUEST_EXPIRATION: HeaderName = HeaderName::from_static("x-m2m-ret");
pub(crate) const RESULT_EXPIRATION: HeaderName = HeaderName::from_static("x-m2m-rst");
pub(crate) const OPERATION_EXECUTION: HeaderName = HeaderName::from_static("x-m2m-oet");
pub(crate) const RESPONSE_TYPE_URIS: HeaderName = HeaderName::from_static("x-m2m-rtu");
pub(crate) const EVENT_CATEGORY: HeaderName = HeaderName::from_static("x-m2m-ec");
pub(crate) const GROUP_REQUEST: HeaderName = HeaderName::from_static("x-m2m-gid");
pub(crate) const VENDOR_INFORMATION: HeaderName = HeaderName::from_static("x-m2m-vsi");
pub(crate) const CONTENT_STATUS: HeaderName = HeaderName::from_static("x-m2m-cts");
pub(crate) const CONTENT_OFFSET: HeaderName = HeaderName::from_static("x-m2m-cto");
pub(crate) const AUTHORIZATION_SIGNATURES: HeaderName = HeaderName::from_static("x-m2m-as");
pub(crate) const SERVICE_USER: HeaderName = HeaderName::from_static("x-m2m-msu");
/// Not of oneM2M: see [`crate::order`].
pub(crate) const ORDER: HeaderName = HeaderName::from_static("x-cse-order");
pub(crate) const ONTOLOGY_MAPPING: HeaderName = HeaderName::from_static("x-m2m-omr");

/// The header's text without blanks around it; `None` when it is absent.
///
/// # Errors
/// Given more than once (which of the two counts would be a guess), or not UTF-8.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::parameter(name.as_str(), "is given more than once"));
    }
    std::str::from_utf8(value.as_bytes())
        .map(|text| Some(text.trim()))
        .map_err(|_| Error::parameter(name.as_str(), "is not UTF-8 text"))
}
