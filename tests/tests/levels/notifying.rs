//! Subscriptions at one level whose target is the AE of another one.

use std::pin::pin;

use cse_tests::mqtt::Entity;
use serde_json::{Value, json};

use super::site::{LEVELS, Level, Site, path_of};

/// The AE of that level at its own broker, where it is told.
async fn listening(site: &Site, level: Level) -> Entity {
    let (stem, cse) = (level.stem(), format!("id-{}", level.name()));
    let filters = [format!("/oneM2M/resp/{stem}/{cse}/#"), format!("/oneM2M/req/+/{stem}/#")];
    Entity::connect_with(site.server(level).mqtt_port(), &stem, &filters).await.asking(&cse)
}

/// The content of the next notification, which is answered.
async fn told(ae: &mut Entity) -> Value {
    let notification = ae.next_request().await;
    ae.respond(&notification, 2000).await;
    notification.primitive["pc"]["m2m:sgn"].clone()
}

/// For the AE of each level there is a subscription at each other one: it is told of what is new, and of the end.
pub(crate) async fn everybody_is_told_by_everybody(site: &Site) {
    // Until the end, so that the last answers arrive.
    let mut listeners = Vec::new();
    for listener in LEVELS {
        let mut ae = listening(site, listener).await;
        for teller in listener.others() {
            // Who subscribes for itself, and from afar, is not asked.
            for subscriber in [listener, teller] {
                subscribe(site, &mut ae, listener, teller, subscriber).await;
                let value = format!("{teller:?} tells {listener:?}, as {subscriber:?} wished");
                let own = path_of(&teller.log_seen_by(teller));
                site.ae(teller).create(&own, 4, &json!({"m2m:cin": {"con": value}})).await.expect(2001);
                let notification = told(&mut ae).await;
                assert_eq!(notification["nev"]["rep"]["m2m:cin"]["con"], json!(value), "{notification}");
                // The subscription is named so that the AE can use the name.
                let address = notification["sur"].as_str().expect("an address").to_owned();
                let subscription = ae.retrieve(&address).await.expect(2000);
                assert_eq!(subscription.resource()["rn"], "s");

                site.admin(teller).delete(&format!("{own}/s")).await.expect(2002);
                let end = told(&mut ae).await;
                assert_eq!(end["sud"], true, "{end}");
            }
        }
        assert_eq!(ae.requests_waiting(), 0);
        listeners.push(ae);
    }
}

async fn subscribe(site: &Site, ae: &mut Entity, listener: Level, teller: Level, subscriber: Level) {
    let target = listener.ae_seen_by(teller);
    let policy = format!("{}/id-{1}/cse-{1}/all-levels", teller.provider(), teller.name());
    let subscription = json!({"m2m:sub": {
        "rn": "s", "nct": 1, "nu": [target], "su": target, "enc": {"net": [3], "chty": [4]}, "acpi": [policy]
    }});
    let (http, log) = (site.ae(subscriber), path_of(&teller.log_seen_by(subscriber)));
    let mut creating = pin!(http.create(&log, 23, &subscription));
    if subscriber != listener {
        // It is asked before the request is answered.
        let verification = tokio::select! {
            answer = &mut creating => panic!("nobody was asked: {answer:?}"),
            verification = told(ae) => verification,
        };
        assert_eq!(verification["vrq"], true, "{verification}");
        assert_eq!(verification["cr"], teller.ae_seen_by(listener), "{verification}");
    }
    creating.await.expect(2001);
}
