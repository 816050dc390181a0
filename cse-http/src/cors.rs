//! Cross-origin resource sharing: which web pages may talk to the CSE. Off unless configured.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, Method, StatusCode};

use crate::options::CorsOptions;

const REQUEST_HEADERS: &str = "accept, authorization, content-type, x-m2m-origin, x-m2m-ri, x-m2m-rvi, x-m2m-ot, \
     x-m2m-ret, x-m2m-rst, x-m2m-oet, x-m2m-rtu, x-m2m-ec, x-m2m-gid, x-m2m-vsi, x-m2m-as, x-m2m-asri, x-m2m-msu, \
     x-m2m-omr";
const RESPONSE_HEADERS: &str = "content-location, retry-after, x-m2m-rsc, x-m2m-ri, x-m2m-rvi, x-m2m-origin, \
     x-m2m-ot, x-m2m-rst, x-m2m-ec, x-m2m-vsi, x-m2m-cts, x-m2m-cto, x-m2m-ati";
/// How long a browser may keep the answer to a preflight, in seconds.
const PREFLIGHT_AGE_S: &str = "600";

impl CorsOptions {
    /// Value of `Access-Control-Allow-Origin` for a request, if its origin is allowed.
    pub(crate) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        match self {
            Self::AnyOrigin => Some(HeaderValue::from_static("*")),
            Self::Origins(origins) => {
                origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
            }
        }
    }

    /// Whether the request only asks what would be allowed.
    pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The answer to a preflight; an origin that is not allowed finds nothing in it.
    pub(crate) fn preflight(&self, headers: &HeaderMap) -> http::Response<Body> {
        let mut answer = http::Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let allowed = self.allowed(headers);
        let headers = answer.headers_mut();
        if allowed.is_some() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(crate::decode::METHODS));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_AGE_S));
        }
        self.mark(headers, allowed);
        answer
    }

    /// Lets the page read an answer, if its origin is allowed.
    pub(crate) fn mark(&self, headers: &mut HeaderMap, allowed: Option<HeaderValue>) {
        // Also when it is not allowed: a cache must not give this answer to another origin.
        if matches!(self, Self::Origins(_)) {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(RESPONSE_HEADERS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_str(origin).expect("a value"));
        headers
    }

    #[test]
    fn only_listed_origins_are_allowed() {
        let listed = CorsOptions::Origins(vec!["https://a.example".into(), "http://b.example:8080".into()]);
        for (origin, allowed) in [
            ("https://a.example", true),
            ("http://b.example:8080", true),
            ("http://a.example", false),
            ("https://a.example.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(listed.allowed(&asking(origin)).is_some(), allowed, "{origin}");
            assert!(CorsOptions::AnyOrigin.allowed(&asking(origin)).is_some());
        }
        assert_eq!(listed.allowed(&HeaderMap::new()), None);
    }

    #[test]
    fn a_preflight_of_a_stranger_grants_nothing() {
        let listed = CorsOptions::Origins(vec!["https://a.example".into()]);
        let answer = listed.preflight(&asking("https://evil.example"));
        assert_eq!(answer.headers().keys().collect::<Vec<_>>(), [VARY]);
        let answer = listed.preflight(&asking("https://a.example"));
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert!(answer.headers().contains_key(ACCESS_CONTROL_ALLOW_HEADERS));
    }
}
