//! A client of a broker that knows who its clients are: with credentials, and with an eye on what the broker refuses.

use std::collections::VecDeque;
use std::path::PathBuf;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use serde_json::{Value, json};

use crate::wait::in_time;

/// How to connect.
#[derive(Clone, Debug)]
pub struct Connecting {
    /// On this machine.
    pub port: u16,
    /// Client identifier.
    pub client_id: String,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// Authority, certificate and key, for TLS.
    pub certificate: Option<[PathBuf; 3]>,
    /// Authority of the broker, for TLS without a certificate of the client.
    pub authority: Option<PathBuf>,
    /// Whether the session ends with the connection.
    pub clean: bool,
}

impl Connecting {
    /// Without credential.
    pub fn new(port: u16, client_id: &str) -> Self {
        Self { port, client_id: client_id.into(), login: None, certificate: None, authority: None, clean: true }
    }

    /// With user name and password.
    #[must_use]
    pub fn login(mut self, name: &str, password: &str) -> Self {
        self.login = Some((name.into(), password.into()));
        self
    }

    /// With TLS and a client certificate.
    #[must_use]
    pub fn certificate(mut self, authority: PathBuf, certificate: PathBuf, key: PathBuf) -> Self {
        self.certificate = Some([authority, certificate, key]);
        self
    }

    /// With TLS, without a certificate of its own.
    #[must_use]
    pub fn trusting(mut self, authority: PathBuf) -> Self {
        self.authority = Some(authority);
        self
    }

    /// With a session that the broker keeps.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.clean = false;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// The return code of a refusal.
    ///
    /// # Panics
    /// If the connection fails otherwise.
    pub async fn connect(&self) -> Result<Secured, ConnectReturnCode> {
        let is_secure = self.certificate.is_some() || self.authority.is_some();
        let host = if is_secure { "localhost" } else { "127.0.0.1" };
        let mut options = MqttOptions::new(&self.client_id, host, self.port);
        options.set_clean_session(self.clean);
        if let Some((name, password)) = &self.login {
            options.set_credentials(name, password);
        }
        if let Some(files) = &self.certificate {
            // Fails only if there is a provider already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let [ca, certificate, key] = files.clone().map(|path| std::fs::read(path).expect("readable"));
            let client_auth = Some((certificate, key));
            options.set_transport(Transport::Tls(TlsConfiguration::Simple { ca, alpn: None, client_auth }));
        }
        if let Some(authority) = &self.authority {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let ca = std::fs::read(authority).expect("readable");
            options.set_transport(Transport::Tls(TlsConfiguration::Simple { ca, alpn: None, client_auth: None }));
        }
        let (client, events) = AsyncClient::new(options, 100);
        let mut secured = Secured { client, events, inbox: VecDeque::new(), numbered: 0, resumed: false };
        loop {
            match in_time("an answer to CONNECT", secured.events.poll()).await {
                Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                    secured.resumed = connack.session_present;
                    return Ok(secured);
                }
                Ok(_) => {}
                Err(ConnectionError::ConnectionRefused(code)) => return Err(code),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A connected client that does nothing while nobody asks it to.
pub struct Secured {
    client: AsyncClient,
    events: EventLoop,
    inbox: VecDeque<Publish>,
    numbered: u64,
    resumed: bool,
}

impl Secured {
    /// Whether the broker had a session for it.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// Goes on until a packet is the wanted one; messages are kept.
    async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&Packet) -> Option<T>) -> T {
        loop {
            match in_time(what, self.events.poll()).await.unwrap_or_else(|error| panic!("{what}: {error}")) {
                Event::Incoming(Packet::Publish(publish)) => self.inbox.push_back(publish),
                Event::Incoming(packet) => {
                    if let Some(found) = wanted(&packet) {
                        return found;
                    }
                }
                Event::Outgoing(_) => {}
            }
        }
    }

    /// Subscribes; whether the broker grants it.
    ///
    /// # Panics
    /// If the connection ends.
    pub async fn subscribe(&mut self, filter: &str) -> bool {
        self.client.subscribe(filter, QoS::AtLeastOnce).await.expect("there is room");
        let code = self.until("SUBACK", |packet| match packet {
            Packet::SubAck(suback) => suback.return_codes.first().copied(),
            _ => None,
        });
        !matches!(code.await, SubscribeReasonCode::Failure)
    }

    /// Publishes with QoS 1 and waits for the acknowledgement, which says nothing of whether it was let through.
    ///
    /// # Panics
    /// If the connection ends.
    pub async fn publish(&mut self, topic: &str, payload: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.expect("there is room");
        self.until("PUBACK", |packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    }

    /// Publishes the same until the broker closes the connection; how often it was acknowledged.
    ///
    /// # Panics
    /// If it never does.
    pub async fn publish_until_closed(&mut self, topic: &str) -> usize {
        for acknowledged in 0..10_000 {
            self.client.publish(topic, QoS::AtLeastOnce, false, "{}").await.expect("there is room");
            loop {
                match in_time("PUBACK or an end", self.events.poll()).await {
                    Ok(Event::Incoming(Packet::PubAck(_))) => break,
                    Ok(_) => {}
                    Err(_) => return acknowledged,
                }
            }
        }
        panic!("the broker lets it go on");
    }

    /// The next message.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next(&mut self) -> (String, Value) {
        let publish = loop {
            if let Some(publish) = self.inbox.pop_front() {
                break publish;
            }
            if let Event::Incoming(Packet::Publish(publish)) =
                in_time("a message", self.events.poll()).await.expect("connected")
            {
                break publish;
            }
        };
        (publish.topic, serde_json::from_slice(&publish.payload).unwrap_or(Value::Null))
    }

    /// Publishes a request on a topic and waits for the answer to it.
    ///
    /// # Panics
    /// If another message comes first.
    pub async fn request(&mut self, topic: &str, mut primitive: Value) -> Value {
        self.numbered += 1;
        let identifier = format!("r{}", self.numbered);
        primitive["rqi"] = json!(identifier);
        primitive["rvi"] = json!("3");
        self.publish(topic, &primitive.to_string()).await;
        let (_, answer) = self.next().await;
        assert_eq!(answer["rqi"], identifier.as_str(), "{answer}");
        answer
    }

    /// Waits until the broker has closed the connection.
    pub async fn closed(&mut self) {
        in_time("the end of the connection", async { while self.events.poll().await.is_ok() {} }).await;
    }

    /// Says goodbye.
    ///
    /// # Panics
    /// If the connection has ended.
    pub async fn disconnect(mut self) {
        self.client.disconnect().await.expect("there is room");
        loop {
            match in_time("DISCONNECT", self.events.poll()).await {
                Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}
