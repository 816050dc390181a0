//! What CBOR is read and written as, against RFC 8949 and against another implementation.

use proptest::prelude::*;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let hex: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// The value of the member `a`, whose encoding is given.
fn member(hex: &str) -> Result<Value, String> {
    let map = decode(&bytes(&format!("a1 6161 {hex}"))).map_err(|error| error.to_string())?;
    Ok(map.get("a").expect("the member").clone())
}

#[test]
fn items_of_the_rfc_are_read() {
    let list = |values: &[i64]| Value::List(values.iter().copied().map(Value::from).collect());
    for (hex, expected) in [
        ("00", Value::Int(0)),
        ("17", Value::Int(23)),
        ("1818", Value::Int(24)),
        ("1b7fffffffffffffff", Value::Int(i64::MAX)),
        ("1bffffffffffffffff", Value::UInt(u64::MAX)),
        ("20", Value::Int(-1)),
        ("3903e7", Value::Int(-1000)),
        ("3b7fffffffffffffff", Value::Int(i64::MIN)),
        ("c24101", Value::Int(1)),
        ("c249 00ffffffffffffffff", Value::UInt(u64::MAX)),
        ("c34101", Value::Int(-2)),
        ("c240", Value::Int(0)),
        ("f90000", Value::Float(0.0)),
        ("f93c00", Value::Float(1.0)),
        ("f97bff", Value::Float(65504.0)),
        ("f90001", Value::Float(5.960_464_477_539_063e-8)),
        ("f90400", Value::Float(0.000_061_035_156_25)),
        ("f9c400", Value::Float(-4.0)),
        ("fa47c35000", Value::Float(100_000.0)),
        ("fb3ff199999999999a", Value::Float(1.1)),
        ("f4", Value::Bool(false)),
        ("f5", Value::Bool(true)),
        ("f6", Value::Null),
        ("f7", Value::Null),
        ("60", Value::from("")),
        ("62c3bc", Value::from("ü")),
        ("43616263", Value::from("abc")),
        ("7f 6161 6162 ff", Value::from("ab")),
        ("5f 41c3 41bc ff", Value::from("ü")),
        ("7fff", Value::from("")),
        ("c074323031332d30332d32315432303a30343a30305a", Value::from("2013-03-21T20:04:00Z")),
        ("c1c2c0d8641a514b67b0", Value::Int(1_363_896_240)),
        ("d6 43 010203", Value::from("AQID")),
        ("d6 42 0102", Value::from("AQI=")),
        ("d6 5f 4101 ff", Value::from("AQ==")),
        ("80", list(&[])),
        ("83010203", list(&[1, 2, 3])),
        ("9f 01 02 ff", list(&[1, 2])),
        ("a0", Map::new().into()),
        ("bf ff", Map::new().into()),
        ("bf 4161 01 ff", Map::single("a", 1_i64).into()),
    ] {
        assert_eq!(member(hex), Ok(expected), "{hex}");
    }
}

#[test]
fn what_the_tree_has_no_place_for_is_refused() {
    for (hex, hint) in [
        ("3b8000000000000000", "64 bits"),
        ("c249 010000000000000000", "64 bits"),
        ("c348 ffffffffffffffff", "64 bits"),
        ("f97c00", "finite"),
        ("f97e00", "finite"),
        ("faff800000", "finite"),
        ("fb7ff8000000000000", "finite"),
        ("42ff00", "UTF-8"),
        ("62ff00", "UTF-8"),
        ("7f 61c3 61bc ff", "UTF-8"),
        ("7f 4161 ff", "chunk"),
        ("7f 7f ff ff", "chunk"),
        ("5f 6161 ff", "chunk"),
        ("f8ff", "simple"),
        ("e0", "simple"),
        ("ff", "break"),
        ("9f 01 f9 ff", "too early"),
        ("1c", "reserved"),
        ("3f", "reserved"),
        ("df 01", "reserved"),
        ("a1 01 01", "name"),
        ("a1 f6 01", "name"),
        ("a2 6162 01 6162 02", "twice"),
        ("a2 6162 01 4162 02", "twice"),
        ("19 01", "too early"),
        ("65 6161", "too early"),
        ("7b ffffffffffffffff", "too early"),
        ("9b ffffffffffffffff", "too early"),
        ("bb ffffffffffffffff", "too early"),
        ("bf 6161 ff", "break"),
        ("c4 82 20 18d7", "tag 4 "),
        ("82 6161 d819 00", "tag 25 "),
        ("d81d 00", "tag 29 "),
    ] {
        let problem = member(hex).expect_err(hex);
        assert!(problem.contains(hint), "{hex}: {problem}");
    }
}

#[test]
fn only_one_map_is_a_primitive() {
    for hex in ["", "80", "01", "f6", "6161", "a0 00", "a1", "ff"] {
        assert!(decode(&bytes(hex)).is_err(), "{hex}");
    }
    assert_eq!(decode(&bytes("d9d9f7 a0")).expect("self-described"), Map::new());
}

#[test]
fn nesting_is_bounded_as_in_json() {
    let nested = |lists: usize| {
        let mut cbor = bytes("a16161");
        cbor.extend(std::iter::repeat_n(0x81, lists));
        cbor.push(0xf6);
        decode(&cbor)
    };
    // The object, the lists and the null.
    assert!(nested(DEPTH_MAX - 2).is_ok());
    assert!(nested(DEPTH_MAX - 1).expect_err("too deep").to_string().contains("levels"));
    assert!(nested(1_000_000).is_err());
    let json = |lists: usize| {
        let text = format!("{{\"a\":{}null{}}}", "[".repeat(lists), "]".repeat(lists));
        super::super::json::decode(text.as_bytes())
    };
    assert!(json(DEPTH_MAX - 2).is_ok());
    assert!(json(DEPTH_MAX - 1).is_err());
    let tags = [bytes("a16161"), vec![0xc0; 1_000_000], bytes("01")].concat();
    assert!(decode(&tags).is_ok(), "tags are no nesting");
}

#[test]
fn heads_are_the_shortest() {
    for (value, hex) in [
        (Value::Int(23), "17"),
        (Value::Int(24), "1818"),
        (Value::Int(255), "18ff"),
        (Value::Int(256), "190100"),
        (Value::Int(65_536), "1a00010000"),
        (Value::Int(1 << 32), "1b0000000100000000"),
        (Value::UInt(u64::MAX), "1bffffffffffffffff"),
        (Value::Int(-1), "20"),
        (Value::Int(-25), "3818"),
        (Value::Int(i64::MIN), "3b7fffffffffffffff"),
        (Value::Float(1.5), "fa3fc00000"),
        (Value::Float(1.1), "fb3ff199999999999a"),
        (Value::Null, "f6"),
        (Value::Bool(true), "f5"),
        (Value::from("ü"), "62c3bc"),
    ] {
        assert_eq!(encode(&Map::single("a", value)), bytes(&format!("a16161{hex}")), "{hex}");
    }
}

/// Any tree; `-0.0` and `0.0` are equal, so both may occur.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL).prop_map(Value::from),
        any::<f32>().prop_filter("finite", |float| float.is_finite()).prop_map(|float| Value::Float(float.into())),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Map(map.into_iter().map(|(name, value)| (name.into(), value)).collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Map> {
    prop::collection::btree_map(any::<String>(), tree(), 0..6)
        .prop_map(|map| map.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

proptest! {
    #[test]
    fn a_tree_is_read_as_it_was_written(map in object()) {
        prop_assert_eq!(decode(&encode(&map)).expect("CBOR of ours"), map);
    }

    #[test]
    fn another_implementation_reads_and_writes_the_same(map in object()) {
        let read: Map = ciborium::from_reader(encode(&map).as_slice()).expect("CBOR of ours");
        prop_assert_eq!(&read, &map);
        let mut written = Vec::new();
        ciborium::into_writer(&map, &mut written).expect("writes");
        prop_assert_eq!(decode(&written).expect("CBOR"), map);
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(map) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&map)).expect("CBOR of ours"), map);
        }
    }

    #[test]
    fn a_damaged_primitive_does_no_harm(
        map in object(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = encode(&map);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        let _ = decode(&bytes);
    }
}
