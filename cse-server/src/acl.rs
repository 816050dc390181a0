//! `cse-server acl export`: the topics of TS-0010 clause 8.4 as rules for an external broker.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use cse_mqtt::security::{InvalidRules, KnownBy, NamedUser, StaticRules, identifier_of};

use crate::config::{Config, MqttVia};

/// The only subcommand so far.
pub(crate) const EXPORT: &str = "export";

/// Whose rules they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Format {
    Mosquitto,
    Emqx,
}

/// What was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct AclExport {
    format: Format,
    known_by: KnownBy,
    /// `NAME=ID` each.
    users: Vec<String>,
}

/// Why there are no rules. Each text is one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AclError {
    #[error("--user: '{0}' is not of the form NAME=ID")]
    NoPair(String),
    #[error("--user: '{0}' is no AE-ID and no CSE-ID, like Csensor or /id-mn")]
    Identifier(String),
    #[error(transparent)]
    Identity(#[from] cse_core::id::InvalidId),
    #[error(transparent)]
    Rules(#[from] InvalidRules),
}

/// The subcommand.
pub(crate) fn command() -> Command {
    let export = Command::new(EXPORT)
        .about("Print rules for an external broker: which client may use which topics (TS-0010 clause 8.4)")
        .arg(
            Arg::new("format")
                .long("format")
                .required(true)
                .value_name("FORMAT")
                .value_parser(PossibleValuesParser::new(["mosquitto", "emqx"]))
                .help("As acl_file of mosquitto or as acl.conf of EMQX 5"),
        )
        .arg(Arg::new("user").long("user").value_name("NAME=ID").action(ArgAction::Append).help(
            "A user of the broker and the AE or CSE that it speaks for, like gateway=/id-mn; without, the name is \
                 the AE-ID",
        ))
        .arg(
            Arg::new("known-by")
                .long("known-by")
                .value_name("WHAT")
                .default_value("username")
                .value_parser(PossibleValuesParser::new(["username", "client-id"]))
                .help("What the broker knows others by; client-id only if clients cannot choose it"),
        );
    Command::new("acl")
        .about("What concerns rights at an external MQTT broker")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommand(export)
}

impl AclExport {
    pub(crate) fn from_matches(matches: &ArgMatches) -> Self {
        let is = |name: &str, value: &str| matches.get_one::<String>(name).is_some_and(|given| given == value);
        Self {
            format: if is("format", "emqx") { Format::Emqx } else { Format::Mosquitto },
            known_by: if is("known-by", "client-id") { KnownBy::ClientId } else { KnownBy::UserName },
            users: matches.get_many::<String>("user").into_iter().flatten().cloned().collect(),
        }
    }

    /// The rules for the broker of the configured CSE.
    ///
    /// # Errors
    /// [`AclError`].
    pub(crate) fn run(&self, config: &Config) -> Result<String, AclError> {
        let identity = config.cse.identity()?;
        let users = self.users.iter().map(|pair| {
            let (name, identifier) = pair.split_once('=').ok_or_else(|| AclError::NoPair(pair.clone()))?;
            let entity = identifier_of(&identity, identifier);
            let entity = entity.ok_or_else(|| AclError::Identifier(identifier.to_owned()))?;
            Ok(NamedUser { name: name.to_owned(), entity })
        });
        let users = users.collect::<Result<Vec<_>, AclError>>()?;
        let username = match &config.mqtt.via {
            MqttVia::External(broker) => broker.client.username.as_deref(),
            MqttVia::Embedded(_) | MqttVia::Off => None,
        };
        let own_user = username.unwrap_or(identity.base_id());
        let rules = StaticRules::new(&identity, &config.mqtt.topic_prefix, own_user, &users, self.known_by)?;
        Ok(match self.format {
            Format::Mosquitto => rules.mosquitto(),
            Format::Emqx => rules.emqx(),
        })
    }
}
