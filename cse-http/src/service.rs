//! The service that answers oneM2M requests, and the router whose fallback it is.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use cse_core::error::Error;
use cse_core::ports::{Dispatch, begin_in_turn};
use cse_core::primitive::{Operation, Response};
use http::header::{CONNECTION, EXPECT, HOST, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::sync::Semaphore;
use tower::Service;
use tracing::debug;

use crate::answer::{AnswerForm, Refusal};
use crate::decode::{Decoded, decode};
use crate::encode::{encode, encode_refusal};
use crate::header;
use crate::options::{CorsOptions, HttpOptions};
use crate::order::{Arrivals, KEPT, Place};
use crate::socket::Sender;

/// A router that answers every request as a oneM2M request.
///
/// oneM2M is the fallback, so the caller may add routes of its own; their paths hide resources of the same
/// address. The peer's address is taken from [`ConnectInfo<SocketAddr>`], which [`serve`](crate::serve) adds.
pub fn router<D: Dispatch>(dispatch: D, options: HttpOptions) -> Router {
    Router::new().fallback_service(Answering::new(dispatch, options))
}

/// How many times the largest body is read of one that is too large, only to be thrown away.
const DISCARDED_MAX: usize = 4;

/// Answers oneM2M requests.
struct Answering<D>(Arc<Shared<D>>);

struct Shared<D> {
    dispatch: D,
    options: HttpOptions,
    places: Semaphore,
    arrivals: Arrivals,
}

impl<D> Clone for Answering<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Dispatch> Answering<D> {
    fn new(dispatch: D, options: HttpOptions) -> Self {
        let places = Semaphore::new(options.requests_max.min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Shared { dispatch, options, places, arrivals: Arrivals::new() }))
    }
}

impl<D: Dispatch> Service<Request<Body>> for Answering<D> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Never waits: a request without a place is told so at once.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(shared.answer_with_cors(request).await) })
    }
}

impl<D: Dispatch> Shared<D> {
    async fn answer_with_cors(&self, request: Request<Body>) -> http::Response<Body> {
        let Some(cors) = &self.options.cors else {
            return self.answer(request).await;
        };
        if CorsOptions::is_preflight(request.method(), request.headers()) {
            return cors.preflight(request.headers());
        }
        let allowed = cors.allowed(request.headers());
        let mut answer = self.answer(request).await;
        cors.mark(answer.headers_mut(), allowed);
        answer
    }

    async fn answer(&self, request: Request<Body>) -> http::Response<Body> {
        let (parts, body) = request.into_parts();
        let Ok(_place) = self.places.try_acquire() else {
            return self.busy(&AnswerForm::of(&parts));
        };
        if let Err(error) = check_host(&parts) {
            return encode_refusal(Refusal::new(AnswerForm::of(&parts), &error));
        }
        let body = match self.read(&parts, body).await {
            Ok(body) => body,
            Err(problem) => return problem.answer(AnswerForm::of(&parts), &self.options),
        };
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| client_address(info.0));
        match decode(&parts, &body, peer, &self.options) {
            Ok(Decoded { request, mut form, place }) => {
                drop(body);
                // Before the request: one that deletes its AE has nothing to ask afterwards.
                if form.format.is_open
                    && let Some(originator) = &request.from
                    && let Some(preferred) = self.dispatch.preferred_serialization(originator).await
                {
                    form.format.media_type.serialization = preferred;
                }
                if let Some(place) = place {
                    return self.answer_in_order(request, &form, place).await;
                }
                let sender = parts.extensions.get::<Sender>().filter(|_| is_poll(&request));
                let Some(sender) = sender else {
                    return encode(self.dispatch.dispatch(request).await, &form);
                };
                // A poll that nobody waits for must not keep its place, and be given what another one should have.
                let identifier = request.request_identifier.clone();
                let release = request.release_version;
                let response = tokio::select! {
                    biased;
                    response = self.dispatch.dispatch(request) => response,
                    () = sender.gone() => {
                        let error = Error::Expired("the sender has ended its half of the connection");
                        Response::error(identifier, &error).in_release(release)
                    }
                };
                encode(response, &form)
            }
            Err(refusal) => {
                debug!(
                    rsc = refusal.response.status.code(),
                    reason = refusal.response.debug_text().unwrap_or_default(),
                    "HTTP request refused"
                );
                encode_refusal(*refusal)
            }
        }
    }

    /// Answers a request after the one before it has begun.
    async fn answer_in_order(
        &self,
        request: cse_core::primitive::Request,
        form: &AnswerForm,
        place: Place,
    ) -> http::Response<Body> {
        let turn = match self.arrivals.turn(place).await {
            Ok(turn) => turn,
            Err(late) => return encode_refusal(Refusal::new(form.clone(), &late)),
        };
        let mut answer = encode(begin_in_turn(turn, self.dispatch.dispatch(request)).await, form);
        answer.headers_mut().insert(header::ORDER, KEPT);
        answer
    }

    async fn read(&self, parts: &Parts, mut body: Body) -> Result<Bytes, BodyProblem> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let bytes_max = self.options.body_bytes_max;
        let arrived = async {
            if body.size_hint().lower() > bytes_max as u64 {
                // Whoever waits for a word before sending is not asked to send.
                if !parts.headers.contains_key(EXPECT) {
                    discard(&mut body, bytes_max).await;
                }
                return Err(BodyProblem::TooLarge);
            }
            match Limited::new(&mut body, bytes_max).collect().await {
                Ok(collected) => Ok(collected.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => {
                    discard(&mut body, bytes_max).await;
                    Err(BodyProblem::TooLarge)
                }
                Err(_) => Err(BodyProblem::Broken),
            }
        };
        tokio::time::timeout(self.options.body_timeout, arrived).await.unwrap_or(Err(BodyProblem::TooSlow))
    }

    fn busy(&self, form: &AnswerForm) -> http::Response<Body> {
        let refusal = Refusal::new(form.clone(), &Error::Busy("too many requests are being worked on"));
        let mut answer = encode_refusal(refusal.with_status(StatusCode::SERVICE_UNAVAILABLE));
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(self.options.retry_after_s));
        answer
    }
}

/// Takes the rest of a body that is too large, within reason: to close on a peer that is still sending would
/// reset the connection, and the answer would be lost.
async fn discard(body: &mut Body, bytes_max: usize) {
    let mut left = bytes_max.saturating_mul(DISCARDED_MAX);
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Why a body could not be read.
enum BodyProblem {
    TooLarge,
    TooSlow,
    Broken,
}

impl BodyProblem {
    /// The answer; the rest of the body is still on its way, so the connection is of no more use.
    fn answer(self, form: AnswerForm, options: &HttpOptions) -> http::Response<Body> {
        let (error, status) = match self {
            Self::TooLarge => (
                Error::NotAPrimitive(format!("the body is larger than {} bytes", options.body_bytes_max)),
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
            Self::TooSlow => (Error::Expired("the body did not arrive in time"), StatusCode::REQUEST_TIMEOUT),
            Self::Broken => (Error::NotAPrimitive("the body broke off".into()), StatusCode::BAD_REQUEST),
        };
        let mut answer = encode_refusal(Refusal::new(form, &error).with_status(status));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    }
}

/// HTTP/1.1 wants exactly one `Host` (RFC 9112 §3.2).
fn check_host(parts: &Parts) -> Result<(), Error> {
    match header::text(&parts.headers, &HOST)? {
        None if parts.version == Version::HTTP_11 => Err(Error::parameter("Host", "is missing")),
        _ => Ok(()),
    }
}

/// Whether a request waits at a polling channel.
fn is_poll(request: &cse_core::primitive::Request) -> bool {
    request.operation == Operation::Retrieve && request.to.ends_with("/pcu")
}

/// IPv4 peers of a dual-stack listener count under their IPv4 address, which is what policies name.
fn client_address(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}
