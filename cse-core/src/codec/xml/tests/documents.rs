//! Documents as other implementations write them, and as they get them from us.

use super::{json, read, written};

const M2M: &str = r#"xmlns:m2m="http://www.onem2m.org/xml/protocols""#;
const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// What is written for an object, and read back as the same object.
#[track_caller]
fn assert_both(object: &str, document: &str) {
    let document = document.replacen("M2M", M2M, 1);
    assert_eq!(written(&json(object)), format!("{DECLARATION}{document}"));
    assert_eq!(read(&document), Ok(json(object)), "{document}");
}

/// What is read from a document that we would write otherwise.
#[track_caller]
fn assert_read(document: &str, object: &str) {
    let document = document.replacen("M2M", M2M, 1);
    assert_eq!(read(&document), Ok(json(object)), "{document}");
}

#[test]
fn a_request_is_in_the_order_of_the_tables() {
    assert_both(
        r#"{"m2m:rqp":{"rvi":"3","op":1,"to":"cse-in","fr":"Cmeter","rqi":"r-1","pc":{"m2m:ae":{"poa":["http://192.0.2.1:90/","mqtt://b"],
            "srv":["3","2a"],"rn":"meter","api":"Nmeter","rr":true,"lbl":["room:kitchen","meter"]}},"ty":2}}"#,
        "<m2m:rqp M2M><op>1</op><to>cse-in</to><fr>Cmeter</fr><rqi>r-1</rqi><ty>2</ty><pc>\
            <m2m:ae rn=\"meter\"><lbl>room:kitchen meter</lbl><api>Nmeter</api><poa>http://192.0.2.1:90/ mqtt://b</poa>\
            <rr>true</rr><srv>3 2a</srv></m2m:ae></pc><rvi>3</rvi></m2m:rqp>",
    );
}

#[test]
fn lists_are_repeated_or_in_one_element_as_the_tables_say() {
    assert_both(
        r#"{"m2m:acp":{"rn":"a","pv":{"acr":[{"acor":["C1","C2"],"acop":63},{"acor":["all"],"acop":34}]},"pvs":{"acr":[{"acor":["C1"],"acop":63}]}}}"#,
        "<m2m:acp M2M rn=\"a\"><pv><acr><acor>C1 C2</acor><acop>63</acop></acr><acr><acor>all</acor><acop>34</acop></acr></pv>\
            <pvs><acr><acor>C1</acor><acop>63</acop></acr></pvs></m2m:acp>",
    );
    assert_both(
        r#"{"m2m:sch":{"se":{"sce":["* * * * * * *","0 0 8-17 * * 1-5 *"]}}}"#,
        "<m2m:sch M2M><se><sce>* * * * * * *</sce><sce>0 0 8-17 * * 1-5 *</sce></se></m2m:sch>",
    );
    assert_both(r#"{"m2m:uril":["cse/a","cse/b"]}"#, "<m2m:uril M2M>cse/a cse/b</m2m:uril>");
    assert_both(r#"{"m2m:atrl":["ri","lbl"]}"#, "<m2m:atrl M2M>ri lbl</m2m:atrl>");
}

#[test]
fn the_other_form_of_a_list_is_read_where_it_is_clear() {
    assert_read("<m2m:sub M2M><enc><net>1 3</net></enc></m2m:sub>", r#"{"m2m:sub":{"enc":{"net":[1,3]}}}"#);
    assert_read("<m2m:sub M2M><enc><net>1</net><net>3</net></enc></m2m:sub>", r#"{"m2m:sub":{"enc":{"net":[1,3]}}}"#);
    assert_read("<m2m:cnt M2M><lbl>a</lbl><lbl>b\n\t c</lbl></m2m:cnt>", r#"{"m2m:cnt":{"lbl":["a","b","c"]}}"#);
    assert_read("<m2m:cnt M2M lbl=\"a b\"><rn>x</rn></m2m:cnt>", r#"{"m2m:cnt":{"lbl":["a","b"],"rn":"x"}}"#);
}

#[test]
fn references_are_texts_with_attributes() {
    assert_both(
        r#"{"m2m:rrl":{"rrf":[{"nm":"r","typ":3,"val":"cse/r"},{"val":"cse/s","nm":"s","typ":28,"spid":"x"}]}}"#,
        "<m2m:rrl M2M><rrf nm=\"r\" typ=\"3\">cse/r</rrf><rrf nm=\"s\" typ=\"28\" spid=\"x\">cse/s</rrf></m2m:rrl>",
    );
    assert_both(
        r#"{"m2m:cnt":{"rn":"r","ty":3,"cni":1,"ch":[{"nm":"c","typ":4,"val":"cse/r/c"}]}}"#,
        "<m2m:cnt M2M rn=\"r\"><ty>3</ty><cni>1</cni><ch nm=\"c\" typ=\"4\">cse/r/c</ch></m2m:cnt>",
    );
    assert_read(
        "<m2m:rrl M2M><rrf><nm>r</nm><typ>3</typ><val>cse/r</val></rrf></m2m:rrl>",
        r#"{"m2m:rrl":{"rrf":[{"nm":"r","typ":3,"val":"cse/r"}]}}"#,
    );
}

#[test]
fn children_are_lists_however_few() {
    assert_both(
        r#"{"m2m:ae":{"rn":"a","m2m:cnt":[{"rn":"c","m2m:cin":[{"con":"1"},{"con":"2"}]}],"m2m:sub":[{}]}}"#,
        "<m2m:ae M2M rn=\"a\"><m2m:cnt rn=\"c\"><m2m:cin><con>1</con></m2m:cin><m2m:cin><con>2</con></m2m:cin></m2m:cnt>\
            <m2m:sub/></m2m:ae>",
    );
}

#[test]
fn a_notification_holds_a_representation() {
    assert_both(
        r#"{"m2m:sgn":{"nev":{"rep":{"m2m:cin":{"rn":"c","ty":4,"cs":1,"con":"1"}},"net":3},"sur":"/id-in/s"}}"#,
        "<m2m:sgn M2M><nev><rep><m2m:cin rn=\"c\"><ty>4</ty><cs>1</cs><con>1</con></m2m:cin></rep><net>3</net></nev>\
            <sur>/id-in/s</sur></m2m:sgn>",
    );
    assert_both(
        r#"{"m2m:agn":{"m2m:sgn":[{"nev":{"rep":{"m2m:uri":"cse/x"},"net":1},"sur":"/s"},{"sud":true,"sur":"/s"}]}}"#,
        "<m2m:agn M2M><m2m:sgn><nev><rep><m2m:uri>cse/x</m2m:uri></rep><net>1</net></nev><sur>/s</sur></m2m:sgn>\
            <m2m:sgn><sud>true</sud><sur>/s</sur></m2m:sgn></m2m:agn>",
    );
    assert_both(
        r#"{"m2m:sgn":{"nev":{"rep":{"m2m:tsn":{"mdlt":["20260101T120010","20260101T120020"],"mdc":2}},"net":8},"sur":"/s"}}"#,
        "<m2m:sgn M2M><nev><rep><m2m:tsn><mdlt>20260101T120010 20260101T120020</mdlt><mdc>2</mdc></m2m:tsn></rep>\
            <net>8</net></nev><sur>/s</sur></m2m:sgn>",
    );
}

#[test]
fn an_aggregated_response_holds_responses() {
    assert_both(
        r#"{"m2m:agr":{"m2m:rsp":[{"rsc":2001,"rqi":"r","fr":"/m1","pc":{"m2m:cin":{"ri":"c"}}},{"rsc":4103,"rqi":"r","pc":{"m2m:dbg":"no <privilege>"}}]}}"#,
        "<m2m:agr M2M><m2m:rsp><rsc>2001</rsc><rqi>r</rqi><pc><m2m:cin><ri>c</ri></m2m:cin></pc><fr>/m1</fr></m2m:rsp>\
            <m2m:rsp><rsc>4103</rsc><rqi>r</rqi><pc><m2m:dbg>no &lt;privilege&gt;</m2m:dbg></pc></m2m:rsp></m2m:agr>",
    );
    assert_both(
        r#"{"m2m:rce":{"m2m:cin":{"ri":"c"},"uri":"cse/c"}}"#,
        "<m2m:rce M2M><m2m:cin><ri>c</ri></m2m:cin><uri>cse/c</uri></m2m:rce>",
    );
}

#[test]
fn fetched_requests_are_primitives() {
    let request = r#"{"op":5,"to":"Ca","fr":"/id-in","rqi":"n","pc":{"m2m:sgn":{"vrq":true,"sur":"/id-in/s"}}}"#;
    let element = "<op>5</op><to>Ca</to><fr>/id-in</fr><rqi>n</rqi>\
        <pc><m2m:sgn><vrq>true</vrq><sur>/id-in/s</sur></m2m:sgn></pc>";
    assert_both(&format!(r#"{{"m2m:rqp":{request}}}"#), &format!("<m2m:rqp M2M>{element}</m2m:rqp>"));
    for count in [1, 2] {
        let requests = vec![request; count].join(",");
        let elements = format!("<m2m:rqp>{element}</m2m:rqp>").repeat(count);
        let object = format!(r#"{{"m2m:agrp":{{"m2m:rqp":[{requests}]}}}}"#);
        assert_both(&object, &format!("<m2m:agrp M2M>{elements}</m2m:agrp>"));
    }
}

#[test]
fn specializations_have_their_own_namespaces() {
    assert_both(
        r#"{"cod:binSh":{"rn":"b","cnd":"org.onem2m.common.moduleclass.binarySwitch","state":true,"m2m:sub":[{"rn":"s"}]}}"#,
        "<cod:binSh xmlns:cod=\"http://www.onem2m.org/xml/protocols/commondomain\" rn=\"b\">\
            <cnd>org.onem2m.common.moduleclass.binarySwitch</cnd><state>true</state><m2m:sub M2M rn=\"s\"/></cod:binSh>",
    );
    assert_both(
        r#"{"m2m:fwr":{"mgd":1001,"vr":"1","fwn":"f","url":"http://x/","ud":true}}"#,
        "<m2m:fwr M2M><mgd>1001</mgd><vr>1</vr><fwn>f</fwn><url>http://x/</url><ud>true</ud></m2m:fwr>",
    );
    assert_both(r#"{"m2m:cntA":{"lnk":"/a/b","mni":5}}"#, "<m2m:cntA M2M><lnk>/a/b</lnk><mni>5</mni></m2m:cntA>");
}

#[test]
fn empty_is_null_and_marked_is_empty() {
    assert_both(r#"{"m2m:cnt":{"lbl":null,"mni":null}}"#, "<m2m:cnt M2M><lbl/><mni/></m2m:cnt>");
    assert_read("<m2m:grp M2M><mnm></mnm></m2m:grp>", r#"{"m2m:grp":{"mnm":null}}"#);
    assert_read("<m2m:grp M2M><mnm> \n </mnm></m2m:grp>", r#"{"m2m:grp":{"mnm":null}}"#);
    let nil = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil";
    assert_read(&format!("<m2m:cnt M2M><lbl {nil}=\"true\"/></m2m:cnt>"), r#"{"m2m:cnt":{"lbl":null}}"#);
    assert_read(&format!("<m2m:cnt M2M><lbl {nil}=\"false\"/></m2m:cnt>"), r#"{"m2m:cnt":{"lbl":[]}}"#);
    assert_both(
        r#"{"m2m:cnt":{"lbl":[],"or":""}}"#,
        "<m2m:cnt M2M><lbl><![CDATA[]]></lbl><or><![CDATA[]]></or></m2m:cnt>",
    );
    assert_both(r#"{"m2m:acp":{"pv":{}}}"#, "<m2m:acp M2M><pv><![CDATA[]]></pv></m2m:acp>");
    assert_both(
        r#"{"m2m:acp":{"pv":{"acr":[]},"pvs":{"acr":[{}]}}}"#,
        "<m2m:acp M2M><pv><acr><![CDATA[]]></acr></pv><pvs><acr><![CDATA[ ]]></acr></pvs></m2m:acp>",
    );
    for (object, document) in [
        (r#"{"m2m:cnt":{}}"#, "<m2m:cnt M2M/>"),
        (r#"{"m2m:uril":[]}"#, "<m2m:uril M2M/>"),
        (r#"{"m2m:dbg":""}"#, "<m2m:dbg M2M/>"),
        (r#"{"m2m:rsp":{"pc":{"m2m:cin":{}}}}"#, "<m2m:rsp M2M><pc><m2m:cin/></pc></m2m:rsp>"),
    ] {
        assert_both(object, document);
    }
}

#[test]
fn content_is_text_and_says_so_where_it_is_not() {
    assert_both(r#"{"m2m:cin":{"con":" 21.5 "}}"#, "<m2m:cin M2M><con> 21.5 </con></m2m:cin>");
    assert_both(
        r#"{"m2m:cin":{"con":"<a b=\"1\">\r\n\t&amp;]]></a>"}}"#,
        "<m2m:cin M2M><con>&lt;a b=\"1\"&gt;&#13;\n\t&amp;amp;]]&gt;&lt;/a&gt;</con></m2m:cin>",
    );
    let typed = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xsi:type";
    for (value, type_name, text) in [
        ("21", "integer", "21"),
        ("21.5", "double", "21.5"),
        ("1e300", "double", "1e300"),
        ("false", "boolean", "false"),
    ] {
        assert_both(
            &format!(r#"{{"m2m:cin":{{"con":{value}}}}}"#),
            &format!("<m2m:cin M2M><con {typed}=\"xs:{type_name}\">{text}</con></m2m:cin>"),
        );
    }
    let json = "xmlns:v=\"urn:cse-server:values\" v:type=\"json\"";
    assert_both(r#"{"m2m:cin":{"con":[1,"<"]}}"#, &format!("<m2m:cin M2M><con {json}>[1,\"&lt;\"]</con></m2m:cin>"));
    assert_both(
        "{\"m2m:cin\":{\"con\":\"a\\u0001\\uffff\"}}",
        &format!("<m2m:cin M2M><con {json}>\"a\\u0001\\uffff\"</con></m2m:cin>"),
    );
    assert_both(
        r#"{"m2m:cin":{"con":{"temperature":"21.5","on":true}}}"#,
        &format!(
            "<m2m:cin M2M><con><temperature>21.5</temperature><on {typed}=\"xs:boolean\">true</on></con></m2m:cin>"
        ),
    );
    assert_read(
        "<m2m:cin M2M><con><t unit=\"C\">1</t><t>2</t><u/><w><![CDATA[<&>]]></w></con></m2m:cin>",
        r#"{"m2m:cin":{"con":{"t":[{"unit":"C","val":"1"},"2"],"u":null,"w":"<&>"}}}"#,
    );
}

#[test]
fn a_value_of_another_kind_is_carried_all_the_same() {
    let typed = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xsi:type";
    assert_both(r#"{"m2m:cnt":{"mni":"5"}}"#, &format!("<m2m:cnt M2M><mni {typed}=\"xs:string\">5</mni></m2m:cnt>"));
    assert_both(r#"{"m2m:cnt":{"mni":"many"}}"#, "<m2m:cnt M2M><mni>many</mni></m2m:cnt>");
    let json = "xmlns:v=\"urn:cse-server:values\" v:type=\"json\"";
    assert_both(
        r#"{"m2m:cnt":{"lbl":["two words"]}}"#,
        &format!("<m2m:cnt M2M><lbl {json}>[\"two words\"]</lbl></m2m:cnt>"),
    );
    assert_both(
        r#"{"a":1,"b":2}"#,
        "<v:object xmlns:v=\"urn:cse-server:values\" v:type=\"json\">{\"a\":1,\"b\":2}</v:object>",
    );
}

#[test]
fn names_are_read_by_namespace() {
    let uri = "http://www.onem2m.org/xml/protocols";
    let object = r#"{"m2m:rqp":{"op":1,"pc":{"m2m:cnt":{"mni":5}}}}"#;
    for document in [
        format!("<m2m:rqp xmlns:m2m=\"{uri}\"><op>1</op><pc><m2m:cnt><mni>5</mni></m2m:cnt></pc></m2m:rqp>"),
        format!("<p:rqp xmlns:p=\"{uri}\"><op>1</op><pc><p:cnt><mni>5</mni></p:cnt></pc></p:rqp>"),
        format!("<rqp xmlns=\"{uri}\"><op>1</op><pc><cnt><mni>5</mni></cnt></pc></rqp>"),
        format!(
            "<m2m:rqp xmlns:m2m=\"{uri}\"><op>1</op><pc><q:cnt xmlns:q='{uri}'><mni>5</mni></q:cnt></pc></m2m:rqp>"
        ),
        "<m2m:rqp><op>1</op><pc><m2m:cnt><mni>5</mni></m2m:cnt></pc></m2m:rqp>".to_owned(),
    ] {
        assert_eq!(read(&document), Ok(json(object)), "{document}");
    }
    for document in [
        "<m2m:rqp M2M><m2m:op>1</m2m:op><m2m:pc><m2m:cnt><m2m:mni>5</m2m:mni></m2m:cnt></m2m:pc></m2m:rqp>",
        "<p:rqp xmlns:p=\"http://www.onem2m.org/xml/protocols\" p:op=\"1\"><p:pc><p:cnt p:mni=\"5\"/></p:pc></p:rqp>",
    ] {
        assert_read(document, object);
    }
    assert_read(
        "<m2m:ae M2M m2m:rn=\"a\"><m2m:poa>http://x/ http://y/</m2m:poa><m2m:cnt/></m2m:ae>",
        r#"{"m2m:ae":{"rn":"a","poa":["http://x/","http://y/"],"m2m:cnt":[{}]}}"#,
    );
    // What only JSON and CBOR tell apart is not mixed up.
    let json_form = "xmlns:v=\"urn:cse-server:values\" v:type=\"json\"";
    assert_both(r#"{"m2m:cnt":{"m2m:mni":5}}"#, &format!("<m2m:cnt M2M {json_form}>{{\"m2m:mni\":5}}</m2m:cnt>"));
    assert_read("<cnt><mni>5</mni></cnt>", r#"{"cnt":{"mni":"5"}}"#);
    assert_read("<x:thing xmlns:x=\"urn:x\"><a>1</a></x:thing>", r#"{"x:thing":{"a":"1"}}"#);
    for document in [
        "<m2m:cnt xmlns:m2m=\"urn:x\"/>",
        "<x:cnt/>",
        "<m2m:rqp><a xmlns:x=\"urn:x\"/><x:b/></m2m:rqp>",
        "<m2m:cnt x:a=\"1\"/>",
    ] {
        assert!(read(document).is_err(), "{document}");
    }
}

#[test]
fn what_stands_around_a_document_does_not_matter() {
    let object = r#"{"m2m:cnt":{"mni":5}}"#;
    for document in [
        "\u{feff}<?xml version='1.0'?>\n<!-- c --><m2m:cnt>\n  <!-- c --> <mni>\n5 </mni>\n</m2m:cnt>\n<!-- c -->\n",
        "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?><m2m:cnt><mni><![CDATA[5]]></mni></m2m:cnt>",
        "<m2m:cnt><mni>&#53;</mni></m2m:cnt>",
        "<m2m:cnt xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"a b\" xml:lang=\"en\"><mni>5</mni></m2m:cnt>",
    ] {
        assert_eq!(read(document), Ok(json(object)), "{document}");
    }
}

#[test]
fn numbers_and_booleans_have_their_spellings() {
    assert_read("<m2m:ae M2M><rr>1</rr><ty> 2 </ty></m2m:ae>", r#"{"m2m:ae":{"rr":true,"ty":2}}"#);
    assert_read("<m2m:cnt M2M><disr>0</disr><mni>yes</mni></m2m:cnt>", r#"{"m2m:cnt":{"disr":false,"mni":"yes"}}"#);
}

#[test]
fn what_the_tables_do_not_know_becomes_a_member() {
    assert_read("<m2m:cnt M2M><zzz>1</zzz><mni>5</mni></m2m:cnt>", r#"{"m2m:cnt":{"zzz":"1","mni":5}}"#);
    assert_read("<m2m:rqp M2M><zzz>1</zzz></m2m:rqp>", r#"{"m2m:rqp":{"zzz":"1"}}"#);
}
