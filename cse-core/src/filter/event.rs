//! The part of event notification criteria (`enc`) that is about the resource, not the event (TS-0004 §6.3.5.7).

use super::Verdict;
use super::range::{Interval, Ranges};
use crate::error::Error;
use crate::primitive::FilterOperation;
use crate::resource::Resource;
use crate::time::Timestamp;
use crate::value::{Map, Value};

/// Bounds of a subscription on the subscribed-to resource. Event types, attributes, child types and monitored
/// operations are not looked at here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EventFilter {
    operation: FilterOperation,
    ranges: Ranges,
}

impl EventFilter {
    /// Takes `fo` and the bounds out of the value of `enc`.
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] names the member with a wrong value; [`Error::NotImplemented`] for XOR.
    pub(crate) fn compile(criteria: &Map) -> Result<Self, Error> {
        let time = |name: &str| member(criteria, name, "must be a time like 20260131T120000", time);
        let count = |name: &str| member(criteria, name, "must be a number that is not negative", Value::as_unsigned);
        let positive = |name: &str| {
            let positive = |value: &Value| value.as_unsigned().filter(|number| *number > 0);
            member(criteria, name, "must be a number above 0", positive)
        };
        let operation = match member(criteria, "fo", "must be 1 (AND) or 2 (OR)", Value::as_int)? {
            None | Some(1) => FilterOperation::And,
            Some(2) => FilterOperation::Or,
            Some(3) => return Err(Error::NotImplemented("filterOperation 3 (XOR)".into())),
            Some(other) => {
                return Err(Error::attribute("enc/fo", format!("must be 1 (AND) or 2 (OR), not {other}")));
            }
        };
        let ranges = Ranges {
            created: Interval { from: time("cra")?, before: time("crb")? },
            modified: Interval { from: time("ms")?, before: time("us")? },
            expires: Interval { from: time("exa")?, before: time("exb")? },
            state_tag: Interval { from: count("stb")?, before: positive("sts")? },
            size: Interval { from: count("sza")?, before: positive("szb")? },
        };
        Ok(Self { operation, ranges })
    }

    /// Whether the resource is within the bounds; without any it is.
    pub(crate) fn matches(&self, resource: &Resource) -> bool {
        let mut verdict = Verdict::new(self.operation);
        self.ranges.judge(resource, &mut verdict);
        verdict.result()
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_text().and_then(Timestamp::parse)
}

fn member<T>(
    criteria: &Map,
    name: &str,
    problem: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Some(value) = criteria.get(name) else { return Ok(None) };
    read(value).map(Some).ok_or_else(|| Error::attribute(format!("enc/{name}"), problem))
}
