//! What a notification names, as it has to be named for a target of another service provider: there an SP-relative
//! address would be that of somebody else (TS-0001 §7.2).

use crate::id::{CseIdentity, provider_of};
use crate::schema::keys;
use crate::value::{Map, Value};

/// Members of a notification that name what is here.
const ADDRESSES: [&str; 3] = ["sur", "nfu", keys::CREATOR];

/// Makes the addresses in a notification absolute where its target is of another service provider.
pub(crate) fn as_seen_by(target: &str, content: &mut Map, identity: &CseIdentity) {
    if provider_of(target).is_none_or(|provider| provider == identity.sp_id) {
        return;
    }
    if let Some(aggregated) = content.get_mut("m2m:agn") {
        let Value::Map(aggregated) = aggregated else { return };
        in_notifications(aggregated, identity);
    }
    in_notifications(content, identity);
}

fn in_notifications(content: &mut Map, identity: &CseIdentity) {
    let notifications = match content.get_mut("m2m:sgn") {
        Some(Value::List(list)) => list.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => return,
    };
    for notification in notifications {
        let Value::Map(notification) = notification else { continue };
        for name in ADDRESSES {
            make_absolute(notification, name, identity);
        }
        if let Some(Value::Map(event)) = notification.get_mut("nev")
            && let Some(Value::Map(representation)) = event.get_mut("rep")
        {
            make_absolute(representation, "m2m:uri", identity);
        }
    }
}

fn make_absolute(map: &mut Map, name: &str, identity: &CseIdentity) {
    if let Some(Value::Text(address)) = map.get_mut(name)
        && address.starts_with('/')
        && !address.starts_with("//")
    {
        *address = smol_str::format_smolstr!("{}{address}", identity.sp_id);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::id::CseType;

    fn single(address: &str) -> Map {
        let mut notification = Map::single("sur", address);
        notification.insert("nev", Map::single("rep", Map::single("m2m:uri", address)));
        notification
    }

    #[test]
    fn only_other_service_providers_are_told_absolute_addresses() {
        let identity = CseIdentity::new("//cse.example", "/id-mn", "cse-mn", CseType::Mn).unwrap();
        let (relative, absolute) = ("/id-mn/sub1", "//cse.example/id-mn/sub1");
        for (target, expected) in [
            ("/id-in/Cx", relative),
            ("//cse.example/id-in/Cx", relative),
            ("http://other.example/x", relative),
            ("//other.example/id-in/Cx", absolute),
        ] {
            let mut content = Map::single("m2m:sgn", single(relative));
            as_seen_by(target, &mut content, &identity);
            assert_eq!(content, Map::single("m2m:sgn", single(expected)), "{target}");

            let several = |address| {
                let list = vec![Value::Map(single(address)), Value::Map(single(address))];
                Map::single("m2m:agn", Map::single("m2m:sgn", Value::List(list)))
            };
            let mut content = several(relative);
            as_seen_by(target, &mut content, &identity);
            assert_eq!(content, several(expected), "{target}");
        }
    }
}
