//! An HTTP client that speaks for one originator (TS-0009).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::form::Form;
use crate::wait::in_time;

/// A client of one server.
#[derive(Debug)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    originator: String,
    requests: AtomicU64,
}

/// An answer, with its body read.
#[derive(Debug)]
pub struct HttpAnswer {
    /// Status of HTTP.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, which may be empty, as far as it is text.
    pub body: String,
    /// The body as it came.
    pub bytes: Bytes,
}

impl HttpAnswer {
    /// `X-M2M-RSC`, the exact status; 0 without one.
    pub fn rsc(&self) -> u16 {
        self.header("x-m2m-rsc").and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The body, read as its `Content-Type` says.
    ///
    /// # Panics
    /// If it is not of that form.
    pub fn content(&self) -> Value {
        let form = self.header("content-type").and_then(Form::ending).expect("a known Content-Type");
        form.read(&self.bytes).unwrap_or_else(|| panic!("not {form:?}: {:?}", self.bytes))
    }

    /// The explanation of a refusal.
    pub fn explanation(&self) -> String {
        self.content()["m2m:dbg"].as_str().unwrap_or_default().to_owned()
    }

    /// Itself, if that is its status.
    ///
    /// # Panics
    /// If it is not.
    #[expect(clippy::return_self_not_must_use, reason = "often called for the check alone")]
    pub fn expect(self, rsc: u16) -> Self {
        assert_eq!(self.rsc(), rsc, "{} {}", self.status, self.body);
        self
    }
}

impl Http {
    /// A client that speaks for that originator; an empty one sends an empty `X-M2M-Origin`.
    pub fn new(address: SocketAddr, originator: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, address, originator: originator.into(), requests: AtomicU64::new(0) }
    }

    /// For whom it speaks.
    pub fn originator(&self) -> &str {
        &self.originator
    }

    /// Sends a request as it is.
    ///
    /// # Panics
    /// Without answer.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> HttpAnswer {
        self.try_send(method, path, headers, body).await.unwrap_or_else(|problem| panic!("{method} {path}: {problem}"))
    }

    /// Sends a request as it is, to a server that may be away.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Result<HttpAnswer, String> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_ref()))).map_err(|e| e.to_string())?;
        let answer = in_time("an answer", self.client.request(request)).await.map_err(|error| format!("{error:?}"))?;
        let (parts, body) = answer.into_parts();
        let bytes = in_time("a body", body.collect()).await.map_err(|error| error.to_string())?.to_bytes();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(HttpAnswer { status: parts.status.as_u16(), headers: parts.headers, body, bytes })
    }

    /// Sends a request with the headers that every request has.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: impl AsRef<[u8]>,
    ) -> HttpAnswer {
        let more: Vec<_> = content_type.map(|content_type| ("Content-Type", content_type)).into_iter().collect();
        self.request_with(method, path, &more, body).await
    }

    /// As [`Http::request`], with any further headers.
    pub async fn request_with(
        &self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> HttpAnswer {
        let identifier = format!("http-{}", self.requests.fetch_add(1, Ordering::Relaxed));
        let mut headers =
            vec![("X-M2M-Origin", self.originator.as_str()), ("X-M2M-RI", &identifier), ("X-M2M-RVI", "3")];
        headers.extend(more);
        self.send(method, path, &headers, body).await
    }

    /// RETRIEVE.
    pub async fn get(&self, path: &str) -> HttpAnswer {
        self.request("GET", path, None, "").await
    }

    /// CREATE of a resource of that type.
    pub async fn create(&self, path: &str, ty: u16, content: &Value) -> HttpAnswer {
        self.request("POST", path, Some(&format!("application/json;ty={ty}")), &content.to_string()).await
    }

    /// UPDATE.
    pub async fn update(&self, path: &str, content: &Value) -> HttpAnswer {
        self.request("PUT", path, Some("application/json"), &content.to_string()).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> HttpAnswer {
        self.request("DELETE", path, None, "").await
    }
}
