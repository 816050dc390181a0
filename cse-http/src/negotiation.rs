//! What the headers say of a request's body and of the answer's format (TS-0009 §6.4.2, §6.4.3), found out before
//! anything else is looked at, so that refusals are written as answers are.

use cse_core::codec::Serialization;
use cse_core::error::Error;
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::media::{ContentType, MediaType, Payload, limited};

/// How a request is written, and how its answer will be.
#[derive(Debug)]
pub(crate) struct Formats<'a> {
    /// Of the body, where the method has one.
    pub(crate) content_type: Option<ContentType<'a>>,
    /// Of the body; there is one if there is a `Content-Type` and no problem.
    pub(crate) body: Option<MediaType>,
    /// Of the answer, and of the refusal if there is a problem.
    pub(crate) answer: Answer,
    /// Why the request cannot be read or answered.
    pub(crate) problem: Option<Error>,
}

/// The format of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) media_type: MediaType,
    /// Neither `Content-Type` nor `Accept` names a serialization, so that of `media_type` may be replaced by the one that the
    /// originator prefers.
    pub(crate) is_open: bool,
}

impl<'a> Formats<'a> {
    pub(crate) fn of(parts: &'a Parts) -> Self {
        let content_type = match method_has_body(&parts.method) {
            Some(true) => ContentType::of(&parts.headers),
            Some(false) | None => Ok(None),
        };
        let body = content_type.as_ref().map_err(Error::clone);
        let body = body.and_then(|content_type| content_type.as_ref().map(ContentType::readable).transpose());
        // Some clients send a `Content-Type` with every request; without body it still says what they speak.
        let spoken = || match method_has_body(&parts.method) {
            Some(true) => None,
            Some(false) | None => {
                let content_type = ContentType::of(&parts.headers).ok().flatten();
                content_type.and_then(|content_type| content_type.readable().ok())
            }
        };
        let from_body = body.as_ref().ok().copied().flatten().or_else(spoken).map(answer_to);
        let answer = negotiate(&parts.headers, from_body);
        let (answer, problem) = match (answer, body.as_ref().err()) {
            (Ok(answer), problem) => (answer, problem.cloned()),
            // Who can read nothing that can be written reads most likely what it writes itself.
            (Err(error), problem) => {
                (Answer::named(from_body.unwrap_or(MediaType::DEFAULT)), problem.cloned().or(Some(error)))
            }
        };
        Self { content_type: content_type.ok().flatten(), body: body.ok().flatten(), answer, problem }
    }
}

/// Whether a request of that method has a body; `None` for methods without a meaning here.
pub(crate) fn method_has_body(method: &Method) -> Option<bool> {
    match *method {
        Method::GET | Method::HEAD | Method::DELETE => Some(false),
        Method::POST | Method::PUT => Some(true),
        _ => None,
    }
}

/// The format of the answer to a body of that type, where no other is asked for.
fn answer_to(body: MediaType) -> MediaType {
    let payload = match body.payload {
        Payload::RequestPrimitive => Payload::ResponsePrimitive,
        _ => Payload::Content,
    };
    MediaType { payload, serialization: body.serialization }
}

impl Answer {
    fn named(media_type: MediaType) -> Self {
        Self { media_type, is_open: false }
    }
}

/// Quality of an entry of `Accept`, in thousandths.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Quality(u16);

impl Quality {
    const ONE: Quality = Quality(1000);

    fn parse(text: &str) -> Option<Self> {
        let value: f32 = text.parse().ok()?;
        (0.0..=1.0).contains(&value).then_some(Quality((value * 1000.0) as u16))
    }
}

/// The format of the answer.
///
/// Without `Accept` it follows the request's `Content-Type`, `from_body`, and without that it is open. A range (`*/*`,
/// `application/*`) leaves the choice to the CSE, which chooses as if there were no `Accept`.
///
/// # Errors
/// [`Error::NotAcceptable`] when nothing that is accepted can be written.
fn negotiate(headers: &HeaderMap, from_body: Option<MediaType>) -> Result<Answer, Error> {
    let own_choice = Answer { media_type: from_body.unwrap_or(MediaType::DEFAULT), is_open: from_body.is_none() };
    let mut ranges = headers.get_all(ACCEPT).iter().peekable();
    if ranges.peek().is_none() {
        return Ok(own_choice);
    }
    let mut best: Option<(Quality, MediaType)> = None;
    let mut any: Option<Quality> = None;
    let mut excluded: Vec<MediaType> = Vec::new();
    let mut is_empty = true;
    for value in ranges {
        let Ok(text) = std::str::from_utf8(value.as_bytes()) else {
            continue;
        };
        for range in text.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            is_empty = false;
            let (name, quality) = range_and_quality(range);
            let is_range = name == "*/*" || name == "*" || name.eq_ignore_ascii_case("application/*");
            if is_range {
                if quality > Quality(0) {
                    any = any.max(Some(quality));
                }
                continue;
            }
            let Some(media) = MediaType::parse(name).filter(|media| is_writable(*media)) else {
                continue;
            };
            if quality == Quality(0) {
                excluded.push(media);
            } else if best.is_none_or(|(so_far, _)| quality > so_far) {
                best = Some((quality, media));
            }
        }
    }
    if is_empty {
        return Ok(own_choice);
    }
    let by_range = any.and_then(|quality| choose(own_choice, &excluded).map(|answer| (quality, answer)));
    let named = best.map(|(quality, media)| (quality, Answer::named(media)));
    let chosen = match (named, by_range) {
        // A type that is named counts more than a range of the same quality.
        (Some(named), Some(range)) if range.0 > named.0 => Some(range),
        (Some(named), _) => Some(named),
        (None, range) => range,
    };
    chosen.map(|(_, answer)| answer).ok_or_else(|| Error::NotAcceptable(accepted(headers)))
}

/// The CSE's own choice, or the next best that is not excluded.
fn choose(own_choice: Answer, excluded: &[MediaType]) -> Option<Answer> {
    if excluded.is_empty() {
        return Some(own_choice);
    }
    let others = [Serialization::Json, Serialization::Xml, Serialization::Cbor].map(MediaType::content);
    let mut candidates = std::iter::once(own_choice.media_type).chain(others);
    candidates.find(|media| is_writable(*media) && !excluded.contains(media)).map(Answer::named)
}

fn is_writable(media: MediaType) -> bool {
    media.payload != Payload::RequestPrimitive
}

fn range_and_quality(range: &str) -> (&str, Quality) {
    let mut parts = range.split(';');
    let name = parts.next().unwrap_or_default().trim();
    for parameter in parts {
        if let Some((key, value)) = parameter.split_once('=')
            && key.trim().eq_ignore_ascii_case("q")
        {
            return (name, Quality::parse(value.trim()).unwrap_or(Quality::ONE));
        }
    }
    (name, Quality::ONE)
}

fn accepted(headers: &HeaderMap) -> String {
    let all: Vec<_> = headers.get_all(ACCEPT).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    limited(&all.join(", "))
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn accepting(ranges: &[&str]) -> Result<Answer, u16> {
        let mut headers = HeaderMap::new();
        for range in ranges {
            headers.append(ACCEPT, HeaderValue::from_str(range).expect("a value"));
        }
        negotiate(&headers, None).map_err(|error| error.rsc().code())
    }

    #[test]
    fn the_answer_follows_the_preference() {
        let json = "application/json";
        let xml = "application/xml";
        let cbor = "application/cbor";
        let res = "application/vnd.onem2m-res+json";
        for (ranges, chosen, is_open) in [
            (vec![], json, true),
            (vec![""], json, true),
            (vec!["*/*"], json, true),
            (vec!["application/*"], json, true),
            (vec!["*"], json, true),
            (vec!["application/json"], json, false),
            (vec!["Application/Json ; q=0.5"], json, false),
            (vec!["text/html, application/json;q=0.9, */*;q=0.1"], json, false),
            (vec!["text/html, application/json;q=0.1, */*;q=0.9"], json, true),
            (vec!["application/cbor"], cbor, false),
            (vec!["application/cbor, application/json"], cbor, false),
            (vec!["application/cbor;q=0.2", "application/json;q=1"], json, false),
            (vec!["application/vnd.onem2m-res+cbor, */*"], "application/vnd.onem2m-res+cbor", false),
            (vec!["application/xml, application/json"], xml, false),
            (vec!["application/json;q=0.1, application/xml;q=0.2"], xml, false),
            (vec!["application/json;q=0, */*"], xml, false),
            (vec!["application/json;q=0, application/xml;q=0, */*"], cbor, false),
            (vec!["application/xml;q=0, */*"], json, false),
            (vec![res], res, false),
            (vec!["application/json;q=0.5, application/vnd.onem2m-res+json"], res, false),
            (vec!["*/*, application/vnd.onem2m-res+json"], res, false),
            (vec!["*/*, application/vnd.onem2m-res+json;q=0.3"], json, true),
            (vec!["application/vnd.onem2m-ntfy+json"], "application/vnd.onem2m-ntfy+json", false),
            (vec!["application/vnd.onem2m-prsp+cbor"], "application/vnd.onem2m-prsp+cbor", false),
            (vec!["application/json;q=nonsense"], json, false),
        ] {
            let answer = accepting(&ranges).expect("acceptable");
            assert_eq!((answer.media_type.to_string().as_str(), answer.is_open), (chosen, is_open), "{ranges:?}");
        }
    }

    #[test]
    fn nothing_that_can_be_written_is_not_acceptable() {
        for range in [
            "application/yaml",
            "text/*",
            "application/json;q=0",
            "application/json;q=0, application/xml;q=0, application/cbor;q=0, */*",
            "*/*;q=0",
            "application/vnd.onem2m-preq+json",
        ] {
            assert_eq!(accepting(&[range]), Err(5207), "{range}");
        }
    }

    #[test]
    fn where_nothing_is_named_the_answer_is_as_the_request() {
        let anything = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("*/*"))]);
        for payload in [Payload::Content, Payload::ResponsePrimitive] {
            for serialization in [Serialization::Json, Serialization::Xml, Serialization::Cbor] {
                let media = MediaType { payload, serialization };
                assert_eq!(negotiate(&HeaderMap::new(), Some(media)), Ok(Answer::named(media)));
                assert_eq!(negotiate(&anything, Some(media)), Ok(Answer::named(media)));
            }
        }
    }

    #[test]
    fn a_type_without_body_says_what_the_client_speaks() {
        for method in [Method::GET, Method::DELETE] {
            for (content_type, accept, format, is_open) in [
                ("application/xml", None, "application/xml", false),
                ("application/vnd.onem2m-res+cbor", Some("*/*"), "application/cbor", false),
                ("application/xml", Some("application/cbor"), "application/cbor", false),
                ("application/x-www-form-urlencoded", None, "application/json", true),
            ] {
                let mut request =
                    http::Request::builder().method(&method).uri("/").header("content-type", content_type);
                if let Some(accept) = accept {
                    request = request.header(ACCEPT, accept);
                }
                let (parts, ()) = request.body(()).expect("a request").into_parts();
                let formats = Formats::of(&parts);
                assert!(formats.problem.is_none() && formats.body.is_none() && formats.content_type.is_none());
                assert_eq!(formats.answer.media_type.to_string(), format, "{method} {content_type}");
                assert_eq!(formats.answer.is_open, is_open, "{method} {content_type}");
            }
        }
    }

    #[test]
    fn a_problem_is_told_as_the_answer_would_have_been() {
        for (headers, rsc, format) in [
            (&[("content-type", "text/plain")][..], 4015, "application/json"),
            (&[("content-type", "text/plain"), ("accept", "application/cbor")], 4015, "application/cbor"),
            (
                &[("content-type", "application/json;ty=3;ty=4"), ("accept", "application/cbor")],
                4000,
                "application/cbor",
            ),
            (&[("content-type", "application/cbor;ty=3"), ("accept", "text/html")], 5207, "application/cbor"),
            (&[("accept", "text/html")], 5207, "application/json"),
            (&[("content-type", "text/plain"), ("accept", "text/html")], 4015, "application/json"),
        ] {
            let mut request = http::Request::post("/");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            let formats = Formats::of(&parts);
            assert_eq!(formats.problem.expect("a problem").rsc().code(), rsc, "{headers:?}");
            assert_eq!(formats.answer.media_type.to_string(), format, "{headers:?}");
        }
    }
}
