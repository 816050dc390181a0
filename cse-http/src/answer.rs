//! How an answer is to be written, found out before the request is understood, so that refusals are right too.

use cse_core::error::Error;
use cse_core::primitive::{DecodeFailure, ReleaseVersion, Response};
use cse_core::value::Text;
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use crate::header;
use crate::negotiation::{Answer, Formats};

/// What an answer repeats of its request, and its format.
#[derive(Clone, Debug)]
pub(crate) struct AnswerForm {
    /// Where there is none, `X-M2M-RI` is left out of the refusal.
    pub(crate) request_identifier: Option<Text>,
    pub(crate) release_version: Option<ReleaseVersion>,
    pub(crate) format: Answer,
    /// Whether a whole response primitive has its root name around it, as its request had.
    pub(crate) wrapped: bool,
}

impl AnswerForm {
    /// From the headers alone, as far as they make sense.
    pub(crate) fn of(parts: &Parts) -> Self {
        Self::in_format(&parts.headers, Formats::of(parts).answer)
    }

    /// As [`AnswerForm::of`], where the format is known already.
    pub(crate) fn in_format(headers: &HeaderMap, format: Answer) -> Self {
        let text = |name| header::text(headers, &name).ok().flatten().filter(|text| !text.is_empty());
        Self {
            request_identifier: text(header::REQUEST_IDENTIFIER).map(Text::from),
            release_version: text(header::RELEASE_VERSION).and_then(ReleaseVersion::parse),
            format,
            wrapped: false,
        }
    }
}

/// A request that is not carried out, and the answer to it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) form: AnswerForm,
    pub(crate) response: Response,
    /// Instead of the status that goes with the response status code.
    pub(crate) http_status: Option<StatusCode>,
}

impl Refusal {
    pub(crate) fn new(form: AnswerForm, error: &Error) -> Self {
        let response = Response::error(form.request_identifier.clone().unwrap_or_default(), error);
        Self { response: response.in_release(form.release_version), form, http_status: None }
    }

    /// For a primitive that the core refused: it may have found identifiers where the headers had none.
    pub(crate) fn undecodable(mut form: AnswerForm, failure: &DecodeFailure) -> Self {
        form.request_identifier = failure.request_identifier.clone().or(form.request_identifier);
        form.release_version = failure.release_version.or(form.release_version);
        Self::new(form, &failure.error)
    }

    /// With an HTTP status that says more than the response status code's own.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.http_status = Some(status);
        self
    }
}
