//! A group with members on every level, wherever the group itself is.

use cse_tests::wait::until_some;
use serde_json::{Value, json};

use super::site::{LEVELS, Site, path_of};

pub(crate) async fn a_group_has_members_on_every_level(site: &Site) {
    for host in LEVELS {
        let ae = site.ae(host);
        let members: Vec<_> = LEVELS.iter().map(|member| member.log_seen_by(host)).collect();
        let group = json!({"m2m:grp": {"rn": "all", "mt": 3, "mnm": 10, "mid": members}});
        let own = format!("/cse-{}/app", host.name());
        let created = ae.create(&own, 9, &group).await.expect(2001).json();
        assert_eq!(created["m2m:grp"]["cnm"], 4, "{created}");

        let value = format!("to all from {host:?}");
        let fan_out = format!("{own}/all/fopt");
        let answered = ae.create(&fan_out, 4, &json!({"m2m:cin": {"con": value}})).await.expect(2000).json();
        assert_each(&answered, 2001);
        let read = ae.get(&format!("{fan_out}/la")).await.expect(2000).json();
        for response in assert_each(&read, 2000) {
            assert_eq!(response["pc"]["m2m:cin"]["con"], json!(value), "{read}");
        }
        for level in LEVELS {
            let path = format!("/cse-{}/app/log?rcn=8&ty=4", level.name());
            until_some("the value is there once", async || {
                let listed = site.admin(level).get(&path).await.expect(2000).json();
                let instances = listed["m2m:cnt"]["m2m:cin"].as_array().cloned().unwrap_or_default();
                let here = instances.iter().filter(|instance| instance["con"] == json!(value)).count();
                (here == 1).then_some(())
            })
            .await;
        }
        // The group of another level is used like one's own.
        for user in host.others() {
            let path = path_of(&format!("{}/cse-{}/app/all", host.id_seen_by(user), host.name()));
            site.ae(user).get(&format!("{path}/fopt/la")).await.expect(4103);
        }
        ae.delete(&format!("{own}/all")).await.expect(2002);
    }
}

/// The responses of all members, which must have that status.
fn assert_each(aggregated: &Value, rsc: u64) -> Vec<Value> {
    let responses = aggregated["m2m:agr"]["m2m:rsp"].as_array().cloned().unwrap_or_default();
    assert_eq!(responses.len(), LEVELS.len(), "{aggregated}");
    assert!(responses.iter().all(|response| response["rsc"] == rsc), "{aggregated}");
    responses
}
