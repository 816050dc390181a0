//! The command line and the environment: which options have a flag, and what was asked for.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::acl::{self, AclExport};
use crate::certs::{self, DevCertificates};
use crate::config::{Config, Given, Override, Source};
use crate::passwd::{self, Passwd};

/// An option that has a flag and a variable.
struct Flag {
    /// Without its dashes.
    name: &'static str,
    /// The variable that means the same.
    env: &'static str,
    /// `section.key` of the file.
    key: &'static str,
    /// What it takes; empty for a switch.
    value: &'static str,
    help: &'static str,
}

const CONFIG: &str = "config";
const CONFIG_ENV: &str = "CSE_CONFIG";
const CHECK_CONFIG: &str = "check-config";
const READY: &str = "ready";
const MQTT: &str = "mqtt";
const MQTT_LEAVE: &str = "leave";

/// What changes often enough to deserve a flag. Everything else is in the file.
const FLAGS: &[Flag] = &[
    Flag { name: "cse-id", env: "CSE_ID", key: "cse.id", value: "ID", help: "CSE-ID, SP-relative" },
    Flag { name: "cse-name", env: "CSE_NAME", key: "cse.name", value: "NAME", help: "Resource name of the CSEBase" },
    Flag { name: "sp-id", env: "CSE_SP_ID", key: "cse.sp-id", value: "ID", help: "M2M service provider identifier" },
    Flag { name: "cse-type", env: "CSE_TYPE", key: "cse.type", value: "in|mn|asn", help: "Kind of CSE" },
    Flag {
        name: "admin",
        env: "CSE_ADMIN",
        key: "cse.admin",
        value: "ORIGINATOR",
        help: "Originator that may do everything",
    },
    Flag {
        name: "data-dir",
        env: "CSE_DATA_DIR",
        key: "store.data-dir",
        value: "DIR",
        help: "Directory of the database",
    },
    Flag { name: "http", env: "CSE_HTTP", key: "http.listen", value: "ADDR", help: "Where HTTP listens, or 'off'" },
    Flag {
        name: "mqtt",
        env: "CSE_MQTT",
        key: "mqtt.listen",
        value: "ADDR",
        help: "Where the embedded MQTT broker listens, or 'off'",
    },
    Flag {
        name: "mqtt-tls",
        env: "CSE_MQTT_TLS",
        key: "mqtt.tls-listen",
        value: "ADDR",
        help: "Where it listens with TLS, or 'off'",
    },
    Flag {
        name: "mqtt-websocket",
        env: "CSE_MQTT_WEBSOCKET",
        key: "mqtt.websocket-listen",
        value: "ADDR",
        help: "Where it listens for WebSocket, or 'off'",
    },
    Flag {
        name: "mqtt-websocket-tls",
        env: "CSE_MQTT_WEBSOCKET_TLS",
        key: "mqtt.websocket-tls-listen",
        value: "ADDR",
        help: "Where it listens for WebSocket over TLS, or 'off'",
    },
    Flag {
        name: "mqtt-tls-certificate",
        env: "CSE_MQTT_TLS_CERTIFICATE",
        key: "mqtt.tls-certificate",
        value: "FILE",
        help: "Certificate of the embedded MQTT broker (PEM)",
    },
    Flag {
        name: "mqtt-tls-key",
        env: "CSE_MQTT_TLS_KEY",
        key: "mqtt.tls-key",
        value: "FILE",
        help: "Its private key (PEM)",
    },
    Flag {
        name: "mqtt-tls-client-ca",
        env: "CSE_MQTT_TLS_CLIENT_CA",
        key: "mqtt.tls-client-ca",
        value: "FILE",
        help: "Authority whose client certificates it accepts (PEM)",
    },
    Flag {
        name: "mqtt-tls-client-certificates",
        env: "CSE_MQTT_TLS_CLIENT_CERTIFICATES",
        key: "mqtt.tls-client-certificates",
        value: "none|optional|required",
        help: "Whether clients show certificates",
    },
    Flag {
        name: "mqtt-policy",
        env: "CSE_MQTT_POLICY",
        key: "mqtt.policy",
        value: "auto|open|strict",
        help: "Whether its clients are restricted to the topics of their identity",
    },
    Flag {
        name: "mqtt-users",
        env: "CSE_MQTT_USERS",
        key: "mqtt.users-file",
        value: "FILE",
        help: "Users of the embedded MQTT broker, with hashes of their passwords",
    },
    Flag {
        name: "mqtt-broker",
        env: "CSE_MQTT_BROKER",
        key: "mqtt.broker",
        value: "URL",
        help: "External MQTT broker to use instead of the embedded one, like mqtt://host:1883",
    },
    Flag {
        name: "log",
        env: "CSE_LOG",
        key: "log.filter",
        value: "FILTER",
        help: "What is logged: a level, or levels by module like 'info,cse_http=debug'",
    },
    Flag {
        name: "log-format",
        env: "CSE_LOG_FORMAT",
        key: "log.format",
        value: "human|json",
        help: "How log lines look",
    },
    Flag {
        name: "insecure",
        env: "CSE_INSECURE",
        key: "server.insecure",
        value: "",
        help: "Serve addresses that others can reach, although nobody is authenticated or nothing encrypted there",
    },
];

/// What the process is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    /// Serve until told to stop.
    Run,
    /// Report what is wrong with the configuration.
    CheckConfig,
    /// Ask a running server whether it is ready.
    AskWhetherReady,
    /// Have the external broker forget the session of this CSE.
    LeaveMqtt,
    /// Write rules for an external broker.
    ExportAcl(AclExport),
    /// Make certificates to try TLS with; needs no configuration.
    MakeCertificates(DevCertificates),
    /// Make a line for the list of users; needs no configuration.
    Passwd(Passwd),
}

/// What was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Invocation {
    pub(crate) task: Task,
    pub(crate) given: Given,
}

/// Why there is nothing to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Instead {
    /// Text that was asked for, as `--help` does.
    Print(String),
    /// The command line makes no sense; one line.
    Refuse(String),
}

/// Reads command line and environment.
///
/// # Errors
/// [`Instead`] if there is nothing to run.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Invocation, Instead> {
    let matches = command().try_get_matches_from(arguments).map_err(instead)?;
    let (task, matches) = match matches.subcommand() {
        Some((CHECK_CONFIG, inner)) => (Task::CheckConfig, inner),
        Some((READY, inner)) => (Task::AskWhetherReady, inner),
        Some((MQTT, inner)) => (Task::LeaveMqtt, inner.subcommand_matches(MQTT_LEAVE).unwrap_or(inner)),
        Some(("acl", inner)) => {
            let inner = inner.subcommand_matches(acl::EXPORT).unwrap_or(inner);
            (Task::ExportAcl(AclExport::from_matches(inner)), inner)
        }
        Some(("certs", inner)) => (Task::MakeCertificates(DevCertificates::from_matches(inner)), inner),
        Some(("passwd", inner)) => (Task::Passwd(Passwd::from_matches(inner)), inner),
        _ => (Task::Run, &matches),
    };
    // Container tools pass variables that were left empty; nobody means the empty text by that.
    let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let file = match matches.get_one::<PathBuf>(CONFIG) {
        Some(path) => Some((path.clone(), Source::Flag(CONFIG))),
        None => env(CONFIG_ENV).map(|path| (path.into(), Source::Env(CONFIG_ENV))),
    };
    let mut overrides = Vec::new();
    for flag in FLAGS {
        let source_and_value = [
            env(flag.env).map(|value| (Source::Env(flag.env), value)),
            value_of(matches, flag).map(|value| (Source::Flag(flag.name), value)),
        ];
        let given = source_and_value.into_iter().flatten();
        overrides.extend(given.map(|(source, value)| Override { key: flag.key, source, value }));
    }
    Ok(Invocation { task, given: Given { file, overrides } })
}

fn value_of(matches: &ArgMatches, flag: &Flag) -> Option<String> {
    if flag.value.is_empty() {
        return matches.get_flag(flag.name).then(|| "true".into());
    }
    matches.get_one::<String>(flag.name).cloned()
}

fn command() -> Command {
    let declared = Config::declared();
    let flags = FLAGS.iter().map(|flag| {
        let arg = Arg::new(flag.name).long(flag.name).global(true);
        if flag.value.is_empty() {
            let help = format!("{} [env: {}=true]", flag.help, flag.env);
            return arg.action(ArgAction::SetTrue).help(help);
        }
        let default =
            declared.iter().find(|option| option.key == flag.key).map(|option| option.default.trim_matches('"'));
        let default = default.filter(|text| !text.is_empty()).map(|text| format!(" [default: {text}]"));
        let help = format!("{}{} [env: {}]", flag.help, default.unwrap_or_default(), flag.env);
        arg.value_name(flag.value).help(help)
    });
    Command::new("cse-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A oneM2M CSE")
        .after_help(
            "Flags win over environment variables, these over the file. The sample file deploy/cse.toml has every \
             option with its default.",
        )
        .arg(
            Arg::new(CONFIG)
                .long(CONFIG)
                .global(true)
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help(format!("Configuration file in TOML [env: {CONFIG_ENV}]")),
        )
        .args(flags)
        .subcommand(Command::new(CHECK_CONFIG).about("Report every problem of the configuration and exit"))
        .subcommand(
            Command::new(READY)
                .about("Ask the server that runs with this configuration whether it is ready, and exit with 0 if so"),
        )
        .subcommand(
            Command::new(MQTT)
                .about("What concerns the external MQTT broker")
                .subcommand_required(true)
                .disable_help_subcommand(true)
                .subcommand(Command::new(MQTT_LEAVE).about(
                    "Have the broker forget the session of this CSE with all that waits there; the server must not run",
                )),
        )
        .subcommand(acl::command())
        .subcommand(certs::command())
        .subcommand(passwd::command())
        .disable_help_subcommand(true)
}

fn instead(error: clap::Error) -> Instead {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Instead::Print(error.to_string());
    }
    // The first line says what is wrong; the usage that follows would bury it.
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let meant = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand].into_iter().find_map(|kind| match error
        .get(kind)?
    {
        ContextValue::String(name) => Some(name.clone()),
        ContextValue::Strings(names) => names.first().cloned(),
        _ => None,
    });
    Instead::Refuse(match meant {
        Some(name) => format!("{line}; is {name} meant?"),
        None => format!("{line}; see --help"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_in(arguments: &[&str], env: &[(&str, &str)]) -> Result<Invocation, Instead> {
        let arguments = ["cse-server"].iter().chain(arguments).map(OsString::from);
        parse(arguments, |name| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into()))
    }

    #[test]
    fn every_flag_sets_an_option_that_exists() {
        let declared = Config::declared();
        for flag in FLAGS {
            assert!(declared.iter().any(|option| option.key == flag.key), "{}", flag.key);
            assert!(flag.env.starts_with("CSE_"), "{}", flag.env);
        }
    }

    #[test]
    fn flags_and_variables_are_told_apart() {
        let env = [("CSE_HTTP", "off"), ("CSE_MQTT", " "), ("CSE_CONFIG", "env.toml")];
        let invocation = parse_in(&["--http", "127.0.0.1:1", "check-config", "--insecure"], &env).expect("valid");
        assert_eq!(invocation.task, Task::CheckConfig);
        assert_eq!(invocation.given.file, Some(("env.toml".into(), Source::Env("CSE_CONFIG"))));
        let given: Vec<_> =
            invocation.given.overrides.iter().map(|given| (given.source.clone(), given.value.as_str())).collect();
        assert_eq!(
            given,
            [
                (Source::Env("CSE_HTTP"), "off"),
                (Source::Flag("http"), "127.0.0.1:1"),
                (Source::Flag("insecure"), "true"),
            ]
        );
    }

    #[test]
    fn commands_take_the_same_options() {
        for arguments in
            [&["--mqtt-broker", "mqtt://x", "mqtt", "leave"][..], &["mqtt", "leave", "--mqtt-broker", "mqtt://x"]]
        {
            let invocation = parse_in(arguments, &[]).expect("valid");
            assert_eq!(invocation.task, Task::LeaveMqtt);
            let values: Vec<_> = invocation.given.overrides.iter().map(|given| given.value.as_str()).collect();
            assert_eq!(values, ["mqtt://x"]);
        }
    }

    #[test]
    fn the_help_has_defaults_and_variables() {
        let Err(Instead::Print(help)) = parse_in(&["--help"], &[]) else {
            panic!("no help");
        };
        for part in ["[default: 127.0.0.1:8080] [env: CSE_HTTP]", "check-config", "--mqtt-broker <URL>"] {
            assert!(help.contains(part), "{part} is not in\n{help}");
        }
    }

    #[test]
    fn a_wrong_command_line_is_one_line() {
        for (arguments, part) in [
            (&["--htpp", "off"][..], "'--http'"),
            (&["--http"][..], "--http"),
            (&["check-confg"][..], "check-config"),
            (&["--http", "off", "--http", "off"][..], "--http"),
            (&["mqtt"][..], "subcommand"),
            (&["mqtt", "leaf"][..], "leave"),
        ] {
            let Err(Instead::Refuse(line)) = parse_in(arguments, &[]) else {
                panic!("{arguments:?} is accepted");
            };
            assert!(!line.contains('\n') && line.contains(part.trim_matches('\'')), "{line}");
        }
    }
}
