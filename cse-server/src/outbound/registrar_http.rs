//! The way to the registrar over HTTP with a certificate, or with authorities, of its own.

use std::sync::Arc;

use cse_core::ports::{BoxFuture, Destination, Outbound, OutgoingRequest, SendError, Sent};
use cse_http::{HttpOutbound, HttpOutboundOptions};
use cse_mqtt::transport::ClientTls;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// Sends over HTTP, with TLS as files say. They are read again after `https` has led nowhere: they may have been renewed.
pub(crate) struct RegistrarHttp(Arc<Inner>);

struct Inner {
    tls: Arc<ClientTls>,
    options: HttpOutboundOptions,
    /// Whoever waits for it has it in the order of waiting.
    sender: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    sender: Option<HttpOutbound>,
    /// Whether the files are to be read again before it is used.
    is_doubted: bool,
}

impl RegistrarHttp {
    /// Reads nothing yet.
    pub(crate) fn new(tls: Arc<ClientTls>, options: HttpOutboundOptions) -> Self {
        Self(Arc::new(Inner { tls, options, sender: Mutex::default() }))
    }
}

impl Inner {
    async fn sender(&self) -> Result<HttpOutbound, SendError> {
        let mut known = self.sender.lock().await;
        if let Some(sender) = known.sender.as_ref().filter(|_| !known.is_doubted) {
            return Ok(sender.clone());
        }
        let tls = Arc::clone(&self.tls);
        let config = match spawn_blocking(move || tls.client_config()).await {
            Ok(Ok(config)) => config,
            Ok(Err(problem)) => return Err(SendError::Unreachable(problem.to_string())),
            Err(failure) => return Err(SendError::Unreachable(failure.to_string())),
        };
        let sender = match known.sender.take() {
            Some(mut sender) => {
                sender.renew(&self.options, config);
                sender
            }
            None => HttpOutbound::over(&self.options, config),
        };
        *known = Known { sender: Some(sender.clone()), is_doubted: false };
        Ok(sender)
    }

    async fn exchange(&self, request: OutgoingRequest) -> Result<Sent, SendError> {
        let is_secured = request.destination.url().is_some_and(|url| url.starts_with("https:"));
        let sent = self.sender().await?.send(request).await;
        if is_secured && sent.is_err() {
            self.sender.lock().await.is_doubted = true;
        }
        sent
    }
}

impl Outbound for RegistrarHttp {
    fn reaches(&self, destination: &Destination) -> bool {
        destination.url().is_some()
    }

    fn send(&self, request: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.exchange(request).await })
    }
}
