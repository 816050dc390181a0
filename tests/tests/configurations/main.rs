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
//! Embedded brokers are those that are co-located, a mosquitto is the independent one. IN and MN are servers of ours, the MN
//! is registered with the IN, and AEs at both ends work with each other through them.

use cse_tests::gateways::{Over, resource};
use cse_tests::mqtt::Entity;
use cse_tests::party::{Party, work_with_each_other};

mod mca;
mod mcc;
mod nodes;

use nodes::{Node, Place, Site, Transport};

async fn ae_to_in(place: Place, transport: Transport) {
    let site = Site::new(place, transport);
    let infrastructure = site.infrastructure_node(true).await;
    mca::works(&site, &infrastructure).await;
}

async fn ae_to_mn(place: Place, transport: Transport) {
    let site = Site::new(place, transport);
    let infrastructure = site.infrastructure_node(false).await;
    let middle = site.middle_node(&infrastructure, Over::Http, true).await;
    mca::works(&site, &middle).await;
    work_with_each_other(&mut over_mqtt(&site, &middle, "Cbelow").await, &mut over_http(&infrastructure, "Capp").await)
        .await;
}

async fn mn_to_in(place: Place, transport: Transport) {
    let site = Site::new(place, transport);
    let infrastructure = site.infrastructure_node(true).await;
    let middle = site.middle_node(&infrastructure, Over::Mqtt, false).await;
    work_with_each_other(&mut over_http(&middle, "Cbelow").await, &mut over_mqtt(&site, &infrastructure, "Capp").await)
        .await;
}

async fn ae_to_mn_to_in(place: Place, transport: Transport) {
    let site = Site::new(place, transport);
    let infrastructure = site.infrastructure_node(true).await;
    let middle = site.middle_node(&infrastructure, Over::Mqtt, true).await;
    // Whoever has shown a certificate may not listen to others.
    let mut observer = match transport {
        Transport::Plain | Transport::Tls => Some(observer(&site, &infrastructure).await),
        Transport::Mutual => None,
    };
    mca::works(&site, &middle).await;
    // Towards brokers of others, a server shows no certificate.
    if place == Place::CoLocated && transport != Transport::Mutual {
        mcc::reaches_the_broker_of_the_mn(&site, &infrastructure, &middle).await;
    }
    let mut below = over_mqtt(&site, &middle, "Cbelow").await;
    work_with_each_other(&mut below, &mut over_mqtt(&site, &infrastructure, "Capp").await).await;

    // Two co-located brokers share no topics: of what AE and MN have said, the one of the IN has seen nothing.
    if let Some(observer) = &mut observer {
        let seen = seen_by(observer).await;
        assert!(seen.iter().any(|topic| topic == "/oneM2M/req/id-mn/id-in/json"), "{seen:?}");
        assert!(seen.iter().any(|topic| topic == "/oneM2M/req/id-in/id-mn/json"), "{seen:?}");
        let is_of = |topic: &String, stem: &str| topic.split('/').any(|level| level == stem);
        assert!(seen.iter().any(|topic| is_of(topic, "Capp")), "{seen:?}");
        let of_the_ae = seen.iter().any(|topic| is_of(topic, "Csensor") || is_of(topic, "Cbelow"));
        assert_eq!(of_the_ae, place == Place::Independent, "{seen:?}");
    }
}

/// MQTT at the IN, which has no way but HTTP to its MN and back; and at the MN that, or HTTP alone.
async fn http_between(place: Place, at_the_middle: Over) {
    let site = Site::new(place, Transport::Plain);
    let infrastructure = site.infrastructure_node(true).await;
    // At one independent broker the two would meet over MQTT, too, whatever the MN prefers.
    let nowhere = Site::new(Place::CoLocated, Transport::Plain);
    let middle = nowhere.middle_node(&infrastructure, Over::Http, at_the_middle == Over::Mqtt).await;
    let mut below = match at_the_middle {
        Over::Mqtt => over_mqtt(&nowhere, &middle, "Cbelow").await,
        Over::Http => over_http(&middle, "Cbelow").await,
    };
    let registered = resource(&infrastructure.server, "/cse-in/id-mn").await;
    let preferred = registered["poa"][0].as_str();
    assert!(preferred.is_some_and(|url| url.starts_with("http:")), "{registered}");
    work_with_each_other(&mut below, &mut over_mqtt(&site, &infrastructure, "Capp").await).await;
}

async fn over_mqtt(site: &Site, node: &Node, stem: &str) -> Party {
    Party::over_mqtt(&site.way(node, stem), node.cse, node.base, stem).await
}

async fn over_http(node: &Node, stem: &str) -> Party {
    Party::over_http(node.server.http(), node.cse, node.base, stem).await
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

mod mixed {
    use super::*;

    #[tokio::test]
    async fn an_mn_that_has_http_alone_and_an_in_with_its_own_broker() {
        http_between(Place::CoLocated, Over::Http).await;
    }

    #[tokio::test]
    async fn an_mn_that_has_http_alone_and_an_in_with_an_independent_broker() {
        http_between(Place::Independent, Over::Http).await;
    }

    #[tokio::test]
    async fn mqtt_below_and_above_and_http_between() {
        http_between(Place::CoLocated, Over::Mqtt).await;
    }
}
