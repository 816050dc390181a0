//! An `acl_file` of mosquitto: sections of users, then patterns, which are for everybody.
//!
//! Mosquitto lets everybody subscribe to everything and looks at each message before it delivers it, so `read` is
//! said of topics, not of filters. Placeholders have to be a whole level there.

use super::{Access, Grant, KnownBy, StaticRules};

pub(super) fn write(rules: &StaticRules) -> String {
    let placeholder = match rules.known_by {
        KnownBy::UserName => "%u",
        KnownBy::ClientId => "%c",
    };
    let mut text = format!(
        "# Topics of TS-0010 clause 8.4 for the CSE {} on an external broker, written by\n\
         # `cse-server acl export --format mosquitto`. What no line grants is denied.\n\
         #\n\
         # Give no user the name of another entity: the name is the topic level that a client speaks under.\n\
         # What these lines cannot say, the CSE checks itself with policy = \"strict\" in [mqtt].\n\
         \n\
         # The CSE.\n\
         user {}\n",
        rules.cse_id, rules.own_user
    );
    let section = |text: &mut String, keyword: &str, grants: &[Grant]| {
        for grant in grants {
            let access = match grant.access {
                Access::Publish => "write",
                Access::Subscribe => "read",
            };
            let topic = rules.topic(grant, placeholder);
            // Without and with the level for the serialization.
            text.push_str(&format!("{keyword} {access} {topic}\n{keyword} {access} {topic}/+\n"));
        }
    };
    section(&mut text, "topic", &rules.own);
    for (user, grants) in &rules.named {
        text.push_str(&format!("\n# {}\nuser {}\n", user.entity.identifier(), user.name));
        section(&mut text, "topic", grants);
    }
    let known_by = match rules.known_by {
        KnownBy::UserName => "user name",
        KnownBy::ClientId => "client identifier",
    };
    text.push_str(&format!("\n# Everybody, under the own {known_by}: as AE, and for its registration.\n"));
    section(&mut text, "pattern", &rules.everybody);
    text
}
