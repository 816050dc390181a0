//! The way to the registrar over HTTP with a certificate, or with authorities, of its own.

use std::sync::Arc;

use cse_core::ports::{BoxFuture, Destination, Outbound, OutgoingRequest, SendError, Sent};
use cse_http::{HttpOutbound, HttpOutboundOptions};
use cse_mqtt::transport::ClientTls;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

/// Sends over HTTP, with TLS as files say. They are read again after `https` has led nowhere: they may have been renewed.
pub(crate) struct RegistrarHttp(Arc<Inner>);

struct Inner {
    tls: Arc<ClientTls>,
    options: HttpOutboundOptions,
    sender: Mutex<Option<HttpOutbound>>,
}

impl RegistrarHttp {
    /// Reads nothing yet.
    pub(crate) fn new(tls: Arc<ClientTls>, options: HttpOutboundOptions) -> Self {
        Self(Arc::new(Inner { tls, options, sender: Mutex::default() }))
    }
}

impl Inner {
    async fn sender(&self) -> Result<HttpOutbound, SendError> {
        if let Some(sender) = &*self.sender.lock() {
            return Ok(sender.clone());
        }
        let tls = Arc::clone(&self.tls);
        let config = match spawn_blocking(move || tls.client_config()).await {
            Ok(Ok(config)) => config,
            Ok(Err(problem)) => return Err(SendError::Unreachable(problem.to_string())),
            Err(failure) => return Err(SendError::Unreachable(failure.to_string())),
        };
        let sender = HttpOutbound::over(&self.options, config);
        // Should two have been made at once, the later one stays; both are as good.
        *self.sender.lock() = Some(sender.clone());
        Ok(sender)
    }

    async fn exchange(&self, request: OutgoingRequest) -> Result<Sent, SendError> {
        let is_secured = request.destination.url().is_some_and(|url| url.starts_with("https:"));
        let sent = self.sender().await?.send(request).await;
        if is_secured && sent.is_err() {
            *self.sender.lock() = None;
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
