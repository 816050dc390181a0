//! The broker without the CSE: what MQTT alone could do on this machine.

use std::sync::Arc;
use std::time::Duration;

use cse_mqtt::broker::{Broker, Limits, OpenPolicy};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Result;

/// The embedded broker, and a link in the place of the CSE that sends each request back as its answer.
pub(crate) async fn serve() -> Result<()> {
    let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
    let (link, mut receiver) = broker.link("id-in", &["/oneM2M/req/+/id-in/#"])?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("mqtt://{} ", listener.local_addr()?);
    let (_never, shutdown) = watch::channel(false);
    let echo = tokio::spawn(async move {
        let mut requests = Vec::new();
        loop {
            receiver.receive(&mut requests, 64).await;
            for request in requests.drain(..) {
                let topic = request.topic.replacen("/req/", "/resp/", 1);
                if let Err(error) = link.publish(&topic, request.payload, request.qos) {
                    eprintln!("echo: {error}");
                }
                request.ack.accept();
            }
        }
    });
    broker.serve(listener, shutdown, Duration::ZERO).await;
    echo.abort();
    Ok(())
}
