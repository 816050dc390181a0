//! How long the three serializations take for the primitives that a busy CSE sees most.
//!
//! `cargo run --release -p cse-core --example codec_speed [ROUNDS]` prints nanoseconds for decoding and encoding, and what
//! they are of JSON's.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a tool")]

use std::hint::black_box;
use std::time::Instant;

use cse_core::codec::{Root, Serialization};
use cse_core::value::Map;

const CREATE: &str = r#"{"op":1,"to":"cse-in/sensor/log","fr":"Csensor","rqi":"r-000123","rvi":"3","ty":4,
    "pc":{"m2m:cin":{"cnf":"text/plain:0","con":"{\"temperature\":21.5,\"humidity\":40}"}}}"#;

const RESPONSE: &str = r#"{"rsc":2000,"rqi":"r-000124","pc":{"m2m:cnt":{"rn":"log","ty":3,"ri":"c000000000123","pi":"Csensor",
    "ct":"20260101T120000,123456","lt":"20260101T120001,123456","et":"20270101T120000","st":17,"cni":3,"cbs":36,"mni":1000,
    "lbl":["room:kitchen","floor:1","meter"],"acpi":["/id-in/acp0000000001","/id-in/acp0000000002"],"m2m:cin":[
    {"rn":"cin-1","ty":4,"ri":"i000000000124","pi":"c000000000123","ct":"20260101T120001","lt":"20260101T120001",
     "et":"20270101T120000","st":15,"cs":12,"cnf":"text/plain:0","con":"{\"value\":21}"},
    {"rn":"cin-2","ty":4,"ri":"i000000000125","pi":"c000000000123","ct":"20260101T120002","lt":"20260101T120002",
     "et":"20270101T120000","st":16,"cs":12,"cnf":"text/plain:0","con":"{\"value\":22}"}]}},
    "to":"Csensor","fr":"/id-in","ot":"20260101T120003","rvi":"3"}"#;

const ALL: [Serialization; 3] = [Serialization::Json, Serialization::Cbor, Serialization::Xml];

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200_000_u32);
    for (name, root, text) in [("create", Root::Request, CREATE), ("response", Root::Response, RESPONSE)] {
        let map = Serialization::Json.decode_primitive(text.as_bytes()).expect("valid JSON").parameters;
        let mut json = None;
        for serialization in ALL {
            let bytes = serialization.encode_primitive(root, map.clone(), false);
            assert_eq!(serialization.decode_primitive(&bytes).expect("ours").parameters, map);
            let decode = nanoseconds(rounds, || drop(black_box(serialization.decode_primitive(black_box(&bytes)))));
            let content = Map::single(root.name(), map.clone());
            let encode = nanoseconds(rounds, || drop(black_box(serialization.encode_content(black_box(&content)))));
            let (of_decode, of_encode) = *json.get_or_insert((decode, encode));
            println!(
                "{name:8} {:4} {:5} bytes: decode {decode:6.0} ns ({:.2}), encode {encode:6.0} ns ({:.2}), both ({:.2})",
                serialization.name(),
                bytes.len(),
                decode / of_decode,
                encode / of_encode,
                (decode + encode) / (of_decode + of_encode),
            );
        }
    }
}

/// The best of five, so that other work on the machine does not count.
fn nanoseconds(rounds: u32, mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..rounds / 5 {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds / 5));
    }
    best
}
