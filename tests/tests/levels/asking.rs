//! Requests of the AE of each level for what is at each other one, blocking and not.

use cse_tests::http::Http;
use cse_tests::receiver::Receiver;
use cse_tests::wait::until_some;
use serde_json::{Value, json};

use super::site::{LEVELS, Level, Site, path_of};

/// CREATE, RETRIEVE, UPDATE and DELETE.
pub(crate) async fn everybody_asks_everybody(site: &Site) {
    for asking in LEVELS {
        let ae = site.ae(asking);
        for asked in asking.others() {
            let log = path_of(&asked.log_seen_by(asking));
            let (value, way) = (format!("{asking:?}-{asked:?}"), format!("{log} from {asking:?}"));
            let created = ae.create(&log, 4, &json!({"m2m:cin": {"con": value}})).await.expect(2001).json();
            assert_eq!(created["m2m:cin"]["con"], json!(value), "{way}");
            let there = site.admin(asked).get(&format!("/cse-{}/app/log/la", asked.name())).await.expect(2000).json();
            assert_eq!(there["m2m:cin"]["con"], json!(value), "{way}");
            let read = ae.get(&format!("{log}/la")).await.expect(2000).json();
            assert_eq!(read["m2m:cin"]["con"], json!(value), "{way}");

            let container = json!({"m2m:cnt": {"rn": asking.name(), "cr": null}});
            ae.create(&log, 3, &container).await.expect(2001);
            let path = format!("{log}/{}", asking.name());
            let creator = site.admin(asked).get(&format!("/cse-{}/app/log/{}", asked.name(), asking.name())).await;
            assert_eq!(creator.expect(2000).json()["m2m:cnt"]["cr"], asking.ae_seen_by(asked), "{way}");
            let updated = ae.update(&path, &json!({"m2m:cnt": {"lbl": [value]}})).await.expect(2004).json();
            assert_eq!(updated["m2m:cnt"]["lbl"], json!([value]), "{way}");
            let found = ae.get(&format!("{log}?fu=1&lbl={value}")).await.expect(2000).json();
            assert_eq!(found["m2m:uril"].as_array().map(Vec::len), Some(1), "{found} at {way}");
            ae.delete(&path).await.expect(2002);
            ae.get(&path).await.expect(4004);
        }
    }
}

/// Refusals come back as they were given, and what is nowhere is said to be so without circles.
pub(crate) async fn what_is_not_allowed_or_not_there_is_said_from_afar(site: &Site) {
    for asking in LEVELS {
        let ae = site.ae(asking);
        for asked in asking.others() {
            let base = format!("{}/cse-{}", asked.id_seen_by(asking), asked.name());
            ae.get(&path_of(&format!("{base}/all-levels"))).await.expect(4103);
            ae.get(&path_of(&format!("{base}/app/nothing"))).await.expect(4004);
        }
        for nowhere in ["/id-nowhere/x", "//cse.example/id-nowhere/x", "//other.example/id-nowhere/x"] {
            ae.get(&path_of(nowhere)).await.expect(4004);
        }
        let stranger = Http::new(site.server(asking).http(), "Cstranger");
        for asked in asking.others() {
            stranger.get(&path_of(&asked.log_seen_by(asking))).await.expect(4106);
        }
    }
}

/// The `<request>` at that address, once it has a result.
async fn result(ae: &Http, address: &str) -> Value {
    until_some("a result", async || {
        let request = ae.get(&path_of(address)).await.expect(2000).json()["m2m:req"].clone();
        (request["rs"] != 3).then_some(request)
    })
    .await
}

/// Non-blocking requests: the result is at the CSE that took the request, and is told where that is wanted.
pub(crate) async fn results_are_fetched_and_told(site: &Site) {
    for asking in LEVELS {
        let ae = site.ae(asking);
        let mut receiver = Receiver::start().await;
        for asked in asking.others() {
            let value = format!("later from {asking:?} to {asked:?}");
            let (path, body) = (path_of(&asked.log_seen_by(asking)), json!({"m2m:cin": {"con": value}}).to_string());
            let url = receiver.url();
            let more = [("Content-Type", "application/json;ty=4"), ("X-M2M-RTU", url.as_str())];
            let accepted = ae.request_with("POST", &format!("{path}?rt=1"), &more[..1], &body).await.expect(1001);
            let address = accepted.json()["m2m:uri"].as_str().expect("an address").to_owned();
            assert!(address.starts_with(&format!("/id-{}/", asking.name())), "{address}");
            let request = result(&ae, &address).await;
            assert_eq!(request["ors"]["rsc"], 2001, "{request}");
            assert_eq!(request["ors"]["pc"]["m2m:cin"]["con"], json!(value), "{request}");

            ae.request_with("POST", &format!("{path}?rt=2"), &more, &body).await.expect(1002);
            let (_, told) = receiver.next().await;
            assert_eq!(told["m2m:rsp"]["rsc"], 2001, "{told}");
            assert_eq!(told["m2m:rsp"]["pc"]["m2m:cin"]["con"], json!(value), "{told}");
            let listed = site.admin(asked).get(&format!("/cse-{}/app/log?rcn=8&ty=4", asked.name())).await;
            let listed = listed.expect(2000).json()["m2m:cnt"]["m2m:cin"].clone();
            let here = listed.as_array().into_iter().flatten().filter(|instance| instance["con"] == json!(value));
            assert_eq!(here.count(), 2, "{listed}");
        }
        let missing = path_of(&format!("{}/nothing", far_from(asking).log_seen_by(asking)));
        let accepted = ae.get(&format!("{missing}?rt=1")).await.expect(1001).json();
        let request = result(&ae, accepted["m2m:uri"].as_str().expect("an address")).await;
        assert_eq!(request["ors"]["rsc"], 4004, "{request}");
    }
}

/// The level with the longest way.
fn far_from(level: Level) -> Level {
    if level == Level::Up { Level::Mn2 } else { Level::Up }
}
