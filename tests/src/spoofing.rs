//! Attempts to be somebody else, the same over the embedded broker and an external one: as other levels of topics, as
//! other originators in `fr`, with other credentials, and by listening to what is for others.

use serde_json::{Value, json};

use crate::guarded::{Guarded, registration, retrieve};
use crate::metrics::sample;
use crate::secured::Secured;

/// What becomes of an attempt.
enum Fate {
    /// The broker drops it.
    Dropped,
    /// The CSE refuses it: with that status, and a text that contains this.
    Refused(u16, &'static str),
}

use Fate::{Dropped, Refused};

/// Has a client try all of it; after each attempt, what is its own still works.
async fn try_all(
    world: &Guarded,
    who: &str,
    client: &mut Secured,
    own: &str,
    from: &str,
    attempts: &[(&str, &str, Fate)],
) {
    for (topic, claimed, fate) in attempts {
        let denied = world.denied().await;
        let name = format!("spoof-{who}");
        let attempt = match topic.split('/').nth(2) {
            Some("reg_req") if matches!(fate, Refused(4126 | 4117, _)) => registration(claimed),
            _ => json!({"op": 1, "to": "Cother", "fr": claimed, "ty": 3, "pc": {"m2m:cnt": {"rn": name}}}),
        };
        match fate {
            Dropped => {
                let mut attempt = attempt;
                attempt["rqi"] = json!("attempt");
                attempt["rvi"] = json!("3");
                attempt["rsc"] = json!(2000);
                client.publish(topic, &attempt.to_string()).await;
                world.until_denied(denied + 1, &format!("{who} is denied {topic}")).await;
            }
            Refused(status, text) => {
                let answer = client.request(topic, attempt).await;
                let found = answer["pc"]["m2m:dbg"].as_str().unwrap_or_default();
                assert!(answer["rsc"] == *status && found.contains(text), "{who}: {topic} as {claimed}: {answer}");
            }
        }
        // No answer to the attempt has come before this one.
        let answer = client.request(own, retrieve(from, "cse-in/no-such")).await;
        assert!(answer["rsc"].is_number(), "{who}: {answer}");
    }
    assert_eq!(world.http("CAdmin").get(&format!("/Cother/spoof-{who}")).await.rsc(), 4004, "{who}");
}

/// Attempts to speak for others, on topics of theirs and on one's own.
///
/// # Panics
/// If one of them is not stopped where it should be.
pub async fn nobody_speaks_for_another(world: Guarded) {
    let mut victim = world.registered("lamp-8", "A::Cother", "Cother").await;
    assert!(victim.subscribe("/oneM2M/req/+/Cother/#").await);
    let mut lamp = world.registered("lamp-7", "A::Clamp", "Clamp").await;
    let own = "/oneM2M/req/Clamp/id-in/json";
    const NOT: &str = "may not speak for";
    let attempts = [
        // Under the level of another.
        ("/oneM2M/req/Cother/id-in/json", "Cother", Dropped),
        ("/oneM2M/req/id-in:Cother/id-in/json", "Cother", Dropped),
        ("/oneM2M/req/:cse.example:id-in:Cother/id-in/json", "Cother", Dropped),
        ("/oneM2M/req/Cother/id-in", "Cother", Dropped),
        ("/oneM2M/req/Cother/id-in/json", "Clamp", Dropped),
        ("/oneM2M/req/Sdoor/id-in/json", "Sdoor", Dropped),
        ("/oneM2M/req/CAdmin/id-in/json", "CAdmin", Dropped),
        ("/oneM2M/req/id-in/id-in/json", "/id-in", Dropped),
        ("/oneM2M/req/id-mn/id-in/json", "/id-mn", Dropped),
        // To another AE, as itself and as the CSE.
        ("/oneM2M/req/Clamp/Cother/json", "Clamp", Dropped),
        ("/oneM2M/req/id-in/Cother/json", "/id-in", Dropped),
        // Answers: of the CSE to another and to itself, of another to the CSE.
        ("/oneM2M/resp/Cother/id-in/json", "", Dropped),
        ("/oneM2M/resp/Clamp/id-in/json", "", Dropped),
        ("/oneM2M/resp/id-in/Cother/json", "", Dropped),
        // Registrations under the credential of another, and answers to them.
        ("/oneM2M/reg_req/lamp-8/id-in/json", "Cnew", Dropped),
        ("/oneM2M/reg_req/door/id-in/json", "Sdoor", Dropped),
        ("/oneM2M/reg_req/33-Sdoor/id-in/json", "Sdoor", Dropped),
        ("/oneM2M/reg_resp/lamp-8/id-in/json", "", Dropped),
        ("/oneM2M/reg_resp/lamp-7/id-in/json", "", Dropped),
        // Past the CSE.
        ("alarms", "", Dropped),
        // Under its own level, in the name of another.
        (own, "Cother", Refused(4103, NOT)),
        (own, "/id-in/Cother", Refused(4103, NOT)),
        (own, "//cse.example/id-in/Cother", Refused(4103, NOT)),
        (own, "CAdmin", Refused(4103, NOT)),
        (own, "Sdoor", Refused(4103, NOT)),
        (own, "/id-in", Refused(4103, NOT)),
        (own, "/id-mn", Refused(4103, NOT)),
        (own, "/id-mn/Cx", Refused(4103, NOT)),
        // As a CSE that has its own name.
        (own, "/Clamp", Refused(4103, NOT)),
        (own, "/Clamp/Cx", Refused(4103, NOT)),
        // Under its own credential, something else than a registration, or that of another.
        ("/oneM2M/reg_req/lamp-7/id-in/json", "Clamp", Refused(4103, "registrations only")),
        ("/oneM2M/reg_req/lamp-7/id-in/json", "Cother", Refused(4117, "Cother")),
        ("/oneM2M/reg_req/lamp-7/id-in/json", "CAdmin", Refused(4126, "lamp-7")),
    ];
    try_all(&world, "lamp", &mut lamp, own, "Clamp", &attempts).await;

    let mut middle = world.connected("middle", "C::/id-mn").await;
    let own = "/oneM2M/req/id-mn/id-in/json";
    assert!(middle.subscribe("/oneM2M/resp/id-mn/id-in/#").await);
    assert!(middle.subscribe("/oneM2M/reg_resp/middle/#").await);
    let attempts = [
        ("/oneM2M/req/Cother/id-in/json", "Cother", Dropped),
        ("/oneM2M/req/id-in:Cother/id-in/json", "Cother", Dropped),
        ("/oneM2M/req/id-mn:Cx/id-in/json", "/id-mn/Cx", Dropped),
        ("/oneM2M/req/id-mn/Cother/json", "/id-mn", Dropped),
        ("/oneM2M/req/id-in/Cother/json", "/id-in", Dropped),
        ("/oneM2M/resp/id-in/Cother/json", "", Dropped),
        ("/oneM2M/resp/Cother/id-in/json", "", Dropped),
        ("/oneM2M/reg_req/lamp-8/id-in/json", "Cnew", Dropped),
        // A CSE passes on requests of its own, and of those that are registered here only what comes back.
        (own, "Cother", Refused(4103, NOT)),
        (own, "/id-in/Cother", Refused(4103, NOT)),
        (own, "//cse.example/id-in/Cother", Refused(4103, NOT)),
        (own, "/id-in/Cnobody", Refused(4103, NOT)),
        (own, "CAdmin", Refused(4103, NOT)),
        (own, "/id-in/CAdmin", Refused(4103, NOT)),
        (own, "/id-in", Refused(4103, NOT)),
        (own, "id-mn", Refused(4103, NOT)),
        ("/oneM2M/reg_req/middle/id-in/json", "Cmine", Refused(4126, "middle")),
    ];
    try_all(&world, "middle", &mut middle, own, "/id-mn", &attempts).await;

    // All the while nothing has reached the one they spoke for or to.
    let answer = victim.request("/oneM2M/req/Cother/id-in/json", retrieve("Cother", "Cother")).await;
    assert_eq!(answer["rsc"], 2000, "{answer}");
    assert!(sample(&world.server, "cse_mqtt_originator_mismatches_total").await > 0.0);
}

/// Levels that a topic can begin with, and what may stand in `fr`.
const LEVELS: [&str; 11] =
    ["Clamp", "id-in:Clamp", "Cother", "id-in:Cother", "Sdoor", "id-mn", "id-mn:Cx", "id-in", "CAdmin", "lamp-7", "C"];
const FROM: [&str; 10] =
    ["Clamp", "/id-in/Clamp", "Cother", "Sdoor", "/id-mn", "/id-mn/Cx", "/id-other/Cx", "/id-in", "CAdmin", "lamp-7"];

/// Each credential, on each level, with each `fr`: let through only where all three are the same entity.
///
/// # Panics
/// If one of the combinations ends otherwise.
pub async fn topic_originator_and_credential_agree(world: Guarded) {
    let _other = world.registered("lamp-8", "A::Cother", "Cother").await;
    let mut clients = vec![
        ("lamp-7", world.registered("lamp-7", "A::Clamp", "Clamp").await),
        ("door", world.registered("door", "A::Sdoor", "Sdoor").await),
    ];
    for (name, client_id) in [("middle", "C::/id-mn"), ("operator", "A::CAdmin"), ("lamp-9", "lamp-9")] {
        clients.push((name, world.connected(name, client_id).await));
    }
    for (name, mut client) in clients {
        let (own, speaks_for): (&[&str], &[&str]) = match name {
            "lamp-7" => (&["Clamp", "id-in:Clamp"], &["Clamp", "/id-in/Clamp"]),
            "door" => (&["Sdoor"], &["Sdoor"]),
            "middle" => (&["id-mn"], &["/id-mn", "/id-mn/Cx", "/id-other/Cx"]),
            "operator" => (&["CAdmin"], &["CAdmin"]),
            _ => (&[], &[]),
        };
        for level in LEVELS {
            // An external broker knows a user by its name, and lets it speak as that. It reaches nothing by it.
            let is_name = world.is_external() && level == name;
            if own.contains(&level) || is_name {
                assert!(client.subscribe(&format!("/oneM2M/resp/{level}/#")).await, "{name}: {level}");
            }
            for from in FROM {
                let what = format!("{name} on {level} as {from}");
                let topic = format!("/oneM2M/req/{level}/id-in/json");
                let attempt = retrieve(from, "cse-in/no-such");
                if own.contains(&level) || is_name {
                    let answer = client.request(&topic, attempt).await;
                    let explanation = answer["pc"]["m2m:dbg"].as_str().unwrap_or_default();
                    let is_refused = answer["rsc"] == 4103 && explanation.contains("may not speak for");
                    let agrees = speaks_for.contains(&from) && !is_name || is_name && from == name;
                    assert_eq!(is_refused, !agrees, "{what}: {answer}");
                } else {
                    let denied = world.denied().await;
                    client.publish(&topic, &with_identifier(attempt).to_string()).await;
                    world.until_denied(denied + 1, &what).await;
                }
            }
        }
    }
}

fn with_identifier(mut primitive: Value) -> Value {
    primitive["rqi"] = json!("attempt");
    primitive["rvi"] = json!("3");
    primitive
}

/// Answers requests of the CSE until the answer to one's own comes; how many there were.
async fn answering(client: &mut Secured, own: &str, mut primitive: Value) -> (Value, Vec<Value>) {
    primitive["rqi"] = json!("own");
    primitive["rvi"] = json!("3");
    client.publish(own, &primitive.to_string()).await;
    let mut asked = Vec::new();
    loop {
        let (topic, message) = client.next().await;
        if topic.starts_with("/oneM2M/resp/") {
            assert_eq!(message["rqi"], "own", "{message}");
            return (message, asked);
        }
        let answer = json!({"rsc": 2000, "rqi": message["rqi"], "rvi": "3"});
        client.publish(&topic.replacen("/req/", "/resp/", 1), &answer.to_string()).await;
        asked.push(message);
    }
}

/// All that a device does: it registers under its credential, creates, has itself notified, and answers.
///
/// # Panics
/// If any of it does not work.
pub async fn a_device_is_served(world: &Guarded, mut client: Secured, name: &str, stem: &str) {
    let own = format!("/oneM2M/req/{stem}/id-in/json");
    assert!(client.subscribe(&format!("/oneM2M/reg_resp/{name}/#")).await);
    let answer = client.request(&format!("/oneM2M/reg_req/{name}/id-in/json"), registration(stem)).await;
    assert_eq!((&answer["rsc"], &answer["pc"]["m2m:ae"]["aei"]), (&json!(2001), &json!(stem)), "{answer}");
    for filter in [format!("/oneM2M/resp/{stem}/#"), format!("/oneM2M/req/+/{stem}/#")] {
        assert!(client.subscribe(&filter).await, "{filter}");
    }
    let create = |to: &str, ty: u16, content: Value| json!({"op": 1, "to": to, "fr": stem, "ty": ty, "pc": content});
    let container = create(stem, 3, json!({"m2m:cnt": {"rn": "values"}}));
    assert_eq!(client.request(&own, container).await["rsc"], 2001);
    let values = format!("{stem}/values");
    let subscription = json!({"m2m:sub": {"rn": "watch", "nu": [stem], "enc": {"net": [3]}}});
    let (answer, _) = answering(&mut client, &own, create(&values, 23, subscription)).await;
    assert_eq!(answer["rsc"], 2001, "{answer}");
    let instance = create(&values, 4, json!({"m2m:cin": {"con": "21"}}));
    let (answer, mut notified) = answering(&mut client, &own, instance).await;
    assert_eq!(answer["rsc"], 2001, "{answer}");
    while !notified.iter().any(|message| message["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"] == "21") {
        let (topic, message) = client.next().await;
        assert_eq!(topic, format!("/oneM2M/req/id-in/{stem}/json"));
        let answer = json!({"rsc": 2000, "rqi": message["rqi"], "rvi": "3"});
        client.publish(&topic.replacen("/req/", "/resp/", 1), &answer.to_string()).await;
        notified.push(message);
    }
    // The CSE has got the answer: nothing is tried again.
    crate::wait::until_some("the notification is delivered", async || {
        (sample(&world.server, "cse_notifications_waiting").await == 0.0).then_some(())
    })
    .await;
}
