//! What MN2 announces to all above it.

use cse_tests::wait::until_some;
use serde_json::{Value, json};

use super::site::{Level, Site, path_of};

const HOSTS: [Level; 3] = [Level::Mn1, Level::In, Level::Up];

/// The copies of `/cse-mn2/app/log/NAME` once there is one at each host, by host.
async fn copies(site: &Site, name: &str) -> Vec<(Level, String)> {
    let admin = site.admin(Level::Mn2);
    until_some("copies everywhere", async || {
        let original = admin.get(&format!("/cse-mn2/app/log/{name}")).await.expect(2000).json();
        let listed = original["m2m:cnt"]["at"].as_array().cloned().unwrap_or_default();
        assert_eq!(listed.len(), HOSTS.len(), "none is given up: {original}");
        let at = |host: Level| {
            let start = format!("{}/", host.id_seen_by(Level::Mn2));
            listed.iter().filter_map(Value::as_str).find(|address| address.starts_with(&start)).map(str::to_owned)
        };
        HOSTS.iter().map(|host| Some((*host, at(*host)?))).collect::<Option<Vec<_>>>()
    })
    .await
}

/// Waits until each copy is as it should be.
async fn each_is(site: &Site, copies: &[(Level, String)], what: &str, is: impl Fn(&Value) -> bool) {
    for (host, address) in copies {
        let admin = site.admin(*host);
        until_some(&format!("at {host:?}: {what}"), async || {
            let copy = admin.get(&path_of(address)).await.expect(2000).json()["m2m:cntA"].clone();
            is(&copy).then_some(())
        })
        .await;
    }
}

pub(crate) async fn copies_above_follow_their_original(site: &Site) {
    let ae = site.ae(Level::Mn2);
    let hosts: Vec<_> = HOSTS.iter().map(|host| host.id_seen_by(Level::Mn2)).collect();
    let announced = json!({"m2m:cnt": {
        "rn": "shown", "at": hosts, "aa": ["mni"], "mni": 3, "lbl": ["first"], "acpi": ["cse-mn2/all-levels"]
    }});
    ae.create("/cse-mn2/app/log", 3, &announced).await.expect(2001);
    let copies = copies(site, "shown").await;
    let original = site.admin(Level::Mn2).get("/cse-mn2/app/log/shown").await.expect(2000).json();
    let id = original["m2m:cnt"]["ri"].as_str().expect("an identifier").to_owned();
    for (host, address) in &copies {
        let copy = site.admin(*host).get(&path_of(address)).await.expect(2000).json()["m2m:cntA"].clone();
        assert_eq!(copy["lnk"], format!("{}/{id}", Level::Mn2.id_seen_by(*host)), "{copy}");
        assert_eq!((&copy["mni"], &copy["lbl"]), (&json!(3), &json!(["first"])), "{copy}");
    }
    ae.update("/cse-mn2/app/log/shown", &json!({"m2m:cnt": {"mni": 7, "lbl": null}})).await.expect(2004);
    each_is(site, &copies, "what has changed", |copy| copy["mni"] == 7 && copy["lbl"].is_null()).await;
    // From each copy there is a way to the original.
    for (host, address) in &copies {
        let copy = site.admin(*host).get(&path_of(address)).await.expect(2000).json()["m2m:cntA"].clone();
        let link = path_of(copy["lnk"].as_str().expect("a link"));
        let original = site.ae(*host).get(&link).await.expect(2000).json();
        assert_eq!(original["m2m:cnt"]["rn"], "shown", "{host:?}: {original}");
    }
    ae.delete("/cse-mn2/app/log/shown").await.expect(2002);
    for (host, address) in &copies {
        let admin = site.admin(*host);
        let gone = async || (admin.get(&path_of(address)).await.rsc() == 4004).then_some(());
        until_some(&format!("the copy at {host:?} is gone"), gone).await;
    }
}
