//! Every type that this CSE hosts and that has an announced variant is announced, with all that may be.

use cse_core::schema::{Announced, Ty, type_def};
use cse_core::value::Map;

use crate::announcing::{announce_to, converged, sensor};
use crate::harness::Actor;
use crate::tree::Pair;

/// Names of the attributes of a type that are announced on demand.
fn on_demand(ty: Ty) -> String {
    let attributes = type_def(ty).unwrap().attributes.iter();
    let names = attributes.filter(|attr| attr.announced == Announced::Optional);
    let names: Vec<String> = names.map(|attr| format!(r#""{}""#, attr.key)).collect();
    if names.is_empty() { String::new() } else { format!(r#","aa":[{}]"#, names.join(",")) }
}

/// Waits for the copy of a resource and holds it to what its type says.
async fn check(pair: &Pair, reader: &Actor, path: &str, ty: Ty) {
    converged(&pair.middle).await;
    let original: Map = reader.retrieve(path).await.resource();
    let address = announce_to(&original);
    assert!(address.first().is_some_and(|address| address.starts_with("/id-in/")), "{path}: {original:?}");
    let copy = pair.infrastructure.admin().retrieve(&address[0]).await.resource();
    assert_eq!(copy.int("ty"), Some(i64::from(ty.announced().0)));
    assert_eq!(copy.text("lnk"), Some(format!("/id-mn/{}", original.text("ri").unwrap()).as_str()));
    for attr in type_def(ty).unwrap().attributes {
        let named = matches!(attr.announced, Announced::Mandatory | Announced::Optional);
        // Policies may be inherited, and the copy has times of its own.
        if !["acpi", "et"].contains(&attr.key) && type_def(ty.announced()).unwrap().attribute(attr.key).is_some() {
            let own = ["rn", "ty", "ri", "pi", "ct", "lt"].contains(&attr.key);
            assert_eq!(
                copy.contains(attr.key),
                own || (named && original.contains(attr.key)),
                "{} of {path}: {copy:?}",
                attr.key
            );
        }
    }
    // And it goes.
    let root = type_def(ty).unwrap().root;
    if ty == Ty::CONTENT_INSTANCE {
        reader.delete(path).await.deleted();
    } else {
        reader.update(path, &format!(r#"{{"{root}":{{"at":null}}}}"#)).await.updated();
    }
    converged(&pair.middle).await;
    let found = pair.infrastructure.admin().discover("cse-in", &format!(r#","ty":[{}]"#, ty.announced())).await;
    assert_eq!(found, [""; 0], "{path}");
}

#[tokio::test]
async fn every_type_that_is_hosted_and_has_a_variant() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    let admin = pair.middle.admin();
    let mut announced: Vec<Ty> =
        cse_core::schema::types().filter(|def| def.implemented && def.announced.is_some()).map(|def| def.ty).collect();

    let at = |ty: Ty| format!(r#""at":["/id-in"]{}"#, on_demand(ty));
    let policy = format!(
        r#"{{"m2m:acp":{{"rn":"acp",{},"pv":{{"acr":[{{"acor":["Csensor"],"acop":63}}]}},
            "pvs":{{"acr":[{{"acor":["CAdmin"],"acop":63}}]}}}}}}"#,
        at(Ty::ACCESS_CONTROL_POLICY)
    );
    admin.create("cse-mn", Ty::ACCESS_CONTROL_POLICY, &policy).await.created();
    check(&pair, &admin, "cse-mn/acp", Ty::ACCESS_CONTROL_POLICY).await;

    let ae = format!(r#"{{"m2m:ae":{{{},"apn":"sensor","lbl":["x"],"or":"http://onto.example/s"}}}}"#, at(Ty::AE));
    sensor.update("cse-mn/sensor", &ae).await.updated();
    check(&pair, &sensor, "cse-mn/sensor", Ty::AE).await;

    let container = format!(
        r#"{{"m2m:cnt":{{"rn":"log",{},"mni":5,"mbs":900,"mia":60,"lbl":["x"],"or":"http://onto.example/l"}}}}"#,
        at(Ty::CONTAINER)
    );
    sensor.create("cse-mn/sensor", Ty::CONTAINER, &container).await.created();
    converged(&pair.middle).await;
    let instance = format!(
        r#"{{"m2m:cin":{{"rn":"one",{},"con":"7","cnf":"text/plain:0","lbl":["x"]}}}}"#,
        at(Ty::CONTENT_INSTANCE)
    );
    sensor.create("cse-mn/sensor/log", Ty::CONTENT_INSTANCE, &instance).await.created();
    check(&pair, &sensor, "cse-mn/sensor/log/one", Ty::CONTENT_INSTANCE).await;
    check(&pair, &sensor, "cse-mn/sensor/log", Ty::CONTAINER).await;

    let group = format!(
        r#"{{"m2m:grp":{{"rn":"grp",{},"mnm":5,"mid":["cse-mn/sensor/log"],"gn":"all","lbl":["x"]}}}}"#,
        at(Ty::GROUP)
    );
    sensor.create("cse-mn/sensor", Ty::GROUP, &group).await.created();
    check(&pair, &sensor, "cse-mn/sensor/grp", Ty::GROUP).await;

    let node = format!(
        r#"{{"m2m:nod":{{"rn":"node",{},"ni":"urn:dev:7","hcl":"/id-mn","mgca":"coap://m","lbl":["x"]}}}}"#,
        at(Ty::NODE)
    );
    admin.create("cse-mn", Ty::NODE, &node).await.created();
    check(&pair, &admin, "cse-mn/node", Ty::NODE).await;

    let schedule =
        format!(r#"{{"m2m:sch":{{"rn":"sch",{},"se":{{"sce":["* * 8-16 * * * *"]}},"lbl":["x"]}}}}"#, at(Ty::SCHEDULE));
    admin.create("cse-mn/node", Ty::SCHEDULE, &schedule).await.created();
    check(&pair, &admin, "cse-mn/node/sch", Ty::SCHEDULE).await;

    let registration = format!(r#"{{"m2m:csr":{{{}}}}}"#, at(Ty::REMOTE_CSE));
    admin.update("cse-mn/id-in", &registration).await.updated();
    check(&pair, &admin, "cse-mn/id-in", Ty::REMOTE_CSE).await;

    // The CSEBase is announced by itself, wherever something below it is.
    announced.retain(|ty| {
        ![
            Ty::ACCESS_CONTROL_POLICY,
            Ty::AE,
            Ty::CONTAINER,
            Ty::CONTENT_INSTANCE,
            Ty::GROUP,
            Ty::NODE,
            Ty::SCHEDULE,
            Ty::REMOTE_CSE,
            Ty::CSE_BASE,
        ]
        .contains(ty)
    });
    assert_eq!(announced, [], "types that are hosted, but not tried here");
}
