//! What is refused, and what must do no harm.

use proptest::prelude::*;

use super::super::{decode, encode};
use super::{json, read};
use crate::codec::DEPTH_MAX;
use crate::schema::Presence;
use crate::schema::tests::strategies::{any_type, content};
use crate::value::Map;

#[test]
fn what_is_refused_says_why() {
    for (document, hint) in [
        ("", "no root"),
        (" ", "no root"),
        ("<!-- -->", "no root"),
        ("text", "one root"),
        ("<a/>text", "one root"),
        ("<a/><b/>", "one root"),
        ("<a>", "too early"),
        ("<a><b></a>", "invalid XML"),
        ("</a>", "invalid XML"),
        ("<a", "invalid XML"),
        ("<a b></a>", "invalid XML"),
        ("<a b=1></a>", "invalid XML"),
        ("<a b=\"1\" b=\"2\"/>", "invalid XML"),
        ("<a b=\"<\"/>", "'<'"),
        ("<a b=\"&x;\"/>", "invalid XML"),
        ("<a>&x;</a>", "'x' is not known"),
        ("<a>&</a>", "invalid XML"),
        ("<a>&#0;</a>", "invalid XML"),
        ("<a>&#1;</a>", "does not allow"),
        ("<a>&#xFFFF;</a>", "does not allow"),
        ("<a b=\"&#1;\"/>", "does not allow"),
        ("<a>&#xD800;</a>", "invalid XML"),
        ("<a>&#99999999999;</a>", "invalid XML"),
        ("<a>\u{1}</a>", "does not allow"),
        ("<a>\u{ffff}</a>", "does not allow"),
        ("<1/>", "no name"),
        ("<a:b:c/>", "no name"),
        ("<:a/>", "no name"),
        ("<a><b\"/></a>", "invalid XML"),
        ("<!DOCTYPE a><a/>", "document type"),
        ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "document type"),
        ("<a><!DOCTYPE a></a>", "document type"),
        ("<?xml-stylesheet href='x'?><a/>", "processing"),
        ("<a><?php x?></a>", "processing"),
        (" <?xml version='1.0'?><a/>", "very beginning"),
        ("<?xml?><a/>", "invalid XML"),
        ("<?xml version='1.1'?><a/>", "version"),
        ("<?xml version='1.0' encoding='latin1'?><a/>", "UTF-8"),
        ("<?xml version='1.0' encoding='UTF-16'?><a/>", "UTF-8"),
        ("<m2m:cnt><mni>1</mni><mni>2</mni></m2m:cnt>", "'mni' appears twice"),
        ("<m2m:cnt rn=\"a\"><rn>b</rn></m2m:cnt>", "'rn' appears twice"),
        ("<m2m:cnt>text<mni>1</mni></m2m:cnt>", "between elements"),
        ("<a xmlns:v=\"urn:cse-server:values\" v:type=\"json\">{</a>", "invalid XML"),
        ("<a xmlns:v=\"urn:cse-server:values\" v:type=\"json\">1<b/></a>", "with elements"),
        ("<v:object xmlns:v=\"urn:cse-server:values\" v:type=\"json\">1</v:object>", "no object"),
        ("<v:object xmlns:v=\"urn:cse-server:values\"/>", "no object"),
    ] {
        let problem = read(document).expect_err(document);
        assert!(problem.contains(hint), "{document}: {problem}");
    }
    assert!(decode(b"<a>\xff</a>").is_err());
    assert!(decode(b"\xff\xfe<\0a\0/\0>\0").is_err());
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| read(&format!("<a>{}x{}</a>", "<b>".repeat(levels), "</b>".repeat(levels)));
    // The object around the root element, the root element, what is in it.
    assert!(nested(DEPTH_MAX - 2).is_ok());
    assert!(nested(DEPTH_MAX - 1).expect_err("too deep").contains("levels"));
    assert!(nested(200_000).expect_err("too deep").contains("levels"));
    let lists = "[".repeat(70) + &"]".repeat(70);
    let document = format!("<a xmlns:v=\"urn:cse-server:values\" v:type=\"json\">{lists}</a>");
    assert!(read(&document).expect_err("too deep").contains("levels"));
}

#[test]
fn what_there_is_much_of_is_bounded_or_cheap() {
    let attributes: String = (0..1000).map(|n| format!(" a{n}=\"\"")).collect();
    assert!(read(&format!("<a{attributes}/>")).expect_err("too many").contains("attributes"));
    let open: String = (0..40).map(|n| format!("<a xmlns:p{n}=\"x\" xmlns:q{n}=\"x\">")).collect();
    let close = "</a>".repeat(40);
    assert!(read(&format!("{open}{close}")).expect_err("too many").contains("namespace"));
    // Quadratic time would be minutes.
    let members: String = (0..100_000).map(|n| format!("<a{n}/>")).collect();
    assert_eq!(
        read(&format!("<m2m:cnt>{members}</m2m:cnt>"))
            .expect("read")
            .get("m2m:cnt")
            .and_then(|map| map.as_map())
            .map(Map::len),
        Some(100_000)
    );
    let items = "<m2m:cin/>".repeat(100_000);
    assert!(read(&format!("<m2m:cnt>{items}</m2m:cnt>")).is_ok());
    let name = "n".repeat(1_000_000);
    assert!(read(&format!("<{name}></{name}>")).is_ok());
    assert!(read(&format!("<m2m:cnt><mni/><{name}/><{name}/></m2m:cnt>")).is_ok());
    let references = "&amp;".repeat(200_000);
    assert!(read(&format!("<a>{references}</a>")).is_ok());
}

#[test]
fn a_long_name_does_not_make_a_long_message() {
    let name = "n".repeat(100_000);
    for document in [
        format!("<m2m:cnt {name}=\"1\"><{name}>2</{name}></m2m:cnt>"),
        format!("<a>&{name};</a>"),
        format!("<{name}:a/>"),
        format!("<1{name}/>"),
        format!("<{name}></b>"),
        format!("<a><{name}/></b>"),
        format!("<a xmlns:{name}='x'><{name}:b/></c>"),
        format!("<m2m:cnt><rn/><{name} a='1' a='2'/></m2m:cnt>"),
    ] {
        let problem = read(&document);
        assert!(problem.as_ref().is_ok() || problem.is_err_and(|text| text.len() < 300));
    }
}

fn resource() -> impl Strategy<Value = Map> {
    any_type().prop_filter("has a root", |def| !def.root.is_empty()).prop_flat_map(|def| {
        content(def, |_| Presence::Optional).prop_map(|attributes| Map::single(def.root, attributes))
    })
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn pieces_of_documents_do_no_harm(pieces in prop::collection::vec(prop::sample::select(&[
        "<a>", "</a>", "<a/>", "<m2m:cnt>", "</m2m:cnt>", "<m2m:cin/>", "<lbl>", "</lbl>", "<rrf nm=\"x\">", "</rrf>", "x", " ",
        "&amp;", "&#1;", "&#x41;", "<![CDATA[", "]]>", "<!--", "-->", "<?xml version=\"1.0\"?>", "<?p?>", "<!DOCTYPE a>", "\"",
        "<a xmlns=\"urn:x\">", "<a v:type=\"json\" xmlns:v=\"urn:cse-server:values\">", "[1]", "<", ">", "&", "=", "<m2m:rqp>",
    ][..]), 0..24)) {
        let document = pieces.concat();
        if let Ok(map) = read(&document) {
            prop_assert_eq!(decode(&encode(&map)).map_err(|error| error.to_string()), Ok(map), "{}", document);
        }
    }

    #[test]
    fn a_damaged_document_does_no_harm(
        map in resource(),
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

#[test]
fn entities_do_not_multiply() {
    let document =
        "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;&lol;\">]><m2m:cin><con>&lol2;</con></m2m:cin>";
    assert!(read(document).is_err());
    let document = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><m2m:cin><con>&x;</con></m2m:cin>";
    assert!(read(document).is_err());
    assert_eq!(
        read("<m2m:cin><con>&lt;&gt;&amp;&apos;&quot;</con></m2m:cin>"),
        Ok(json(r#"{"m2m:cin":{"con":"<>&'\""}}"#))
    );
}
