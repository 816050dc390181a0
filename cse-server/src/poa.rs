//! How others reach the server: the points of access that the CSEBase shows.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use cse_core::value::Text;
use url::Url;

/// What really listens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening {
    /// Where HTTP listens.
    pub(crate) http: Option<SocketAddr>,
    /// Path below which HTTP finds the CSE.
    pub(crate) http_root_path: Text,
    /// Where the embedded broker listens.
    pub(crate) embedded_broker: EmbeddedBroker,
    /// The external broker.
    pub(crate) external_broker: Option<Url>,
    /// What stands before all topics on either broker, without slashes around it.
    pub(crate) topic_prefix: Text,
    /// What its clients need for TLS, as `mosquitto_pub` has it.
    pub(crate) external_tls: String,
    /// Where probes and metrics have an address of their own.
    pub(crate) monitoring: Option<SocketAddr>,
}

/// The listeners of the embedded broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct EmbeddedBroker {
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) websocket: Option<SocketAddr>,
    pub(crate) websocket_tls: Option<SocketAddr>,
    /// Path that WebSocket clients ask for.
    pub(crate) websocket_path: String,
    /// Whether its clients need credentials for what they do.
    pub(crate) strict: bool,
}

impl Listening {
    /// The points of access, HTTP first. Not those over WebSocket: TS-0010 §7.2 has no URL for them, and `ws:` stands
    /// for the binding of TS-0020.
    pub(crate) fn points_of_access(&self) -> Vec<Text> {
        self.points_of_access_at(own_address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }

    /// The same, where this machine has that address.
    pub(crate) fn points_of_access_at(&self, own: IpAddr) -> Vec<Text> {
        // The address under which others find a listener.
        let reachable = |address: SocketAddr| match address.ip().is_unspecified() {
            true => SocketAddr::new(own, address.port()),
            false => address,
        };
        let http = self.http.map(|address| format!("http://{}{}", reachable(address), self.http_root_path));
        let EmbeddedBroker { tcp, tls, .. } = &self.embedded_broker;
        let embedded = tcp.map(|address| self.mqtt_point(&format!("mqtt://{}", reachable(address))));
        let embedded_tls = tls.map(|address| self.mqtt_point(&format!("mqtts://{}", reachable(address))));
        let external = self.external_broker.as_ref().filter(|url| url.scheme().starts_with("mqtt"));
        let external = external.map(|url| self.mqtt_point(url.as_str()));
        [http, embedded, embedded_tls, external].into_iter().flatten().map(Text::from).collect()
    }

    /// Whether the points of access depend on which addresses this machine has.
    pub(crate) fn is_at_any_address(&self) -> bool {
        let EmbeddedBroker { tcp, tls, .. } = &self.embedded_broker;
        [self.http, *tcp, *tls].into_iter().flatten().any(|address| address.ip().is_unspecified())
    }

    /// The URL of a broker with the topic prefix as its path.
    fn mqtt_point(&self, broker: &str) -> String {
        let broker = broker.trim_end_matches('/');
        match Url::parse(broker) {
            Ok(mut url) if !self.topic_prefix.is_empty() => {
                url.set_path(&self.topic_prefix);
                url.into()
            }
            _ => broker.to_owned(),
        }
    }
}

/// The address from which this machine talks to others; nothing is sent to find out.
pub(crate) fn own_address() -> Option<IpAddr> {
    // Addresses reserved for documentation: routed like any other on the Internet, and nobody's.
    [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")].into_iter().find_map(|(from, to)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        let address = socket.local_addr().ok()?.ip();
        (!address.is_unspecified()).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_listens() {
        let listening = Listening {
            http: Some(([127, 0, 0, 1], 8080).into()),
            http_root_path: "/m2m".into(),
            embedded_broker: EmbeddedBroker {
                tcp: Some("[::1]:1883".parse().expect("address")),
                tls: Some(([127, 0, 0, 1], 8883).into()),
                websocket: Some(([127, 0, 0, 1], 9001).into()),
                ..EmbeddedBroker::default()
            },
            ..Listening::default()
        };
        assert_eq!(
            listening.points_of_access(),
            ["http://127.0.0.1:8080/m2m", "mqtt://[::1]:1883", "mqtts://127.0.0.1:8883"]
        );
        let external = Url::parse("mqtt://broker.example:1883/").expect("URL");
        let listening = Listening { external_broker: Some(external), ..Listening::default() };
        assert_eq!(listening.points_of_access(), ["mqtt://broker.example:1883"]);
        let listening = Listening { topic_prefix: "plant 7/a".into(), ..listening };
        assert_eq!(listening.points_of_access(), ["mqtt://broker.example:1883/plant%207/a"]);
        let websocket = Url::parse("wss://broker.example/mqtt").expect("URL");
        let listening = Listening { external_broker: Some(websocket), ..Listening::default() };
        assert_eq!(listening.points_of_access(), [""; 0]);
    }

    #[test]
    fn an_address_for_all_is_never_shown() {
        let listening = Listening { http: Some(([0, 0, 0, 0], 80).into()), ..Listening::default() };
        let shown = listening.points_of_access();
        assert!(shown[0].starts_with("http://") && !shown[0].contains("0.0.0.0"), "{shown:?}");
    }
}
