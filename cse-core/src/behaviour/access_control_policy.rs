//! `<accessControlPolicy>` (TS-0004 §7.4.2).

use crate::error::Error;
use crate::schema::keys;
use crate::value::{Map, Value};

/// Someone must be able to change the policy again.
pub(crate) fn check(attributes: &Map) -> Result<(), Error> {
    let rules = attributes.get(keys::SELF_PRIVILEGES).and_then(Value::as_map);
    let has_rule = rules.and_then(|rules| rules.get(keys::ACCESS_CONTROL_RULES)).and_then(Value::as_list);
    if has_rule.is_none_or(<[Value]>::is_empty) {
        return Err(Error::attribute(keys::SELF_PRIVILEGES, "(selfPrivileges) must contain at least one rule"));
    }
    Ok(())
}
