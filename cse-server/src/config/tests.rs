//! Precedence, problems, and the sample file.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

const SAMPLE: &str = include_str!("../../../deploy/cse.toml");

pub(crate) fn parsed(file: &str, overrides: &[(&'static str, Source, &str)]) -> (Config, Vec<String>) {
    let mut layers = Layers::default();
    file::parse(file, "cse.toml", &mut layers);
    for (key, source, value) in overrides {
        layers.give(key, source.clone(), Raw::Text((*value).into()));
    }
    let (config, _, problems) = Config::read(layers);
    (config, problems.iter().map(ToString::to_string).collect())
}

pub(super) fn problems(file: &str) -> Vec<String> {
    parsed(file, &[]).1
}

fn defaults() -> Config {
    let (config, problems) = parsed("", &[]);
    assert_eq!(problems, [""; 0]);
    config
}

/// The sample with every commented option in force. Prose has a blank behind `#`, options have none.
fn uncommented_sample() -> String {
    SAMPLE.lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)).fold(
        String::new(),
        |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        },
    )
}

#[test]
fn the_defaults_are_those_of_the_core() {
    let config = defaults();
    let settings = config.settings(Vec::new()).expect("valid");
    let core = Settings::new(config.cse.identity().expect("valid"), "CAdmin");
    assert_eq!(format!("{settings:?}"), format!("{core:?}"));
}

#[test]
fn the_sample_as_it_is_changes_nothing() {
    let (config, problems) = parsed(SAMPLE, &[]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(config, defaults());
    let active: Vec<&str> = SAMPLE.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '['])).collect();
    assert_eq!(active, [""; 0], "options of the sample are commented out");
}

#[test]
fn the_sample_names_every_option_with_its_default() {
    let sample = uncommented_sample();
    let table: toml::Table = sample.parse().expect("TOML");
    let mut named = BTreeSet::new();
    for (section, keys) in &table {
        named.extend(keys.as_table().expect("only sections").keys().map(|key| format!("{section}.{key}")));
    }
    let declared: BTreeSet<String> = Config::declared().into_iter().map(|option| option.key).collect();
    assert_eq!(named, declared);

    // Both brokers are in the sample, but only one may be given; an empty URL is none.
    let (config, problems) = parsed(&sample, &[]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(config, defaults());
}

#[test]
fn every_option_of_the_sample_is_explained() {
    for (before, line) in SAMPLE.lines().zip(SAMPLE.lines().skip(1)) {
        if line.starts_with('#') && !line.starts_with("# ") && line != "#" {
            assert!(before.starts_with("# "), "no explanation above {line}");
        }
    }
}

#[test]
fn flags_win_over_variables_over_the_file() {
    let file = "[http]\nlisten = \"127.0.0.1:1\"\n[cse]\nname = \"from-file\"\nadmin = \"CFile\"";
    let (config, problems) = parsed(
        file,
        &[
            ("http.listen", Source::Flag("http"), "127.0.0.1:3"),
            ("http.listen", Source::Env("CSE_HTTP"), "127.0.0.1:2"),
            ("cse.name", Source::Env("CSE_NAME"), "from-env"),
        ],
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!(config.http.listen, Listen::local(3));
    assert_eq!(config.cse.name, "from-env");
    assert_eq!(config.cse.admin, "CFile");
}

#[test]
fn all_problems_are_reported_at_once() {
    let file = "top = 1\n[http]\nlisten = \"nowhere\"\nlisen = 1\n[requests]\ntimeout = \"1ms\"\n[empty]\n[log]\nfilter = \"a=b=c\"\n";
    let (_, problems) = parsed(file, &[("cse.type", Source::Flag("cse-type"), "xn")]);
    for start in [
        "cse.toml:1: top: unknown key 'top'",
        "cse.toml:3: http.listen: 'nowhere' is no address",
        "cse.toml:4: http.lisen: unknown key 'lisen'; [http] has body-bytes-max",
        "cse.toml:6: requests.timeout: \"1ms\" is out of range",
        "cse.toml:7: unknown section [empty]",
        "cse.toml:9: log.filter: 'a=b=c' is no log filter",
        "--cse-type: 'xn' is no choice; there are in, mn, asn",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(start)), "{start}\n{problems:#?}");
    }
    assert_eq!(problems.len(), 7, "{problems:#?}");
}

#[test]
fn what_is_no_toml_is_named_with_its_line() {
    let problems = problems("[http]\nlisten = \n");
    assert!(problems.iter().any(|problem| problem.starts_with("cse.toml:2: ")), "{problems:?}");
    assert!(problems.iter().all(|problem| !problem.contains('\n')), "{problems:?}");
}

#[test]
fn identifiers_are_checked_one_by_one() {
    let problems = problems("[cse]\nid = \"x\"\nsp-id = \"y\"\nname = \"-\"\npoa = [\"ftp://x\", \"http://ok:1\"]");
    let keys: Vec<_> = problems.iter().map(|problem| problem.split(": ").nth(1).unwrap_or_default()).collect();
    assert_eq!(keys, ["cse.id", "cse.sp-id", "cse.name", "cse.poa"], "{problems:?}");
    assert_eq!(self::problems("[cse]\nadmin = \"/id-in\"").len(), 1);
    assert_eq!(self::problems("[cse]\nadmin = \"\"").len(), 1);
}

#[test]
fn others_can_be_served_only_on_purpose() {
    let open =
        "[http]\nlisten = \"0.0.0.0:8080\"\n[mqtt]\nlisten = \"[::]:1883\"\n[monitoring]\nlisten = \"10.0.0.1:9090\"";
    let problems = problems(open);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.contains("--insecure")), "{problems:?}");
    assert_eq!(parsed(open, &[("server.insecure", Source::Flag("insecure"), "true")]).1, [""; 0]);
}

#[test]
fn what_identifies_its_clients_and_encrypts_may_be_reached_by_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let users = directory.path().join("users");
    std::fs::write(&users, "").expect("written");
    let with = |text: &str| {
        let file = format!("[mqtt]\nlisten = \"0.0.0.0:1883\"\nusers-file = '{}'\n{text}", users.display());
        problems(&file)
    };
    let found = with("");
    assert!(found.len() == 1 && found[0].contains("not encrypted"), "{found:?}");
    for more in ["policy = \"open\"", "anonymous = \"yes\""] {
        let found = with(more);
        assert!(found.len() == 1 && found[0].contains("nobody is authenticated"), "{found:?}");
    }
    let (config, _) = parsed("", &[]);
    assert_eq!(config.exposures(), []);
}

#[test]
fn the_policy_is_open_only_for_this_machine_without_credentials() {
    use Mode::{Open, Strict};
    let directory = tempfile::tempdir().expect("a directory");
    let users = directory.path().join("users");
    std::fs::write(&users, "").expect("written");
    let users = format!("users-file = '{}'", users.display());
    let rule = "credentials = [{ credential = \"*\", identifiers = [\"C*\", \"/id-*\"] }]";
    let exposed = "listen = \"0.0.0.0:1883\"";
    for (text, mode, anonymous, any) in [
        ("", Open, true, true),
        (exposed, Strict, false, false),
        ("listen = \"[::]:1883\"\nwebsocket-listen = \"off\"", Strict, false, false),
        ("websocket-listen = \"0.0.0.0:9001\"", Strict, false, false),
        (users.as_str(), Strict, false, true),
        (rule, Strict, false, true),
        ("policy = \"strict\"", Strict, false, true),
        ("policy = \"strict\"\nanonymous = \"yes\"", Strict, true, true),
        ("anonymous = \"no\"", Open, false, true),
        (&format!("policy = \"open\"\n{exposed}"), Open, true, true),
        (&format!("policy = \"open\"\n{users}"), Open, true, true),
        ("broker = \"mqtt://broker.example\"", Open, true, true),
        ("broker = \"mqtt://broker.example\"\npolicy = \"strict\"", Strict, false, false),
    ] {
        let insecure = [("server.insecure", Source::Flag("insecure"), "true")];
        let (config, problems) = parsed(&format!("[mqtt]\n{text}"), &insecure);
        assert_eq!(problems, [""; 0], "{text}");
        let security = &config.mqtt.security;
        let found = (security.mode, security.anonymous, security.credentials.any_without_rules);
        assert_eq!(found, (mode, anonymous, any), "{text}");
    }
    let (config, _) = parsed(&format!("[mqtt]\n{rule}"), &[]);
    let settings = config.settings(Vec::new()).expect("valid");
    assert!(settings.credentials.allow("lamp", "Cx") && settings.credentials.allow("mn", "/id-mn"));
    assert!(!settings.credentials.allow("lamp", "Sx"));
}

#[test]
fn two_listeners_need_two_addresses_and_the_cse_needs_one() {
    let same = "[http]\nlisten = \"127.0.0.1:7\"\n[mqtt]\nlisten = \"127.0.0.1:7\"";
    assert_eq!(problems(same), ["cse.toml:4: mqtt.listen: 127.0.0.1:7 is the address of http.listen, too"]);
    assert_eq!(problems("[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"127.0.0.1:0\""), [""; 0]);
    assert_eq!(problems("[http]\nlisten = \"off\"\n[mqtt]\nlisten = \"off\"").len(), 1);
}

#[test]
fn the_broker_is_external_or_embedded() {
    let file = |text: &str| parsed(text, &[]);
    let (config, problems) = file("[mqtt]\nbroker = \"mqtt://broker.example\"");
    assert_eq!(problems, [""; 0]);
    assert!(matches!(config.mqtt.via, MqttVia::External(broker) if broker.url.as_str() == "mqtt://broker.example"));

    let both = "[mqtt]\nlisten = \"127.0.0.1:1\"\nbroker = \"mqtt://broker.example\"";
    assert!(file(both).1[0].contains("cannot be given together with mqtt.listen"));

    // The stronger source decides, whichever broker it wants.
    let (config, problems) = parsed(
        "[mqtt]\nlisten = \"127.0.0.1:1\"",
        &[("mqtt.broker", Source::Flag("mqtt-broker"), "mqtt://broker.example")],
    );
    assert_eq!(problems, [""; 0]);
    assert!(matches!(config.mqtt.via, MqttVia::External(_)));
    let (config, problems) =
        parsed("[mqtt]\nbroker = \"mqtt://broker.example\"", &[("mqtt.listen", Source::Env("CSE_MQTT"), "off")]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(config.mqtt.via, MqttVia::Off);

    let flags = [
        ("mqtt.listen", Source::Flag("mqtt"), "127.0.0.1:1"),
        ("mqtt.broker", Source::Flag("mqtt-broker"), "mqtt://broker.example"),
    ];
    assert!(parsed("", &flags).1[0].starts_with("--mqtt-broker: cannot be given together with --mqtt"));
}

#[test]
fn the_embedded_broker_listens_wherever_it_is_told() {
    let text = "[mqtt]\nlisten = \"off\"\nwebsocket-listen = \"127.0.0.1:9001\"\nwebsocket-path = \"\"";
    let (config, problems) = parsed(text, &[]);
    assert_eq!(problems, [""; 0]);
    let MqttVia::Embedded(listen) = &config.mqtt.via else {
        panic!("{:?}", config.mqtt.via);
    };
    let addresses: Vec<_> = listen.addresses().collect();
    assert_eq!(addresses, [("websocket-listen", "127.0.0.1:9001".parse().expect("an address"))]);
    assert_eq!(listen.websocket_options.path, "");

    // Each listener counts where others may reach it, and for the choice between the brokers.
    let problems = self::problems("[mqtt]\nwebsocket-listen = \"0.0.0.0:9001\"");
    assert!(problems.len() == 1 && problems[0].contains("mqtt.websocket-listen: 0.0.0.0:9001 can"), "{problems:?}");
    let both = "[mqtt]\nwebsocket-listen = \"127.0.0.1:9001\"\nbroker = \"wss://broker.example/mqtt\"";
    let problems = self::problems(both);
    assert!(problems.len() == 1 && problems[0].contains("together with mqtt.websocket-listen"), "{problems:?}");
}

#[test]
fn credentials_are_hidden_and_not_in_the_url() {
    let problems = problems("[mqtt]\nbroker = \"mqtt://user:hunter2@broker.example\"");
    assert!(problems[0].contains("mqtt.password-file"), "{problems:?}");
    assert!(!problems[0].contains("hunter2"), "{problems:?}");

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("password");
    std::fs::write(&path, "hunter2\n").expect("written");
    let text =
        format!("[mqtt]\nbroker = \"mqtt://broker.example\"\nusername = \"cse\"\npassword-file = '{}'", path.display());
    let (config, problems) = parsed(&text, &[]);
    assert_eq!(problems, [""; 0]);
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(matches!(config.mqtt.via, MqttVia::External(broker) if broker.client.password.reveal() == "hunter2"));

    std::fs::remove_file(&path).expect("removed");
    assert!(parsed(&text, &[]).1[0].contains("mqtt.password-file: cannot read"));
}

#[test]
fn related_values_are_checked_together() {
    for (file, key) in [
        ("[resources]\ndefault-lifetime = \"30y\"", "resources.default-lifetime"),
        ("[notifications]\nretry-first = \"2m\"", "notifications.retry-first"),
        ("[broker]\nqueued-bytes-total-max = \"1 MiB\"", "broker.queued-bytes-per-client-max"),
        ("[registration]\nae-originators = [\"Xapp\"]", "registration.ae-originators"),
        ("[registration]\ncse-originators = [\"id-mn\"]", "registration.cse-originators"),
        ("[http]\ncors-origins = [\"dashboard.example\"]", "http.cors-origins"),
        ("[http]\ncors-origins = [\"https://dashboard.example/\"]", "http.cors-origins"),
        ("[http]\nroot-path = \"m2m\"", "http.root-path"),
        ("[http-client]\ntrusted-certificates = \"no-such-file.pem\"", "http-client.trusted-certificates"),
        ("[http-client]\ntrusted-certificates = \"Cargo.toml\"", "http-client.trusted-certificates"),
        ("[mqtt]\npassword = \"x\"", "mqtt.username"),
        ("[mqtt]\ntls-listen = \"127.0.0.1:8883\"", "mqtt.tls-listen"),
        ("[mqtt]\nwebsocket-tls-listen = \"127.0.0.1:9002\"", "mqtt.websocket-tls-listen"),
        ("[mqtt]\nwebsocket-path = \"mqtt\"", "mqtt.websocket-path"),
        ("[mqtt]\nwebsocket-origins = [\"dashboard.example\"]", "mqtt.websocket-origins"),
        ("[mqtt]\ntrusted-certificates = \"Cargo.toml\"", "mqtt.trusted-certificates"),
        ("[mqtt]\nclient-certificate = \"c.pem\"", "mqtt.client-certificate"),
        ("[mqtt]\nclient-key = \"c.key\"", "mqtt.client-key"),
        ("[mqtt]\nbroker = \"mqtt://broker.example/path\"", "mqtt.broker"),
        ("[mqtt]\ncredentials = [\"x\"]", "mqtt.credentials"),
        ("[mqtt]\ncredentials = [{ credential = \"x\", identifiers = [] }]", "mqtt.credentials"),
        ("[[mqtt.credentials]]\ncredential = \"x\"\nidentifiers = [\"lamp\"]", "mqtt.credentials"),
        ("[[mqtt.credentials]]\ncredential = \"x\"\nidentifier = [\"Cx\"]", "mqtt.credentials"),
        ("[mqtt]\nusers-file = \"no-such-file\"", "mqtt.users-file"),
        ("[mqtt]\nusers-file = \"Cargo.toml\"", "mqtt.users-file"),
        ("[mqtt]\ntopic-prefix = \"a/#\"", "mqtt.topic-prefix"),
    ] {
        let problems = problems(file);
        assert!(problems.len() == 1 && problems[0].contains(key), "{file}: {problems:?}");
    }
    let accepted = "[http]\ncors-origins = [\"https://dashboard.example:8443\", \"*\"]\nroot-path = \"/m2m\"\n\
                    [resources]\nexpiration-interval = \"100ms\"\n[registration]\ncse-originators = \"/id-mn*, /id-x\"";
    let (config, problems) = parsed(accepted, &[]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(config.resources.expiration_interval, Duration::from_millis(100));
    assert_eq!(config.registration.cse_originators.len(), 2);
}

#[test]
fn points_of_access_and_topic_prefix_agree() {
    let with = |poa: &str, rest: &str| problems(&format!("[cse]\npoa = [{poa}]\n[mqtt]\n{rest}\n"));
    for (poa, rest) in [
        ("\"mqtt://a.example:1883\"", ""),
        ("\"mqtt://a.example/plant/7/\"", "topic-prefix = \"plant/7\""),
        ("\"mqtts://a.example/plant%207\", \"http://a.example/other\"", "topic-prefix = \"/plant 7/\""),
    ] {
        assert_eq!(with(poa, rest), [""; 0], "{poa}");
    }
    for (poa, rest) in [
        ("\"mqtt://a.example/plant/7\"", ""),
        ("\"mqtt://a.example/plant\"", "topic-prefix = \"plant/7\""),
        ("\"mqtt://a.example\"", "topic-prefix = \"plant/7\""),
    ] {
        let found = with(poa, rest);
        assert!(found.len() == 1 && found[0].contains("mqtt.topic-prefix: is '"), "{poa}: {found:?}");
    }
}

#[test]
fn the_early_draft_is_off_and_stays_off_without_being_asked_for() {
    assert!(!defaults().mqtt.early_draft.served);
    let (config, found) = parsed("[mqtt]\nearly-draft = true\nearly-draft-entities = [\"Cold*\"]\n", &[]);
    assert_eq!(found, [""; 0]);
    assert!(config.mqtt.early_draft.served && config.mqtt.early_draft.entities == ["Cold*"]);
    let found = problems("[mqtt]\nearly-draft-entities = [\"Cold*\"]\n");
    assert!(found.len() == 1 && found[0].contains("mqtt.early-draft-entities: has no meaning"), "{found:?}");
}
