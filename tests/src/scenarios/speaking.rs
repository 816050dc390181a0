//! JSON, XML and CBOR: everything that is said in one of them can be said in the others, and is answered in kind.

use serde_json::{Value, json};

use super::World;
use crate::form::{Form, all, text, texts};
use crate::mqtt::{Answer, Entity, Message};
use crate::receiver::Receiver;

/// An AE of that form's name that speaks it, registered in it below `cse-in`.
async fn speaker(world: &World, form: Form) -> Entity {
    let mut entity = Entity::connect(world.port(), &format!("C{}", form.name())).await;
    entity.speak(form);
    let ae = json!({
        "rn": form.name(), "api": "N.test", "rr": true, "srv": ["2a", "3"], "csz": [form.media_type()]
    });
    let registered = entity.create("cse-in", 2, json!({"m2m:ae": ae})).await.expect(2001);
    assert_eq!(texts(&registered.resource()["srv"]), ["2a", "3"], "{}", registered.0);
    entity
}

fn all_are(answer: &Answer, rsc: &str) -> usize {
    let answers = all(&answer.0["pc"]["m2m:agr"]["m2m:rsp"]);
    assert!(answers.iter().all(|answer| text(&answer["rsc"]) == rsc), "{}", answer.0);
    answers.len()
}

/// The operations with their results and refusals, in each form.
pub async fn resources_are_used_in_every_serialization(world: World) {
    for form in Form::ALL {
        let mut sensor = speaker(&world, form).await;
        let own = format!("cse-in/{}", form.name());
        let log = format!("{own}/log");
        let content = json!({"m2m:cnt": {"rn": "log", "lbl": ["a", "b:c"], "mni": 3}});
        let created = sensor.create(&own, 3, content.clone()).await.expect(2001);
        let container = created.resource();
        assert_eq!((text(&container["rn"]), text(&container["mni"])), ("log".into(), "3".into()), "{}", created.0);
        assert_eq!(texts(&container["lbl"]), ["a", "b:c"]);
        let twice = sensor.create(&own, 3, content).await.expect(4105);
        assert!(twice.explanation().contains("log"), "{}", twice.0);

        for value in ["21.5", " two words ", "<&\"'> \u{416}\u{1F600}", "line\nbreak"] {
            let instance = json!({"m2m:cin": {"con": value, "cnf": "text/plain:0"}});
            sensor.create(&log, 4, instance).await.expect(2001);
            let latest = sensor.retrieve(&format!("{log}/la")).await.expect(2000);
            assert_eq!(latest.resource()["con"], value, "{form:?}");
        }
        let updated = sensor.update(&log, json!({"m2m:cnt": {"mni": 2, "lbl": null}})).await.expect(2004);
        assert_eq!(text(&updated.resource()["mni"]), "2");
        let read = sensor.retrieve(&log).await.expect(2000);
        assert_eq!((text(&read.resource()["cni"]), read.resource().get("lbl")), ("2".into(), None), "{}", read.0);
        let part = sensor.request(json!({"op": 2, "to": format!("{log}#mni")})).await.expect(2000);
        assert_eq!(part.resource().len(), 1, "{}", part.0);

        sensor.create(&own, 3, json!({"m2m:cnt": {"zzz": 1}})).await.expect(4000);
        sensor.create(&own, 3, json!({"m2m:ae": {"api": "N.x"}})).await.expect(4000);
        sensor.create("cse-in", 3, json!({"m2m:cnt": {}})).await.expect(4103);
        let wrong = sensor.request(json!({"op": 2, "to": &log, "rcn": 99})).await.expect(4000);
        assert!(wrong.explanation().contains("rcn"), "{}", wrong.0);
        sensor.delete(&log).await.expect(2002);
        sensor.retrieve(&log).await.expect(4004);
    }
}

/// Discovery, nested and referenced results, addresses, and the aggregated answers of a group.
pub async fn results_have_every_serialization(world: World) {
    for form in Form::ALL {
        let mut sensor = speaker(&world, form).await;
        let own = format!("cse-in/{}", form.name());
        for name in ["a", "b"] {
            let container = json!({"m2m:cnt": {"rn": name, "lbl": [format!("{}-{name}", form.name()), "both"]}});
            sensor.create(&own, 3, container).await.expect(2001);
        }
        let members = [format!("{own}/a"), format!("{own}/b")];
        for (criteria, expected) in [
            (json!({"fu": 1, "lbl": ["both"], "ty": [3]}), &members[..]),
            (json!({"fu": 1, "ty": [3], "lim": 1}), &members[..1]),
            (json!({"fu": 1, "lbl": [format!("{}-b", form.name()), "nobody's"]}), &members[1..]),
            (json!({"fu": 1, "lbl": ["nobody's"]}), &[]),
        ] {
            let found = sensor.request(json!({"op": 2, "to": &own, "fc": criteria})).await.expect(2000);
            let mut found = texts(&found.0["pc"]["m2m:uril"]);
            found.sort_unstable();
            assert_eq!(found, expected, "{form:?} {criteria}");
        }
        let group = json!({"m2m:grp": {"rn": "both", "mnm": 5, "mt": 3, "mid": members}});
        let group = sensor.create(&own, 9, group).await.expect(2001);
        assert_eq!(texts(&group.resource()["mid"]).len(), 2, "{}", group.0);
        let fanned = sensor.create(&format!("{own}/both/fopt"), 4, json!({"m2m:cin": {"con": "7"}})).await.expect(2000);
        assert_eq!(all_are(&fanned, "2001"), 2, "{}", fanned.0);
        let latest = sensor.retrieve(&format!("{own}/both/fopt/la")).await.expect(2000);
        assert_eq!(all_are(&latest, "2000"), 2);
        for answer in all(&latest.0["pc"]["m2m:agr"]["m2m:rsp"]) {
            assert_eq!(answer["pc"]["m2m:cin"]["con"], "7", "{}", latest.0);
        }

        let mut with = async |rcn: u8| sensor.request(json!({"op": 2, "to": &own, "rcn": rcn})).await.expect(2000);
        let nested = with(4).await;
        let containers = all(&nested.0["pc"]["m2m:ae"]["m2m:cnt"]);
        assert_eq!(containers.len(), 2, "{}", nested.0);
        for container in containers {
            assert_eq!(all(&container["m2m:cin"]).len(), 1, "{}", nested.0);
        }
        let referenced = with(5).await;
        let children = all(&referenced.0["pc"]["m2m:ae"]["ch"]);
        assert!(children.iter().any(|child| child["nm"] == "a" && text(&child["typ"]) == "3"), "{}", referenced.0);
        let only = with(6).await;
        let children = all(&only.0["pc"]["m2m:rrl"]["rrf"]);
        assert!(children.iter().any(|child| text(&child["val"]) == members[1]), "{}", only.0);
        let address = json!({"op": 1, "to": &own, "ty": 3, "rcn": 2, "pc": {"m2m:cnt": {"rn": "c"}}});
        let address = sensor.request(address).await.expect(2001);
        assert_eq!(text(&address.0["pc"]["m2m:uri"]), format!("{own}/c"), "{}", address.0);
    }
}

/// Confirms a subscription; the question.
async fn confirmed(listener: &mut Entity) -> Message {
    let question = listener.next_request().await;
    assert_eq!(text(&question.primitive["pc"]["m2m:sgn"]["vrq"]), "true", "{}", question.primitive);
    listener.respond(&question, 2000).await;
    question
}

fn told(sgn: &Value) -> String {
    text(&sgn["nev"]["rep"]["m2m:cin"]["con"])
}

/// Notifications, single and aggregated, with the questions before them, in the form that the target names: the AE by
/// `csz`, a URL by `ct`.
pub async fn notifications_come_in_the_wanted_serialization(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    let mut receiver = Receiver::start().await;
    for form in Form::ALL {
        let (name, log) = (form.name(), format!("cse-in/sensor/{}", form.name()));
        sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": name}})).await.expect(2001);
        let mut listener = speaker(&world, form).await;
        let target = format!("/id-in/C{name}");
        for (rn, members) in [("one", json!({})), ("many", json!({"bn": {"num": 2, "dur": "PT1H"}}))] {
            let mut sub = json!({"rn": rn, "nu": [&target], "enc": {"net": [3], "chty": [4]}, "nct": 1});
            for (member, value) in members.as_object().into_iter().flatten() {
                sub[member] = value.clone();
            }
            let asked = sensor.send(json!({"op": 1, "to": &log, "ty": 23, "pc": {"m2m:sub": sub}})).await;
            assert_eq!(confirmed(&mut listener).await.topic, format!("/oneM2M/req/id-in/C{name}/{name}"));
            sensor.answer_to(&asked).await.expect(2001);
        }
        let mut free = Entity::connect_with(world.port(), &format!("Cfree{name}"), &[format!("free/{name}")]).await;
        let topic = format!("mqtt://127.0.0.1:{}/free/{name}?ct={name}", world.port());
        let http = format!("{}?ct={name}", receiver.url());
        let sub = json!({"rn": "urls", "nu": [topic, http], "enc": {"net": [3], "chty": [4]}});
        sensor.create(&log, 23, json!({"m2m:sub": sub})).await.expect(2001);
        let question = free.next_other().await;
        let question = form.read_primitive(&question.payload).expect("in the form that was asked for");
        assert_eq!(text(&question["pc"]["m2m:sgn"]["vrq"]), "true", "{question}");
        let (head, question) = receiver.next().await;
        assert_eq!((text(&question["m2m:sgn"]["vrq"]), head.uri.path()), ("true".into(), "/notify"));
        assert_eq!(head.uri.query(), None, "ct is for the CSE");

        for value in ["1", "2"] {
            sensor.create(&log, 4, json!({"m2m:cin": {"con": value}})).await.expect(2001);
            let single = listener.next_request().await;
            assert_eq!(single.topic, format!("/oneM2M/req/id-in/C{name}/{name}"));
            assert_eq!(told(&single.primitive["pc"]["m2m:sgn"]), value, "{form:?} {}", single.primitive);
            listener.respond(&single, 2000).await;
            let other = form.read_primitive(&free.next_other().await.payload).expect("of that form");
            assert_eq!(told(&other["pc"]["m2m:sgn"]), value, "{other}");
            let (head, content) = receiver.next().await;
            assert_eq!(head.headers["content-type"], form.media_type());
            assert_eq!(told(&content["m2m:sgn"]), value, "{content}");
        }
        let aggregated = listener.next_request().await;
        let notes = all(&aggregated.primitive["pc"]["m2m:agn"]["m2m:sgn"]);
        assert_eq!(notes.into_iter().map(told).collect::<Vec<_>>(), ["1", "2"], "{}", aggregated.primitive);
        listener.respond(&aggregated, 2000).await;
    }
}

/// The answer to a question of the CSE counts however it is written, as long as its topic says so.
pub async fn answers_to_the_cse_may_have_every_serialization(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    let mut listener = world.ae("Clistener", "listener").await;
    for (number, form) in Form::ALL.into_iter().enumerate() {
        for (wrapped, type_level) in [(false, true), (true, true), (false, false)] {
            let name = format!("s{number}-{wrapped}-{type_level}");
            let sub = json!({"m2m:sub": {"rn": name, "nu": ["/id-in/Clistener"]}});
            let asked = sensor.send(json!({"op": 1, "to": "cse-in/sensor", "ty": 23, "pc": sub})).await;
            let question = listener.next_request().await;
            let response = json!({"rsc": 2000, "rqi": question.primitive["rqi"], "rvi": "3"});
            let payload = match wrapped {
                true => form.write(&json!({"m2m:rsp": response})),
                false => form.write_primitive("m2m:rsp", &response),
            };
            let level = if type_level { format!("/{}", form.name()) } else { String::new() };
            listener.publish(&format!("/oneM2M/resp/id-in/Clistener{level}"), payload).await;
            sensor.answer_to(&asked).await.expect(2001);
        }
    }
}

/// Some clients write `m2m:rqp` around a primitive where the specification has none.
pub async fn wrapped_primitives_are_answered_wrapped(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    for form in [Form::Json, Form::Cbor] {
        let topic = format!("/oneM2M/req/Csensor/id-in/{}", form.name());
        for (to, from, rsc) in
            [("cse-in/sensor", "Csensor", 2000), ("cse-in/nothing", "Csensor", 4004), ("cse-in", "Cother", 4103)]
        {
            let request = json!({"op": 2, "fr": from, "to": to, "rqi": "w", "rvi": "3"});
            sensor.publish(&topic, form.write(&json!({"m2m:rqp": request}))).await;
            let answer = sensor.next_answer().await;
            assert_eq!(answer.topic, topic.replacen("/req/", "/resp/", 1));
            let inner = &answer.primitive["m2m:rsp"];
            assert_eq!((&inner["rsc"], &inner["rqi"]), (&json!(rsc), &json!("w")), "{}", answer.primitive);
        }
        let broken = form.write(&json!({"m2m:rqp": {"rqi": "w"}}));
        sensor.publish(&topic, broken).await;
        assert_eq!(sensor.next_answer().await.primitive["m2m:rsp"]["rsc"], 4000);
    }
}

/// TS-0010 §7.4: what follows the receiver names the serialization; without it, JSON is meant.
pub async fn an_unknown_serialization_is_refused_in_json(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    let request = json!({"op": 2, "fr": "Csensor", "to": "cse-in/sensor", "rqi": "u", "rvi": "3"});
    for form in Form::ALL {
        for level in ["yaml", "JSON", "json/more"] {
            let topic = format!("/oneM2M/req/Csensor/id-in/{level}");
            sensor.publish(&topic, form.write_primitive("m2m:rqp", &request)).await;
            let answer = sensor.next_answer().await;
            assert_eq!(answer.topic, "/oneM2M/resp/Csensor/id-in/json");
            let rsc = (&answer.primitive["rsc"], &answer.primitive["rqi"]);
            assert_eq!(rsc, (&json!(4015), &json!("u")), "{form:?} {level}");
        }
        // One that is known, but not what the payload is.
        let other = if form == Form::Json { Form::Cbor } else { Form::Json };
        let topic = format!("/oneM2M/req/Csensor/id-in/{}", other.name());
        let mut bytes = form.write_primitive("m2m:rqp", &request);
        if other == Form::Cbor {
            // So that its request identifier can be found as CBOR has it.
            bytes.extend(b"\x63rqi\x61u");
        } else {
            bytes.extend(b" \"rqi\":\"u\" ");
        }
        sensor.publish(&topic, bytes).await;
        sensor.answer_to("u").await.expect(4000);
    }
}

/// What could make a reader fetch, grow or recurse is refused, and told in the form of the request.
pub async fn hostile_payloads_are_refused_in_kind(world: World) {
    let mut sensor = world.ae("Csensor", "sensor").await;
    let members = "<op>2</op><fr>Csensor</fr><to>cse-in/sensor</to><rqi>h</rqi><rvi>3</rvi>";
    let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    for payload in [
        format!("<!DOCTYPE r SYSTEM \"http://127.0.0.1:9/r.dtd\"><m2m:rqp>{members}</m2m:rqp>"),
        format!("<!DOCTYPE r [<!ENTITY e \"ee\">]><m2m:rqp>{members}<vsi>&e;</vsi></m2m:rqp>"),
        format!("<m2m:rqp>{members}<vsi>&e;</vsi></m2m:rqp>"),
        format!("<m2m:rqp>{members}<pc><m2m:cnt>{deep}</m2m:cnt></pc></m2m:rqp>"),
        format!("<m2m:rqp>{members}"),
        format!("<m2m:rqp>{members}</m2m:rqp><m2m:rqp/>"),
        format!("<m2m:rqp>{members}<rqi>h</rqi></m2m:rqp>"),
    ] {
        sensor.publish("/oneM2M/req/Csensor/id-in/xml", payload.clone()).await;
        let answer = sensor.next_answer().await;
        assert_eq!(answer.topic, "/oneM2M/resp/Csensor/id-in/xml");
        let refused = (text(&answer.primitive["rsc"]), text(&answer.primitive["rqi"]));
        assert_eq!(refused, ("4000".into(), "h".into()), "{payload}: {}", answer.primitive);
    }
    let huge_array = b"\xa2\x63rqi\x61h\x62pc\x9b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec();
    let deep = [&b"\xa2\x63rqi\x61h\x62pc"[..], &[0x81; 1000], b"\x01"].concat();
    let twice = b"\xa2\x63rqi\x61h\x63rqi\x61h".to_vec();
    for payload in [huge_array, deep, twice] {
        sensor.publish("/oneM2M/req/Csensor/id-in/cbor", payload.clone()).await;
        let answer = sensor.next_answer().await;
        assert_eq!(answer.topic, "/oneM2M/resp/Csensor/id-in/cbor");
        assert_eq!((&answer.primitive["rsc"], &answer.primitive["rqi"]), (&json!(4000), &json!("h")));
    }
    sensor.retrieve("cse-in/sensor").await.expect(2000);
}
