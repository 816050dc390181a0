//! What the operator sees after the start: where it listens, and a line to try for each way in.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use cse_core::id::{CseIdentity, CseType};

use crate::poa::Listening;

/// Writes the banner to standard output.
pub(crate) fn print(identity: &CseIdentity, admin: &str, listening: &Listening, data_dir: &str) {
    // Nobody may be reading, and the server runs all the same.
    let _ = io::stdout().write_all(text(identity, admin, listening, data_dir).as_bytes());
}

fn text(identity: &CseIdentity, admin: &str, listening: &Listening, data_dir: &str) -> String {
    let CseIdentity { sp_id, cse_id, cse_name, cse_type, .. } = identity;
    let kind = match cse_type {
        CseType::In => "IN-CSE",
        CseType::Mn => "MN-CSE",
        CseType::Asn => "ASN-CSE",
    };
    let mut text = format!("cse-server {}: {kind} {sp_id}{cse_id}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, what: String| {
        let _ = writeln!(text, "  {name:<9}{what}");
    };
    line("CSEBase", format!("{cse_name} (administrator {admin})"));
    line("data", data_dir.to_owned());
    if let Some(address) = listening.monitoring {
        line("probes", format!("http://{}/readyz", local(address)));
    }
    if let Some(address) = listening.http {
        let root = &listening.http_root_path;
        line("HTTP", format!("http://{address}{root}"));
        line(
            "  try",
            format!(
                "curl -H 'X-M2M-Origin: {admin}' -H 'X-M2M-RI: 1' -H 'X-M2M-RVI: 3' \
                 -H 'Accept: application/json' http://{}{root}/{cse_name}",
                local(address)
            ),
        );
    }
    let topics = Topics { prefix: &listening.topic_prefix, originator: admin, receiver: cse_id, target: cse_name };
    let embedded = &listening.embedded_broker;
    if let Some(address) = embedded.tcp {
        let near = local(address);
        line("MQTT", format!("mqtt://{address} (embedded broker)"));
        let at = format!("-h {} -p {}", near.ip(), near.port());
        if embedded.strict {
            // The list of users, if there is one, need not have the administrator.
            let as_admin = topics.request_response(&format!("{at} -u NAME -P PASSWORD -i A::{admin}"));
            line("  try", format!("{as_admin}  # after: cse-server passwd NAME --identifier {admin} --file USERS"));
        } else {
            line("  try", topics.request_response(&at));
        }
    }
    let path = &embedded.websocket_path;
    for (scheme, address, path) in
        [("mqtts", embedded.tls, ""), ("ws", embedded.websocket, path), ("wss", embedded.websocket_tls, path)]
    {
        if let Some(address) = address {
            line("MQTT", format!("{scheme}://{address}{path} (embedded broker)"));
        }
    }
    if let Some(url) = &listening.external_broker {
        line("MQTT", format!("{} (external broker)", url.as_str().trim_end_matches('/')));
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        match url.scheme() {
            "mqtt" => line("  try", topics.publish_subscribe(host, url.port().unwrap_or(1883), "")),
            "mqtts" => {
                line("  try", topics.publish_subscribe(host, url.port().unwrap_or(8883), &listening.external_tls));
            }
            // The tools of mosquitto know no WebSocket.
            _ => {}
        }
    }
    text
}

/// An address by which this machine reaches its own listener.
pub(crate) fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A request and its answer over MQTT (TS-0010 §6.4.2: `/` in identifiers is `:` in topics).
struct Topics<'a> {
    prefix: &'a str,
    originator: &'a str,
    receiver: &'a str,
    target: &'a str,
}

impl Topics<'_> {
    /// With a tool that speaks MQTT 5 only, as the embedded broker does.
    fn request_response(&self, at: &str) -> String {
        let (prefix, between, request) = (self.prefix, self.between(), self.request());
        format!(
            "mosquitto_rr {at} -q 1 -t {prefix}/oneM2M/req/{between} \
             -e {prefix}/oneM2M/resp/{between} -W 10 -m '{request}'"
        )
    }

    /// For any broker. Subscribes first, because an answer that nobody is subscribed to is lost.
    fn publish_subscribe(&self, host: &str, port: u16, tls: &str) -> String {
        let (prefix, between, request) = (self.prefix, self.between(), self.request());
        let at = if tls.is_empty() { format!("-h {host} -p {port}") } else { format!("-h {host} -p {port} {tls}") };
        format!(
            "(sleep 1; mosquitto_pub {at} -q 1 -t {prefix}/oneM2M/req/{between} -m '{request}') & \
             mosquitto_sub {at} -q 1 -t {prefix}/oneM2M/resp/{between} -C 1 -W 10"
        )
    }

    fn between(&self) -> String {
        let originator = self.originator.trim_start_matches('/').replace('/', ":");
        format!("{originator}/{}/json", self.receiver.trim_start_matches('/'))
    }

    fn request(&self) -> String {
        let Self { originator, target, .. } = self;
        format!("{{\"op\":2,\"fr\":\"{originator}\",\"to\":\"{target}\",\"rqi\":\"1\",\"rvi\":\"3\"}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poa::EmbeddedBroker;

    fn identity() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
    }

    #[test]
    fn every_way_in_can_be_tried() {
        let listening = Listening {
            http: Some(([0, 0, 0, 0], 8080).into()),
            embedded_broker: EmbeddedBroker {
                tcp: Some(([127, 0, 0, 1], 1883).into()),
                tls: Some(([0, 0, 0, 0], 8883).into()),
                websocket_tls: Some(([127, 0, 0, 1], 9002).into()),
                websocket_path: "/mqtt".into(),
                ..EmbeddedBroker::default()
            },
            ..Listening::default()
        };
        let text = text(&identity(), "CAdmin", &listening, "./cse-data");
        for part in [
            "IN-CSE //cse.example/id-in",
            "http://0.0.0.0:8080\n",
            "'Accept: application/json' http://127.0.0.1:8080/cse-in\n",
            "mqtt://127.0.0.1:1883 (embedded broker)\n",
            "mqtts://0.0.0.0:8883 (embedded broker)\n",
            "wss://127.0.0.1:9002/mqtt (embedded broker)\n",
            "mosquitto_rr -h 127.0.0.1 -p 1883 -q 1 -t /oneM2M/req/CAdmin/id-in/json -e /oneM2M/resp/CAdmin/id-in/json",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn who_needs_a_credential_is_told_so() {
        let tcp = Some(([127, 0, 0, 1], 1883).into());
        let embedded_broker = EmbeddedBroker { tcp, strict: true, ..EmbeddedBroker::default() };
        let listening = Listening { embedded_broker, ..Listening::default() };
        let text = text(&identity(), "CAdmin", &listening, "./cse-data");
        for part in
            ["-p 1883 -u NAME -P PASSWORD -i A::CAdmin -q 1 -t", "cse-server passwd NAME --identifier CAdmin --file"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn what_is_off_is_not_shown() {
        let broker = url::Url::parse("mqtt://broker.example").expect("URL");
        let listening = Listening { external_broker: Some(broker), ..Listening::default() };
        let text = text(&identity(), "CAdmin", &listening, "./cse-data");
        assert!(!text.contains("HTTP") && text.contains("mosquitto_sub -h broker.example -p 1883 -q"), "{text}");
    }

    #[test]
    fn the_topic_prefix_is_in_the_line_to_try() {
        let broker = url::Url::parse("mqtt://broker.example").expect("URL");
        let listening =
            Listening { external_broker: Some(broker), topic_prefix: "plant/7".into(), ..Listening::default() };
        let text = text(&identity(), "CAdmin", &listening, "./cse-data");
        for topic in ["-t plant/7/oneM2M/req/CAdmin/id-in/json ", "-t plant/7/oneM2M/resp/CAdmin/id-in/json "] {
            assert!(text.contains(topic), "{text}");
        }
    }

    #[test]
    fn what_tls_needs_is_in_the_line_to_try() {
        let broker = url::Url::parse("mqtts://broker.example").expect("URL");
        let listening =
            Listening { external_broker: Some(broker), external_tls: "--cafile ca.pem".into(), ..Listening::default() };
        let text = text(&identity(), "CAdmin", &listening, "./cse-data");
        assert!(text.contains("mosquitto_pub -h broker.example -p 8883 --cafile ca.pem -q 1"), "{text}");
        let broker = url::Url::parse("wss://broker.example/x").expect("URL");
        let listening = Listening { external_broker: Some(broker), ..Listening::default() };
        let text = super::text(&identity(), "CAdmin", &listening, "./cse-data");
        assert!(text.contains("wss://broker.example/x (external broker)") && !text.contains("try"), "{text}");
    }
}
