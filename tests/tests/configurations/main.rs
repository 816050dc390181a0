//! The configurations of TS-0010 §6.2.3 with real processes: each over TCP, over TLS, and over TLS with certificates on
//! both sides.
//!
//! | clause | who speaks MQTT | MQTT server |
//! | --- | --- | --- |
//! | 6.2.3.1, 6.2.3.5 | AE and IN | in the IN, independent |
//! | 6.2.3.2, 6.2.3.6 | AE and MN; to the IN it is HTTP | in the MN, independent |
//! | 6.2.3.3, 6.2.3.7 | MN and IN | in the IN, independent |
//! | 6.2.3.4, 6.2.3.8 | AE, MN and IN | in both nodes, independent |
//!
//! Embedded brokers are those that are co-located, a mosquitto is the independent one. The IN and the MN of the AEs are
//! servers of ours; what goes from the MN to the IN is sent by a client in its place.

use cse_tests::mqtt::Entity;
use serde_json::json;

mod mca;
mod mcc;
mod nodes;

use mca::{content_of, notified, store, subscribe};
use mcc::{HttpUplink, SHARED, Uplink};
use nodes::{Node, Place, Site, Transport};

async fn ae_to_in(place: Place, transport: Transport) {
    let site = Site::new(place, transport);
    let infrastructure = site.infrastructure_node(true).await;
    mca::works(&site, &infrastructure).await;
}

async fn ae_to_mn(place: Place, transport: Transport) {
    let site = Site::new(place, transport);
    let infrastructure = site.infrastructure_node(false).await;
    let middle = site.middle_node().await;
    let mut sensor = mca::works(&site, &middle).await;

    mcc::prepare(&infrastructure).await;
    let mut uplink = HttpUplink::subscribed(&infrastructure).await;
    let mut gateway = gateway(&site, &middle, &mut sensor).await;
    store(&mut sensor, "cse-mn/sensor/log", "up").await;
    uplink.store(&content_of(&notified(&mut gateway).await.primitive)).await;
    assert_eq!(uplink.notified().await, "up");
    let admin = infrastructure.http("CAdmin");
    admin.create(&format!("/{SHARED}"), 4, &json!({"m2m:cin": {"con": "down"}})).await.expect(2001);
    store(&mut gateway, "cse-mn/gateway/commands", &uplink.notified().await).await;
    assert_eq!(content_of(&notified(&mut sensor).await.primitive), "down");
}

async fn mn_to_in(place: Place, transport: Transport) {
    let site = Site::new(place, transport);
    let infrastructure = site.infrastructure_node(true).await;
    mcc::prepare(&infrastructure).await;
    let mut uplink = Uplink::connect(&site, &infrastructure, "").await;
    mcc::works(&infrastructure, &mut uplink).await;
}

async fn ae_to_mn_to_in(place: Place, transport: Transport) {
    let site = Site::new(place, transport);
    let infrastructure = site.infrastructure_node(true).await;
    let middle = site.middle_node().await;
    // Whoever has shown a certificate may not listen to others.
    let mut observer = match transport {
        Transport::Plain | Transport::Tls => Some(observer(&site, &infrastructure).await),
        Transport::Mutual => None,
    };
    let mut sensor = mca::works(&site, &middle).await;
    mcc::prepare(&infrastructure).await;
    let prefix = if place == Place::Independent { "uplink" } else { "" };
    let mut uplink = Uplink::connect(&site, &infrastructure, prefix).await;
    mcc::works(&infrastructure, &mut uplink).await;
    // Towards brokers of others, a server shows no certificate.
    if place == Place::CoLocated && transport != Transport::Mutual {
        mcc::reaches_the_broker_of_the_mn(&site, &infrastructure, &middle).await;
    }

    let mut app = Entity::registered_over(&site.way(&infrastructure, "Capp"), "id-in", "Capp", "app").await;
    let subscription =
        json!({"m2m:sub": {"rn": "app", "nu": ["/id-in/Capp"], "enc": {"net": [3], "chty": [4]}, "nct": 1}});
    app.create(SHARED, 23, subscription).await.expect(2001);
    uplink.subscribe().await;
    let mut gateway = gateway(&site, &middle, &mut sensor).await;
    store(&mut sensor, "cse-mn/sensor/log", "up").await;
    uplink.store("/id-mn/Csensor", &content_of(&notified(&mut gateway).await.primitive)).await;
    assert_eq!(content_of(&notified(&mut app).await.primitive), "up");
    assert_eq!(uplink.notified().await, "up");
    store(&mut app, SHARED, "down").await;
    assert_eq!(content_of(&notified(&mut app).await.primitive), "down");
    store(&mut gateway, "cse-mn/gateway/commands", &uplink.notified().await).await;
    assert_eq!(content_of(&notified(&mut sensor).await.primitive), "down");

    // Two co-located brokers share no topics: of what AE and MN have said, the one of the IN has seen nothing.
    if let Some(observer) = &mut observer {
        let seen = seen_by(observer).await;
        assert!(seen.iter().any(|topic| topic == "/oneM2M/req/id-mn/id-in/json"), "{seen:?}");
        let of_the_ae = seen.iter().filter(|topic| topic.split('/').any(|level| level == "Csensor")).count();
        assert_eq!(of_the_ae > 0, place == Place::Independent, "{seen:?}");
    }
}

/// The part of the MN that is an AE of it: it is told what the sensor stores, and tells the sensor of commands.
async fn gateway(site: &Site, middle: &Node, sensor: &mut Entity) -> Entity {
    let way = site.way(middle, "Cgateway");
    let mut gateway = Entity::registered_over(&way, "id-mn", "Cgateway", "gateway").await;
    gateway.create("cse-mn/gateway", 3, json!({"m2m:cnt": {"rn": "commands"}})).await.expect(2001);
    subscribe(sensor, "cse-mn/sensor/log", &mut gateway, "/id-mn/Cgateway").await;
    subscribe(&mut gateway, "cse-mn/gateway/commands", sensor, "/id-mn/Csensor").await;
    gateway
}

/// Somebody who sees every topic of TS-0010 on the broker of a node.
async fn observer(site: &Site, node: &Node) -> Entity {
    let filters = ["/oneM2M/#".to_owned()];
    Entity::connect_over(&site.way(node, "none"), "observer", "observer", &filters).await
}

/// The topics of all that came so far, and of all that is sent before this is called.
async fn seen_by(observer: &mut Entity) -> Vec<String> {
    // A message of its own is the last.
    let end = "/oneM2M/resp/observer/observer/json";
    observer.publish(end, "{}").await;
    let mut seen = Vec::new();
    loop {
        let topic = observer.next_answer().await.topic;
        if topic == end {
            break;
        }
        seen.push(topic);
    }
    while observer.requests_waiting() > 0 {
        seen.push(observer.next_request().await.topic);
    }
    seen
}

/// The table: a test for each configuration over each transport.
macro_rules! configurations {
    ($($module:ident: $story:ident, $place:ident;)*) => {
        $(
            mod $module {
                use super::*;

                #[tokio::test]
                async fn plain() {
                    $story(Place::$place, Transport::Plain).await;
                }

                #[tokio::test]
                async fn tls() {
                    $story(Place::$place, Transport::Tls).await;
                }

                #[tokio::test]
                async fn mutual_tls() {
                    $story(Place::$place, Transport::Mutual).await;
                }
            }
        )*
    };
}

configurations! {
    clause_6_2_3_1_ae_to_in_co_located: ae_to_in, CoLocated;
    clause_6_2_3_2_ae_to_mn_co_located: ae_to_mn, CoLocated;
    clause_6_2_3_3_mn_to_in_co_located: mn_to_in, CoLocated;
    clause_6_2_3_4_ae_to_mn_to_in_co_located: ae_to_mn_to_in, CoLocated;
    clause_6_2_3_5_ae_to_in_independent: ae_to_in, Independent;
    clause_6_2_3_6_ae_to_mn_independent: ae_to_mn, Independent;
    clause_6_2_3_7_mn_to_in_independent: mn_to_in, Independent;
    clause_6_2_3_8_ae_to_mn_to_in_independent: ae_to_mn_to_in, Independent;
}
