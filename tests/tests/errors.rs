//! Bad input: every request parameter and every kind of attribute, wrong, over real sockets.
//!
//! The status code is the one of TS-0004, and the explanation names what is wrong, so that whoever sent it can mend it.

use cse_tests::http::Http;
use cse_tests::mqtt::Entity;
use cse_tests::server::{Launch, Server};
use serde_json::{Value, json};

/// A server with the AE `Csensor`, named `sensor`, and its container `log`.
async fn prepared() -> (Server, Entity) {
    let server = Launch::default().start();
    let mut sensor = Entity::registered(server.mqtt_port(), "Csensor", "sensor", Value::Null).await;
    sensor.create("cse-in/sensor", 3, json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    (server, sensor)
}

/// Sends a primitive as it is, with a request identifier for the answer unless it has a say in that itself.
async fn answer(sensor: &mut Entity, mut primitive: Value, number: usize) -> Value {
    if primitive.get("rqi").is_none() {
        primitive["rqi"] = json!(format!("e{number}"));
    }
    sensor.publish("/oneM2M/req/Csensor/id-in/json", primitive.to_string()).await;
    let answer = sensor.next_answer().await.primitive;
    assert_eq!(answer["rqi"], primitive["rqi"], "{answer}");
    answer
}

/// A request that is in order, changed by what `change` has: null takes a parameter away.
fn changed(base: &Value, change: &Value) -> Value {
    let mut request = base.clone();
    for (name, value) in change.as_object().into_iter().flatten() {
        if value.is_null() {
            request.as_object_mut().expect("an object").remove(name);
        } else {
            request[name] = value.clone();
        }
    }
    request
}

#[tokio::test]
async fn each_wrong_request_parameter_is_refused_by_name() {
    let (server, mut sensor) = prepared().await;
    let read = json!({"op": 2, "to": "cse-in/sensor", "fr": "Csensor", "rvi": "3"});
    let create = json!({
        "op": 1, "to": "cse-in/sensor", "fr": "Csensor", "rvi": "3", "ty": 3, "pc": {"m2m:cnt": {"rn": "never"}}
    });
    let notify = json!({"op": 5, "to": "cse-in/sensor", "fr": "Csensor", "rvi": "3", "pc": {"m2m:sgn": {}}});
    let long = "x".repeat(5_000);
    let cases = [
        (&read, json!({"op": null}), 4000, "'op'"),
        (&read, json!({"op": 9}), 4000, "'op'"),
        (&read, json!({"op": "read"}), 4000, "'op'"),
        (&read, json!({"to": null}), 4000, "'to'"),
        (&read, json!({"to": ""}), 4000, "'to'"),
        (&read, json!({"to": ["cse-in"]}), 4000, "'to'"),
        (&read, json!({"to": long}), 4000, "'to'"),
        (&read, json!({"to": "cse-in/no such thing"}), 4004, "no such thing"),
        (&read, json!({"to": "/id-elsewhere/cse"}), 4004, "/id-elsewhere/cse"),
        (&read, json!({"fr": null}), 4000, "'fr'"),
        (&read, json!({"fr": {}}), 4000, "'fr'"),
        (&read, json!({"fr": "Cother"}), 4103, "'Cother'"),
        (&read, json!({"rvi": "99"}), 4001, "'99'"),
        (&read, json!({"rvi": []}), 4000, "'rvi'"),
        (&read, json!({"ty": 3}), 4000, "'ty'"),
        (&create, json!({"ty": null}), 4000, "'ty'"),
        (&create, json!({"ty": "container"}), 4000, "'ty'"),
        (&create, json!({"ty": 70_000}), 4000, "'ty'"),
        (&create, json!({"ty": 29}), 5001, "timeSeries"),
        (&create, json!({"pc": null}), 4000, "'pc'"),
        (&create, json!({"pc": []}), 4000, "pc"),
        (&create, json!({"pc": "m2m:cnt"}), 4000, "pc"),
        (&create, json!({"fc": {"lim": 1}}), 4000, "'fc'"),
        (&read, json!({"rcn": 77}), 4000, "'rcn'"),
        (&create, json!({"rcn": 4}), 4000, "rcn"),
        (&notify, json!({"rcn": 1}), 4000, "'rcn'"),
        (&read, json!({"rt": 8}), 4000, "'rt'"),
        (&read, json!({"rt": {"rtv": 1, "nu": ["Csensor"]}}), 4000, "rt/nu"),
        (&read, json!({"rt": {"rtv": "soon"}}), 4000, "'rt/rtv'"),
        (&read, json!({"rqet": "tomorrow"}), 4000, "'rqet'"),
        (&read, json!({"rqet": "20010101T000000"}), 4008, "expired"),
        (&read, json!({"rset": true}), 4000, "'rset'"),
        (&read, json!({"oet": {}}), 4000, "'oet'"),
        (&read, json!({"oet": 5000, "rqet": 1000}), 4000, "'oet'"),
        (&read, json!({"rp": []}), 4000, "'rp'"),
        (&read, json!({"ot": "2026-01-01"}), 4000, "'ot'"),
        (&read, json!({"ec": 5}), 4000, "'ec'"),
        (&read, json!({"da": "perhaps"}), 4000, "'da'"),
        (&read, json!({"drt": 3}), 4000, "'drt'"),
        (&read, json!({"gid": {}}), 4000, "'gid'"),
        (&read, json!({"vsi": [1]}), 4000, "'vsi'"),
        (&read, json!({"sqi": true}), 5001, "sqi"),
        (&read, json!({"zzz": 1}), 4000, "'zzz'"),
        (&read, json!({"fc": 3}), 4000, "'fc'"),
        (&read, json!({"fc": {"fu": 4}}), 4000, "'fc/fu'"),
        (&read, json!({"fc": {"fu": 1, "fo": 9}}), 4000, "'fc/fo'"),
        (&read, json!({"fc": {"fu": 1, "lim": -1}}), 4000, "'fc/lim'"),
        (&read, json!({"fc": {"fu": 1, "lvl": 0}}), 4000, "'fc/lvl'"),
        (&read, json!({"fc": {"fu": 1, "ofst": "x"}}), 4000, "'fc/ofst'"),
        (&read, json!({"fc": {"fu": 1, "crb": "x"}}), 4000, "'fc/crb'"),
        (&read, json!({"fc": {"fu": 1, "cra": 7}}), 4000, "'fc/cra'"),
        (&read, json!({"fc": {"fu": 1, "ms": "2026"}}), 4000, "'fc/ms'"),
        (&read, json!({"fc": {"fu": 1, "us": []}}), 4000, "'fc/us'"),
        (&read, json!({"fc": {"fu": 1, "exb": {}}}), 4000, "'fc/exb'"),
        (&read, json!({"fc": {"fu": 1, "exa": true}}), 4000, "'fc/exa'"),
        (&read, json!({"fc": {"fu": 1, "sts": -1}}), 4000, "'fc/sts'"),
        (&read, json!({"fc": {"fu": 1, "stb": "x"}}), 4000, "'fc/stb'"),
        (&read, json!({"fc": {"fu": 1, "sza": "x"}}), 4000, "'fc/sza'"),
        (&read, json!({"fc": {"fu": 1, "szb": 0}}), 4000, "'fc/szb'"),
        (&read, json!({"fc": {"fu": 1, "ty": ["x"]}}), 4000, "'fc/ty'"),
        (&read, json!({"fc": {"fu": 1, "lbl": [{}]}}), 4000, "'fc/lbl'"),
        (&read, json!({"fc": {"fu": 1, "cty": [true]}}), 4000, "'fc/cty'"),
        (&read, json!({"fc": {"fu": 1, "atr": ["x"]}}), 4000, "'fc/atr'"),
        (&read, json!({"fc": {"fu": 1, "lbq": {}}}), 4000, "'fc/lbq'"),
        (&read, json!({"fc": {"fu": 1, "smf": ["x"]}}), 5001, "smf"),
        (&read, json!({"fc": {"fu": 3}}), 5001, "IPE"),
        (&read, json!({"fc": {"zzz": 1}}), 4000, "'fc/zzz'"),
        (&changed(&read, &json!({"op": 4})), json!({"pc": {}}), 4000, "'pc'"),
        (&changed(&read, &json!({"op": 3})), json!({}), 4000, "'pc'"),
    ];
    for (number, (base, change, rsc, named)) in cases.iter().enumerate() {
        let request = changed(base, change);
        let answer = answer(&mut sensor, request, number).await;
        let explanation = answer["pc"]["m2m:dbg"].as_str().unwrap_or_default();
        assert_eq!(answer["rsc"], *rsc, "{change}: {answer}");
        assert!(explanation.contains(named), "{change}: {explanation}");
        assert!(explanation.len() < 500, "{change}: {explanation}");
    }
    // Request identifiers that cannot be answered to are not, and nothing that was refused has left a trace.
    for identifier in [json!(""), json!([]), json!({})] {
        let request = changed(&read, &json!({"rqi": identifier}));
        sensor.publish("/oneM2M/req/Csensor/id-in/json", request.to_string()).await;
    }
    let children = Http::new(server.http(), "Csensor").get("/cse-in/sensor?rcn=6").await.expect(2000).body;
    assert!(!children.contains("never"), "{children}");
    sensor.retrieve("cse-in/sensor").await.expect(2000);
    assert_eq!(sensor.answers_waiting(), 0);
}

#[tokio::test]
async fn each_kind_of_attribute_is_checked_and_named() {
    let (server, _sensor) = prepared().await;
    let http = Http::new(server.http(), "Csensor");
    let pvs = json!({"acr": [{"acor": ["Csensor"], "acop": 63}]});
    let rule = |rule: Value| json!({"m2m:acp": {"pv": {"acr": [rule]}, "pvs": pvs}});
    let here = "/cse-in/sensor";
    let log = "/cse-in/sensor/log";
    for (path, ty, content, rsc, named) in [
        // The content as a whole.
        (here, 3, json!({}), 4000, "'m2m:cnt'"),
        (here, 3, json!({"m2m:cnt": {}, "m2m:cin": {}}), 4000, "'m2m:cnt'"),
        (here, 3, json!({"m2m:cin": {"con": ""}}), 4000, "'m2m:cin'"),
        (here, 3, json!({"m2m:cnt": 1}), 4000, "'m2m:cnt'"),
        // What a type has, and who may set it.
        (here, 3, json!({"m2m:cnt": {"zzz": 1}}), 4000, "'zzz'"),
        (here, 3, json!({"m2m:cnt": {"ct": "20260101T000000"}}), 4000, "'ct'"),
        (here, 3, json!({"m2m:cnt": {"cni": 1}}), 4000, "'cni'"),
        (here, 3, json!({"m2m:cnt": {"ri": "mine"}}), 4000, "'ri'"),
        (here, 3, json!({"m2m:cnt": {"cr": "Csensor"}}), 4000, "'cr'"),
        (log, 4, json!({"m2m:cin": {}}), 4000, "'con'"),
        // Names, integers, texts, lists, times, booleans.
        (here, 3, json!({"m2m:cnt": {"rn": "a/b"}}), 4000, "'rn'"),
        (here, 3, json!({"m2m:cnt": {"rn": ""}}), 4000, "'rn'"),
        (here, 3, json!({"m2m:cnt": {"rn": 5}}), 4000, "'rn'"),
        (here, 3, json!({"m2m:cnt": {"mni": -1}}), 4000, "'mni'"),
        (here, 3, json!({"m2m:cnt": {"mni": 1.5}}), 4000, "'mni'"),
        (here, 3, json!({"m2m:cnt": {"mni": "many"}}), 4000, "'mni'"),
        (here, 3, json!({"m2m:cnt": {"mbs": true}}), 4000, "'mbs'"),
        (here, 3, json!({"m2m:cnt": {"lbl": "x"}}), 4000, "'lbl'"),
        (here, 3, json!({"m2m:cnt": {"lbl": [1]}}), 4000, "'lbl[0]'"),
        (here, 3, json!({"m2m:cnt": {"lbl": ["fine", ""]}}), 4000, "'lbl[1]'"),
        (here, 3, json!({"m2m:cnt": {"et": "soon"}}), 4000, "'et'"),
        (here, 3, json!({"m2m:cnt": {"et": "20010101T000000"}}), 4000, "'et'"),
        (here, 3, json!({"m2m:cnt": {"disr": "perhaps"}}), 4000, "'disr'"),
        (here, 3, json!({"m2m:cnt": {"acpi": "policy"}}), 4000, "'acpi'"),
        (log, 4, json!({"m2m:cin": {"con": "1", "cnf": "no:media:type:at:all"}}), 4000, "'cnf'"),
        // Complex values, by path.
        (here, 1, json!({"m2m:acp": {"pv": {"acr": []}}}), 4000, "'pvs'"),
        (here, 1, json!({"m2m:acp": {"pv": 1, "pvs": pvs}}), 4000, "'pv'"),
        (here, 1, rule(json!({"acor": ["x"]})), 4000, "acop"),
        (here, 1, rule(json!({"acor": "x", "acop": 3})), 4000, "'pv/acr[0]/acor'"),
        (here, 1, rule(json!({"acor": ["x"], "acop": 99})), 4000, "'pv/acr[0]/acop'"),
        (here, 1, rule(json!({"acor": ["x"], "acop": 1, "zzz": 1})), 4000, "zzz"),
        (log, 23, json!({"m2m:sub": {}}), 4000, "'nu'"),
        (log, 23, json!({"m2m:sub": {"nu": []}}), 4000, "'nu'"),
        (log, 23, json!({"m2m:sub": {"nu": ["Csensor"], "enc": {"net": [77]}}}), 4000, "'enc/net[0]'"),
        (log, 23, json!({"m2m:sub": {"nu": ["Csensor"], "nct": 9}}), 4000, "'nct'"),
        (log, 23, json!({"m2m:sub": {"nu": ["Csensor"], "bn": {"num": -1}}}), 4000, "bn"),
        (here, 9, json!({"m2m:grp": {"mid": ["cse-in/sensor/log"]}}), 4000, "'mnm'"),
        (here, 9, json!({"m2m:grp": {"mnm": 1, "mid": ["a", "b"]}}), 6010, "2 members"),
        (here, 9, json!({"m2m:grp": {"mnm": 1, "mid": ["cse-in/sensor/log"], "mt": 2, "csy": 2}}), 4110, "sensor/log"),
        // Where it is created.
        (here, 4, json!({"m2m:cin": {"con": "1"}}), 4108, "contentInstance"),
        (here, 3, json!({"m2m:cnt": {"rn": "log"}}), 4105, "'log'"),
        ("/cse-in/nowhere", 3, json!({"m2m:cnt": {}}), 4004, "cse-in/nowhere"),
    ] {
        let answer = http.create(path, ty, &content).await;
        assert_eq!(answer.rsc(), rsc, "{content}: {}", answer.body);
        assert!(answer.explanation().contains(named), "{content}: {}", answer.body);
    }

    for (path, content, rsc, named) in [
        (log, json!({"m2m:cnt": {"zzz": 1}}), 4000, "'zzz'"),
        (log, json!({"m2m:cnt": {"rn": "other"}}), 4000, "'rn'"),
        (log, json!({"m2m:cnt": {"cni": 0}}), 4000, "'cni'"),
        (log, json!({"m2m:cnt": {"mni": "x"}}), 4000, "'mni'"),
        (log, json!({"m2m:cnt": {"ty": 4}}), 4000, "'ty'"),
        (log, json!({"m2m:cin": {}}), 4000, "'m2m:cin'"),
        (here, json!({"m2m:ae": {"api": "N.other"}}), 4000, "'api'"),
        (here, json!({"m2m:ae": {"rr": null}}), 4000, "'rr'"),
        ("/cse-in", json!({"m2m:cb": {"lbl": ["x"]}}), 4005, "CSEBase"),
    ] {
        let answer = Http::new(server.http(), "CAdmin").update(path, &content).await;
        assert_eq!(answer.rsc(), rsc, "{content}: {}", answer.body);
        assert!(answer.explanation().contains(named), "{content}: {}", answer.body);
    }
    let log = http.get(log).await.expect(2000).json();
    assert_eq!((&log["m2m:cnt"]["st"], &log["m2m:cnt"]["cni"]), (&json!(0), &json!(0)), "nothing has changed");
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let (server, _sensor) = prepared().await;
    let http = Http::new(server.http(), "Csensor");
    let deep = "[".repeat(100_000);
    let nested = format!("{{\"m2m:cnt\":{}1{}}}", "{\"a\":".repeat(500), "}".repeat(500));
    for body in ["", "{", "}", "null", "7", "\"text\"", "[]", "{\"m2m:cnt\":{}} more", "{'m2m:cnt':{}}", &deep, &nested]
    {
        let answer = http.request("POST", "/cse-in/sensor", Some("application/json;ty=3"), body).await.expect(4000);
        assert_eq!(answer.status, 400);
        assert!(!answer.explanation().is_empty() && answer.body.len() < 1000, "{}", answer.body);
    }
    let no_type = http.request("POST", "/cse-in/sensor", None, "{}").await;
    assert!(matches!(no_type.rsc(), 4000 | 4015), "{}", no_type.body);
}
