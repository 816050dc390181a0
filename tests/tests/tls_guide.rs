//! The guide to TLS, typed as it stands there.

use cse_tests::typed::Typed;

const GUIDE: &str = include_str!("../../docs/tls.md");

#[test]
fn the_guide_to_tls_works_as_typed() {
    let typed = Typed::new(GUIDE, &["Try it"])
        .port("8883")
        .port("9002")
        .pauses(&[&[0, 1]])
        // The server has no other ports.
        .instead("cse-server --mqtt-tls", "cse-server --http off --mqtt off --mqtt-tls");
    let (output, errors) = typed.run();
    assert!(output.contains("\"rsc\":2001"), "{output}\n{errors}");
    let made = |name: &str| typed.directory().join("certs").join(name);
    assert!(output.contains("Csecond.key") && made("Csecond.key").exists(), "{output}");
    for name in ["ca.key", "server.key", "Cdevice.key"] {
        let key = std::fs::read_to_string(made(name)).expect("there");
        let secret = key.lines().nth(1).expect("a line of the key");
        assert!(!output.contains(secret) && !errors.contains(secret), "{name} is shown");
    }
}
