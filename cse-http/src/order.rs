//! The order of requests that are under way over several connections at the same time, where the receiver keeps it.
//!
//! HTTP/1.1 has one request on a connection at a time, so requests that follow one another closely overtake one
//! another. TS-0009 has nothing against that. Between CSEs of this kind the header `X-CSE-Order` has: a request tells
//! its place in a line, and the number of the one before it if that is not answered yet. A receiver that keeps the order says
//! so in the answer. Towards one that does not, requests go one after another, and so do those that it would have to pass
//! on (`outbound/lines.rs`).

mod arrivals;

use std::fmt;

use cse_core::error::Error;
use http::HeaderMap;
use http::header::HeaderValue;

pub(crate) use self::arrivals::Arrivals;
use crate::header;

/// A request's place in a line: `<line>;<number>` or `<line>;<number>;<number of the one before>`, the line in hexadecimal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// Chosen by the sender at random.
    pub(crate) line: u64,
    /// Rises within a line.
    pub(crate) number: u64,
    /// The one that has to be carried out before, if it is under way.
    pub(crate) after: Option<u64>,
}

impl Place {
    /// What a request says; `None` if it says nothing.
    ///
    /// # Errors
    /// The header is given twice or is malformed.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let Some(text) = header::text(headers, &header::ORDER)? else { return Ok(None) };
        let place = Self::parse(text);
        let problem =
            || Error::parameter(header::ORDER.as_str(), "is not <line>;<number> with an earlier number behind");
        place.map(Some).ok_or_else(problem)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let line = u64::from_str_radix(parts.next()?, 16).ok()?;
        let number = parts.next()?.parse().ok()?;
        let after = parts.next().map(str::parse).transpose().ok()?;
        let is_whole = number > 0 && parts.next().is_none() && after.is_none_or(|after: u64| after < number);
        is_whole.then_some(Self { line, number, after })
    }

    /// As a header's value.
    pub(crate) fn header_value(self) -> HeaderValue {
        // It is ASCII.
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x};{}", self.line, self.number)?;
        self.after.map_or(Ok(()), |after| write!(f, ";{after}"))
    }
}

/// What the answer to a request says whose place was kept.
pub(crate) const KEPT: HeaderValue = HeaderValue::from_static("kept");

/// Whether an answer says so.
pub(crate) fn is_kept(answer: &HeaderMap) -> bool {
    answer.get(header::ORDER) == Some(&KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Option<Place>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORDER, HeaderValue::from_static(text));
        Place::of(&headers)
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        for place in [
            Place { line: u64::MAX, number: 7, after: None },
            Place { line: 0, number: u64::MAX, after: Some(u64::MAX - 1) },
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORDER, place.header_value());
            assert_eq!(Place::of(&headers).expect("a place"), Some(place));
        }
        assert_eq!(Place::of(&HeaderMap::new()).expect("nothing"), None);
        assert_eq!(read("a;2;1").expect("a place"), Some(Place { line: 10, number: 2, after: Some(1) }));
    }

    #[test]
    fn malformed_places_are_refused() {
        for text in [
            "",
            "a",
            "a;",
            ";1",
            "a;1;",
            "a;1;1",
            "a;1;2",
            "a;2;1;0",
            "g;1",
            "a;-1",
            "a;0",
            "a;1;x",
            "10000000000000000;1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.append(header::ORDER, HeaderValue::from_static("a;1"));
        headers.append(header::ORDER, HeaderValue::from_static("a;2"));
        assert!(Place::of(&headers).is_err(), "twice");
    }
}
