//! What can be set: how requests are answered ([`HttpOptions`]) and how connections are held ([`HttpLimits`]).

use std::time::Duration;

/// How requests are answered.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Path below which the CSE is found, as in its `poa`.
    pub root_path: RootPath,
    /// Whether a query parameter that TS-0009 does not name is an attribute's short name, and so a condition
    /// on that attribute (`fc/atr`).
    pub is_attribute: fn(&str) -> bool,
    /// Largest request body, in bytes; of a larger one up to four times as much is read to be thrown away, so
    /// that the refusal reaches its sender. Default 1 MiB.
    pub body_bytes_max: usize,
    /// Longest time for a request body to arrive, from the end of its header. Default 20 s.
    pub body_timeout: Duration,
    /// Most requests that are worked on at the same time; more are answered with 503. Default 4096.
    pub requests_max: usize,
    /// What `Retry-After` of a 503 says, in whole seconds. Default 1.
    pub retry_after_s: u32,
    /// How long a request that is equal to an earlier one, identifier included, is answered as that one was
    /// and not carried out again. `None`, the default, carries out each: many clients use one constant
    /// request identifier.
    pub remember: Option<Duration>,
    /// Which web pages of other origins may send requests. `None`, the default, none.
    pub cors: Option<CorsOptions>,
}

impl HttpOptions {
    /// The defaults, with the test for attribute names that the schema provides.
    pub fn new(is_attribute: fn(&str) -> bool) -> Self {
        Self {
            root_path: RootPath::default(),
            is_attribute,
            body_bytes_max: 1 << 20,
            body_timeout: Duration::from_secs(20),
            requests_max: 4096,
            retry_after_s: 1,
            remember: None,
            cors: None,
        }
    }
}

/// A path that all request paths begin with: empty, or beginning and not ending with `/`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RootPath(String);

/// The text is no root path.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("'{0}' is no root path: it is empty or begins with '/' and has only letters, digits and '-._~/'")]
pub struct InvalidRootPath(String);

impl RootPath {
    /// Parses a path; slashes at its end do not count.
    ///
    /// # Errors
    /// [`InvalidRootPath`] for text that does not begin with `/` or would need percent-encoding.
    pub fn parse(text: &str) -> Result<Self, InvalidRootPath> {
        let path = text.trim_end_matches('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        if (path.is_empty() || path.starts_with('/')) && !path.contains("//") && path.bytes().all(plain) {
            return Ok(Self(path.into()));
        }
        Err(InvalidRootPath(text.into()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Cross-origin resource sharing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CorsOptions {
    /// Pages of any origin may send requests.
    AnyOrigin,
    /// Pages of these origins may, each written as browsers do: `https://dashboard.example`.
    Origins(Vec<String>),
}

/// How connections are held.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Most connections at the same time; further ones are answered with 503 and closed. Default 10,000.
    pub connections_max: usize,
    /// Longest header section with the request line, in bytes; at least 8192 are read. Default 32 KiB.
    pub header_bytes_max: usize,
    /// Most header fields of a request. Default 100.
    pub headers_max: usize,
    /// Longest time from a request's first byte, or a new connection, to the end of the header. Default 10 s.
    pub header_timeout: Duration,
    /// Longest time between an answer and the next request. Default 75 s.
    pub idle_timeout: Duration,
    /// Longest time that a peer may take nothing of an answer. Default 20 s.
    pub write_timeout: Duration,
    /// Time for what has begun when the server stops. Default 10 s.
    pub grace: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            header_bytes_max: 32 << 10,
            headers_max: 100,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(20),
            grace: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_path_has_one_form() {
        for (text, path) in [("", ""), ("/", ""), ("/m2m", "/m2m"), ("/m2m/", "/m2m"), ("/a/b", "/a/b")] {
            assert_eq!(RootPath::parse(text).expect("a path").as_str(), path);
        }
        for text in ["m2m", "/a b", "//a", "/a?b", "/a%20"] {
            assert!(RootPath::parse(text).is_err(), "{text}");
        }
    }
}
