//! An HTTP server that receives notifications.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::form::Form;
use crate::wait::in_time;

/// Most notifications that wait to be looked at.
const WAITING_MAX: usize = 10_000;

/// Receives notifications and answers all of them alike.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    answer: Arc<AtomicU16>,
    received: mpsc::Receiver<(Parts, Value)>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// A receiver that answers 2000.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(AtomicU16::new(2000));
        let (sender, received) = mpsc::channel(WAITING_MAX);
        let answered = Arc::clone(&answer);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, answer) = (sender.clone(), Arc::clone(&answered));
                let service = service_fn(move |request| respond(request, sender.clone(), Arc::clone(&answer)));
                tokio::spawn(async move {
                    // A server that goes away in the middle is what some tests are about.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, answer, received, task }
    }

    /// What to write into `nu` or `poa`.
    pub fn url(&self) -> String {
        format!("http://{}/notify", self.address)
    }

    /// The response status code of all further answers.
    pub fn answer_with(&self, rsc: u16) {
        self.answer.store(rsc, Ordering::Relaxed);
    }

    /// The next notification, read as its `Content-Type` says.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next(&mut self) -> (Parts, Value) {
        in_time("a notification over HTTP", self.received.recv()).await.expect("the receiver runs")
    }

    /// How many have come that nobody has looked at.
    pub fn waiting(&self) -> usize {
        self.received.len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn respond(
    request: Request<Incoming>,
    received: mpsc::Sender<(Parts, Value)>,
    answer: Arc<AtomicU16>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let content_type = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
    let content = content_type.and_then(Form::ending).and_then(|form| form.read(&body)).unwrap_or(Value::Null);
    let identifier = parts.headers.get("x-m2m-ri").cloned();
    // Nobody may be looking any more.
    let _ = received.try_send((parts, content));
    let rsc = answer.load(Ordering::Relaxed);
    let mut response = Response::new(Full::default());
    *response.status_mut() = if rsc < 4000 { http::StatusCode::OK } else { http::StatusCode::FORBIDDEN };
    response.headers_mut().insert("x-m2m-rsc", rsc.into());
    if let Some(identifier) = identifier {
        response.headers_mut().insert("x-m2m-ri", identifier);
    }
    Ok(response)
}
