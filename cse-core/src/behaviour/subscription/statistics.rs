//! The statistics of a subscription (`nsi`): events and requests, counted per target.

use crate::schema::keys;
use crate::value::{Map, Text, Value};

/// Keeps the statistics entries (`nsi`) in step with `nse` and `nu`.
pub(super) fn keep_statistics(attributes: &mut Map, change: Option<(&Map, &Map)>) {
    if attributes.bool(keys::NOTIFICATION_STATS_ENABLE) != Some(true) {
        return;
    }
    let restarts = change.is_none_or(|(_, patch)| patch.bool(keys::NOTIFICATION_STATS_ENABLE) == Some(true));
    let targets: Vec<Text> = attributes.texts(keys::NOTIFICATION_URI).map(Text::from).collect();
    let before = change.and_then(|(before, _)| before.get(keys::NOTIFICATION_STATS_INFO)).cloned();
    let entry = |target: Text| {
        let kept = before.as_ref().and_then(Value::as_list).unwrap_or_default().iter();
        let kept = kept
            .filter(|_| !restarts)
            .find(|entry| entry.as_map().and_then(|entry| entry.text(keys::TARGET)) == Some(target.as_str()));
        kept.cloned().unwrap_or_else(|| {
            let mut entry = Map::single(keys::TARGET, target.clone());
            entry.push(keys::REQUESTS_SENT, 0_i64);
            entry.push(keys::RESPONSES_RECEIVED, 0_i64);
            entry.push(keys::NOTIFICATION_EVENT_COUNT, 0_i64);
            Value::Map(entry)
        })
    };
    let info: Vec<Value> = targets.into_iter().map(entry).collect();
    attributes.insert(keys::NOTIFICATION_STATS_INFO, Value::List(info));
}

/// Adds to one target's counters of the statistics.
pub(crate) fn count(attributes: &mut Map, target: &str, counter: &'static str, by: i64) {
    let Some(Value::List(entries)) = attributes.get_mut(keys::NOTIFICATION_STATS_INFO) else {
        return;
    };
    for entry in entries {
        if let Value::Map(entry) = entry
            && entry.text(keys::TARGET) == Some(target)
        {
            let before = entry.int(counter).unwrap_or(0);
            entry.insert(counter, before + by);
        }
    }
}
