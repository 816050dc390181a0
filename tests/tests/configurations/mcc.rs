//! Mcc besides requests that are passed on: the IN as a client of the broker in the MN.

use cse_tests::mqtt::Entity;
use serde_json::json;

use super::mca::content_of;
use super::nodes::{Node, Site};

/// The point of access of the MN is on its own broker, to which the IN connects when it has something to tell.
pub(crate) async fn reaches_the_broker_of_the_mn(site: &Site, infrastructure: &Node, middle: &Node) {
    let filters = ["uplink/oneM2M/req/+/id-mn/#".to_owned()];
    let way = site.way(middle, "none");
    let mut entity = Entity::connect_over(&way, "C::id-mn@downlink", "id-mn", &filters).await;
    let url = format!("{}/uplink/oneM2M/req/id-in/id-mn/json", middle.point_of_access().await);
    let subscription = json!({"m2m:sub": {"rn": "elsewhere", "nu": [url], "enc": {"net": [3], "chty": [4]}, "nct": 1}});
    let admin = infrastructure.http("CAdmin");
    let container = json!({"m2m:cnt": {"rn": "shared"}});
    admin.create("/cse-in", 3, &container).await.expect(2001);
    let creating = tokio::spawn(async move { admin.create("/cse-in/shared", 23, &subscription).await });
    let question = entity.next_other().await;
    assert_eq!(question.primitive["pc"]["m2m:sgn"]["vrq"], true, "{}", question.primitive);
    entity.respond(&question, 2000).await;
    creating.await.expect("no panic").expect(2001);
    let admin = infrastructure.http("CAdmin");
    admin.create("/cse-in/shared", 4, &json!({"m2m:cin": {"con": "to the MN"}})).await.expect(2001);
    let notification = entity.next_other().await;
    entity.respond(&notification, 2000).await;
    assert_eq!(content_of(&notification.primitive), "to the MN");
    admin.delete("/cse-in/shared/elsewhere").await.expect(2002);
}
