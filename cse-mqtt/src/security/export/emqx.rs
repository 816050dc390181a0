//! An `acl.conf` of EMQX 5: Erlang terms, of which the first that fits decides.
//!
//! EMQX looks at filters when they are subscribed to. Versions differ in what they compare a filter with a `#` at its
//! end to, so what is granted ends in `#` as well.

use super::{Access, Grant, KnownBy, Part, StaticRules};

pub(super) fn write(rules: &StaticRules) -> String {
    let (placeholder, attribute) = match rules.known_by {
        KnownBy::UserName => ("${username}", "username"),
        KnownBy::ClientId => ("${clientid}", "clientid"),
    };
    let mut text = format!(
        "%% Topics of TS-0010 clause 8.4 for the CSE {} on an external broker, written by\n\
         %% `cse-server acl export --format emqx`.\n\
         %%\n\
         %% Give no user the name of another entity: the name is the topic level that a client speaks under.\n\
         %% What these terms cannot say, the CSE checks itself with policy = \"strict\" in [mqtt].\n\
         \n\
         %% The CSE.\n",
        rules.cse_id
    );
    let section = |text: &mut String, who: &str, grants: &[Grant]| {
        for grant in grants {
            let topic = rules.topic(grant, placeholder);
            let (action, topics) = match (grant.access, &grant.receiver) {
                // Without and with the level for the serialization.
                (Access::Publish, _) => ("publish", format!("\"{topic}\", \"{topic}/+\"")),
                (Access::Subscribe, Part::Any) => ("subscribe", format!("\"{}\"", until_receiver(&topic))),
                (Access::Subscribe, _) => ("subscribe", format!("\"{topic}/#\"")),
            };
            text.push_str(&format!("{{allow, {who}, {action}, [{topics}]}}.\n"));
        }
    };
    section(&mut text, &format!("{{username, \"{}\"}}", rules.own_user), &rules.own);
    for (user, grants) in &rules.named {
        text.push_str(&format!("\n%% {}\n", user.entity.identifier()));
        section(&mut text, &format!("{{username, \"{}\"}}", user.name), grants);
    }
    text.push_str(&format!(
        "\n%% Names that would be more than one level.\n\
         {{deny, {{{attribute}, {{re, \"[/+#]\"}}}}, all, [\"#\"]}}.\n\
         \n%% Everybody, under the own {attribute}: as AE, and for its registration.\n"
    ));
    section(&mut text, "all", &rules.everybody);
    text.push_str("\n{deny, all}.\n");
    text
}

/// The filter for whatever stands in the last level, and behind it.
fn until_receiver(topic: &str) -> String {
    format!("{}/#", topic.strip_suffix("/+").unwrap_or(topic))
}
