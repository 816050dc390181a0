//! An answer is written as its request is.

use super::*;

/// CBOR of a map of texts and small numbers, made by hand.
fn cbor(members: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[0x60 + u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let mut bytes = vec![0xa0 + u8::try_from(members.len()).unwrap()];
    for (name, value) in members {
        bytes.extend(text(name));
        match value.parse::<u8>() {
            Ok(number) if number < 24 && *name == "op" => bytes.push(number),
            _ => bytes.extend(text(value)),
        }
    }
    bytes
}

fn wrapped_cbor(inner: &[u8]) -> Vec<u8> {
    [b"\xa1\x67m2m:rqp", inner].concat()
}

async fn log_of(topic: &str, payload: &[u8]) -> Vec<String> {
    let mut bench = Bench::new();
    bench.send(topic, payload).await;
    bench.end().await
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_written_as_the_request() {
    let request = [("op", "2"), ("to", "a"), ("fr", "Cx"), ("rqi", "1"), ("rvi", "3")];
    let plain = retrieve("Cx", "a", "1");
    let wrapped = format!("{{\"m2m:rqp\":{plain}}}");
    let xml = "<?xml version=\"1.0\"?><m2m:rqp xmlns:m2m=\"http://www.onem2m.org/xml/protocols\"><op>2</op><to>a</to>\
               <fr>Cx</fr><rqi>1</rqi><rvi>3</rvi></m2m:rqp>";
    for (suffix, payload, answer) in [
        ("/json", plain.as_bytes(), "/json 2000 1"),
        ("", plain.as_bytes(), " 2000 1"),
        ("/json", wrapped.as_bytes(), "/json 2000 1 wrapped"),
        ("", wrapped.as_bytes(), " 2000 1 wrapped"),
        ("/cbor", &cbor(&request), "/cbor 2000 1"),
        ("/cbor", &wrapped_cbor(&cbor(&request)), "/cbor 2000 1 wrapped"),
        ("/xml", xml.as_bytes(), "/xml 2000 1 wrapped"),
    ] {
        let log = log_of(&format!("/oneM2M/req/Cx/id-in{suffix}"), payload).await;
        assert_eq!(log[0], format!("answer /oneM2M/resp/Cx/id-in{answer}"), "{}", payload.escape_ascii());
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_written_as_the_request() {
    let foreign = [("op", "2"), ("to", "a"), ("fr", "Cy"), ("rqi", "1"), ("rvi", "3")];
    let incomplete = [("op", "2"), ("fr", "Cx"), ("rqi", "1"), ("rvi", "3")];
    let broken = cbor(&incomplete);
    let broken = &broken[..broken.len() - 1];
    let xml = |members: &str| {
        format!("<m2m:rqp xmlns:m2m=\"http://www.onem2m.org/xml/protocols\">{members}</m2m:rqp>").into_bytes()
    };
    for (suffix, payload, answer) in [
        ("/json", br#"{"m2m:rqp":{"op":2,"to":"a","fr":"Cy","rqi":"1"}}"#.to_vec(), "/json 4103 1 wrapped"),
        ("/json", br#"{"m2m:rqp":{"op":2,"fr":"Cx","rqi":"1"}}"#.to_vec(), "/json 4000 1 wrapped"),
        ("/json", br#"{"m2m:rqp":{"op":2,"fr":"Cx","rqi":"1"}"#.to_vec(), "/json 4000 1 wrapped"),
        ("/json", br#"{"op":2,"fr":"Cx","rqi":"1""#.to_vec(), "/json 4000 1"),
        ("", br#"{ "m2m:rqp" : {"op":2,"fr":"Cx","rqi":"1"}"#.to_vec(), " 4000 1 wrapped"),
        ("/cbor", cbor(&foreign), "/cbor 4103 1"),
        ("/cbor", cbor(&incomplete), "/cbor 4000 1"),
        ("/cbor", broken.to_vec(), "/cbor 4000 1"),
        ("/cbor", wrapped_cbor(broken), "/cbor 4000 1 wrapped"),
        ("/xml", xml("<op>2</op><to>a</to><fr>Cy</fr><rqi>1</rqi>"), "/xml 4103 1 wrapped"),
        ("/xml", xml("<op>2</op><fr>Cx</fr><rqi>1</rqi>"), "/xml 4000 1 wrapped"),
        ("/xml", b"<m2m:rqp><op>2</op><rqi>1</rqi>".to_vec(), "/xml 4000 1 wrapped"),
        // Another serialization than the topic says.
        ("/json", xml("<op>2</op><to>a</to><fr>Cx</fr><rqi>1</rqi>"), "/json 4000 1"),
        ("", cbor(&foreign), " 4000 1"),
        ("/xml", retrieve("Cx", "a", "1").into_bytes(), "/xml 4000 1 wrapped"),
        ("/cbor", retrieve("Cx", "a", "1").into_bytes(), "/cbor 4000 1"),
        // Another root name.
        ("/xml", b"<rqp><op>2</op><to>a</to><fr>Cx</fr><rqi>1</rqi></rqp>".to_vec(), "/xml 4000 1 wrapped"),
        ("/json", br#"{"rqp":{"op":2,"to":"a","fr":"Cx","rqi":"1"}}"#.to_vec(), "/json 4000 1"),
    ] {
        let log = log_of(&format!("/oneM2M/req/Cx/id-in{suffix}"), &payload).await;
        assert_eq!(log[0], format!("answer /oneM2M/resp/Cx/id-in{answer}"), "{}", payload.escape_ascii());
    }
}

/// 4015 in JSON, whatever the payload is, as far as somebody can be found to tell.
#[tokio::test(start_paused = true)]
async fn an_unknown_serialization_is_refused_in_json() {
    for suffix in ["/yaml", "/", "/json/x", "/JSON"] {
        for (payload, answer) in [
            (retrieve("Cx", "a", "1").into_bytes(), Some("4015 1")),
            (format!("{{\"m2m:rqp\":{}}}", retrieve("Cx", "a", "1")).into_bytes(), Some("4015 1 wrapped")),
            (b"<m2m:rqp><rqi>1</rqi></m2m:rqp>".to_vec(), Some("4015 1")),
            (cbor(&[("op", "2"), ("rqi", "1")]), Some("4015 1")),
            (b"rqi: 1".to_vec(), None),
        ] {
            let log = log_of(&format!("/oneM2M/req/Cx/id-in{suffix}"), &payload).await;
            let expected = answer.map(|answer| format!("answer /oneM2M/resp/Cx/id-in/json {answer}"));
            let expected: Vec<_> = expected.into_iter().chain(["ack 1".to_owned()]).collect();
            assert_eq!(log, expected, "{suffix} {}", payload.escape_ascii());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_later_is_written_as_the_request() {
    let members = |to| [("op", "2"), ("to", to), ("fr", "Cx"), ("rqi", "1"), ("rvi", "3")];
    let log = log_of("/oneM2M/req/Cx/id-in/cbor", &cbor(&members("panic"))).await;
    assert_eq!(log[0], "answer /oneM2M/resp/Cx/id-in/cbor 5000 1");

    let publisher = FakePublisher { bytes_max: Some(1000), ..FakePublisher::default() };
    let mut bench = Bench::with(BindingOptions::default(), publisher, None);
    bench.send("/oneM2M/req/Cx/id-in/cbor", wrapped_cbor(&cbor(&members("large")))).await;
    let code = Error::TooLarge(String::new()).rsc().code();
    assert_eq!(bench.end().await[0], format!("answer /oneM2M/resp/Cx/id-in/cbor {code} 1 wrapped"));
}
