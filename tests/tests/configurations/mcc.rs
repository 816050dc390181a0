//! Mcc: an MN and the IN. The MN's side is played by a client, because a CSE of ours does not register with others yet.

use cse_tests::mqtt::{Entity, Message};
use cse_tests::receiver::Receiver;
use serde_json::{Value, json};

use super::mca::content_of;
use super::nodes::{Node, Site};

/// Whom the MN speaks for: itself, and one of its AEs.
const BEHIND_IT: [&str; 2] = ["/id-mn", "/id-mn/Csensor"];
/// The container at the IN that both sides use.
pub(crate) const SHARED: &str = "cse-in/shared";

/// A container at the IN that the MN and its AE may use, and the application `Capp`.
pub(crate) async fn prepare(infrastructure: &Node) {
    let admin = infrastructure.http("CAdmin");
    let policy = json!({"m2m:acp": {
        "rn": "peers",
        "pv": {"acr": [{"acor": [BEHIND_IT[0], BEHIND_IT[1], "Capp"], "acop": 63}]},
        "pvs": {"acr": [{"acor": ["CAdmin"], "acop": 63}]}
    }});
    admin.create("/cse-in", 1, &policy).await.expect(2001);
    let container = json!({"m2m:cnt": {"rn": "shared", "acpi": ["cse-in/peers"]}});
    admin.create("/cse-in", 3, &container).await.expect(2001);
}

/// The MN's connection to the broker of the IN.
pub(crate) struct Uplink {
    entity: Entity,
    /// Before the topics on which the IN asks the MN.
    prefix: &'static str,
    point_of_access: String,
}

impl Uplink {
    /// Connects. Where a real MN uses the same broker, requests to the played one need another prefix.
    pub(crate) async fn connect(site: &Site, infrastructure: &Node, prefix: &'static str) -> Self {
        let way = site.way(infrastructure, "m2m-cse-example-id-mn");
        let filters = ["/oneM2M/resp/id-mn/id-in/#".to_owned(), format!("{prefix}/oneM2M/req/+/id-mn/#")];
        let entity = Entity::connect_over(&way, "C::id-mn@uplink", "id-mn", &filters).await;
        Self { entity, prefix, point_of_access: infrastructure.point_of_access().await }
    }

    /// Asks the IN, as one of the CSE's entities or as the CSE.
    pub(crate) async fn ask(&mut self, from: &str, mut request: Value) -> cse_tests::mqtt::Answer {
        request["fr"] = json!(from);
        self.entity.request(request).await
    }

    /// Creates an instance in the shared container.
    pub(crate) async fn store(&mut self, from: &str, value: &str) {
        let request = json!({"op": 1, "to": format!("/id-in/{SHARED}"), "ty": 4, "pc": {"m2m:cin": {"con": value}}});
        self.ask(from, request).await.expect(2001);
    }

    async fn next_question(&mut self) -> Message {
        let question = match self.prefix {
            "" => self.entity.next_request().await,
            _ => self.entity.next_other().await,
        };
        assert_eq!(question.topic, format!("{}/oneM2M/req/id-in/id-mn/json", self.prefix));
        assert_eq!(question.primitive["fr"], "/id-in", "{}", question.primitive);
        question
    }

    /// Has the CSE notified of what is new in the shared container, at its place on the broker of the IN.
    pub(crate) async fn subscribe(&mut self) {
        let url = format!("{}/{}/oneM2M/req/id-in/id-mn/json", self.point_of_access, self.prefix);
        let subscription =
            json!({"m2m:sub": {"rn": "for-mn", "nu": [url], "enc": {"net": [3], "chty": [4]}, "nct": 1}});
        let request = json!({"op": 1, "fr": "/id-mn", "to": SHARED, "ty": 23, "pc": subscription});
        let asked = self.entity.send(request).await;
        let question = self.next_question().await;
        assert_eq!(question.primitive["pc"]["m2m:sgn"]["vrq"], true, "{}", question.primitive);
        self.entity.respond(&question, 2000).await;
        self.entity.answer_to(&asked).await.expect(2001);
    }

    /// The content of the next notification, which is answered.
    pub(crate) async fn notified(&mut self) -> String {
        let notification = self.next_question().await;
        self.entity.respond(&notification, 2000).await;
        content_of(&notification.primitive)
    }
}

/// Registration, requests of the CSE and of an AE behind it, refusals, and notifications.
pub(crate) async fn works(infrastructure: &Node, uplink: &mut Uplink) {
    let remote_cse = json!({"m2m:csr": {
        "rn": "mn", "cb": "/id-mn/cse-mn", "csi": "/id-mn", "rr": true, "srv": ["3"], "poa": [uplink.point_of_access]
    }});
    let registration = json!({"op": 1, "to": "/id-in", "ty": 16, "pc": remote_cse});
    // As the CSEBase says: a type that the CSE has, or one that nobody may create.
    let base = infrastructure.base().await;
    let supported = base["srt"].as_array().expect("a list").contains(&json!(16));
    uplink.ask("/id-mn", registration).await.expect(if supported { 2001 } else { 4103 });

    for from in BEHIND_IT {
        uplink.store(from, from).await;
        let read = uplink.ask(from, json!({"op": 2, "to": format!("/id-in/{SHARED}/la")})).await.expect(2000);
        assert_eq!(read.resource()["con"], from);
    }
    // Nobody that the policy does not name, and nobody of the IN itself.
    for from in ["/id-mn/Cother", "/id-in/Capp", "Capp", "CAdmin", "/id-in"] {
        uplink.ask(from, json!({"op": 2, "to": SHARED})).await.expect(4103);
    }

    uplink.subscribe().await;
    let admin = infrastructure.http("CAdmin");
    admin.create(&format!("/{SHARED}"), 4, &json!({"m2m:cin": {"con": "from the IN"}})).await.expect(2001);
    assert_eq!(uplink.notified().await, "from the IN");
    admin.delete(&format!("/{SHARED}/for-mn")).await.expect(2002);
}

/// The point of access of the MN is on its own broker, to which the IN connects when it has something to tell.
pub(crate) async fn reaches_the_broker_of_the_mn(site: &Site, infrastructure: &Node, middle: &Node) {
    let filters = ["uplink/oneM2M/req/+/id-mn/#".to_owned()];
    let way = site.way(middle, "none");
    let mut entity = Entity::connect_over(&way, "C::id-mn@downlink", "id-mn", &filters).await;
    let url = format!("{}/uplink/oneM2M/req/id-in/id-mn/json", middle.point_of_access().await);
    let subscription = json!({"m2m:sub": {"rn": "elsewhere", "nu": [url], "enc": {"net": [3], "chty": [4]}, "nct": 1}});
    let admin = infrastructure.http("CAdmin");
    let creating = tokio::spawn(async move { admin.create(&format!("/{SHARED}"), 23, &subscription).await });
    let question = entity.next_other().await;
    assert_eq!(question.primitive["pc"]["m2m:sgn"]["vrq"], true, "{}", question.primitive);
    entity.respond(&question, 2000).await;
    creating.await.expect("no panic").expect(2001);
    let admin = infrastructure.http("CAdmin");
    admin.create(&format!("/{SHARED}"), 4, &json!({"m2m:cin": {"con": "to the MN"}})).await.expect(2001);
    let notification = entity.next_other().await;
    entity.respond(&notification, 2000).await;
    assert_eq!(content_of(&notification.primitive), "to the MN");
    admin.delete(&format!("/{SHARED}/elsewhere")).await.expect(2002);
}

/// The same connection over HTTP, for the configurations that have another transport there.
pub(crate) struct HttpUplink {
    http: cse_tests::http::Http,
    receiver: Receiver,
}

impl HttpUplink {
    /// With a subscription to the shared container.
    pub(crate) async fn subscribed(infrastructure: &Node) -> Self {
        let mut uplink = Self { http: infrastructure.http("/id-mn/Csensor"), receiver: Receiver::start().await };
        let url = uplink.receiver.url();
        let subscription =
            json!({"m2m:sub": {"rn": "for-mn", "nu": [url], "enc": {"net": [3], "chty": [4]}, "nct": 1}});
        uplink.http.create(&format!("/{SHARED}"), 23, &subscription).await.expect(2001);
        let (_, question) = uplink.receiver.next().await;
        assert_eq!(question["m2m:sgn"]["vrq"], true, "{question}");
        uplink
    }

    /// Creates an instance in the shared container.
    pub(crate) async fn store(&self, value: &str) {
        self.http.create(&format!("/{SHARED}"), 4, &json!({"m2m:cin": {"con": value}})).await.expect(2001);
    }

    /// The content of the next notification.
    pub(crate) async fn notified(&mut self) -> String {
        let (_, content) = self.receiver.next().await;
        content_of(&json!({"pc": content}))
    }
}
