//! Filter criteria of a request (TS-0004 §6.3.5.8).

use crate::schema::Ty;
use crate::time::Timestamp;
use crate::value::{Text, Value};

/// What filter criteria are for (`m2m:filterUsage`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FilterUsage {
    /// 1: find resources below the target.
    Discovery,
    /// 2: conditions on the operation; the default.
    #[default]
    Conditional,
    /// 3: have an interworking entity find something.
    IpeOnDemand,
}

/// How conditions of different kinds combine (`m2m:filterOperation`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FilterOperation {
    /// 1: all must hold; the default.
    #[default]
    And,
    /// 2: one must hold.
    Or,
}

/// An attribute and the value that it must have.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeCondition {
    /// Short name.
    pub name: Text,
    /// The value; text may contain `*`.
    pub value: Value,
}

/// Filter criteria. Several values in one member are alternatives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterCriteria {
    /// `fu`
    pub usage: FilterUsage,
    /// `fo`
    pub operation: FilterOperation,
    /// `crb`: creation time before.
    pub created_before: Option<Timestamp>,
    /// `cra`: creation time at or after.
    pub created_after: Option<Timestamp>,
    /// `ms`: last modified at or after.
    pub modified_since: Option<Timestamp>,
    /// `us`: last modified before.
    pub unmodified_since: Option<Timestamp>,
    /// `sts`: state tag below.
    pub state_tag_smaller: Option<u64>,
    /// `stb`: state tag at or above.
    pub state_tag_bigger: Option<u64>,
    /// `exb`: expires before.
    pub expire_before: Option<Timestamp>,
    /// `exa`: expires at or after.
    pub expire_after: Option<Timestamp>,
    /// `lbl`
    pub labels: Vec<Text>,
    /// `clbl`
    pub child_labels: Vec<Text>,
    /// `palb`
    pub parent_labels: Vec<Text>,
    /// `lbq`
    pub labels_query: Option<Text>,
    /// `ty`
    pub resource_type: Vec<Ty>,
    /// `chty`
    pub child_resource_type: Vec<Ty>,
    /// `pty`
    pub parent_resource_type: Vec<Ty>,
    /// `sza`: content size at or above.
    pub size_above: Option<u64>,
    /// `szb`: content size below.
    pub size_below: Option<u64>,
    /// `cty`: media type of the content.
    pub content_type: Vec<Text>,
    /// `atr`
    pub attribute: Vec<AttributeCondition>,
    /// `catr`
    pub child_attribute: Vec<AttributeCondition>,
    /// `patr`
    pub parent_attribute: Vec<AttributeCondition>,
    /// `cfq`, a JSONPath (RFC 9535) that must find something in the content. `cfs` is 1, JSONPath being the only
    /// syntax there is.
    pub content_filter_query: Option<Text>,
    /// `lim`: at most so many resources in the result.
    pub limit: Option<u64>,
    /// `lvl`: at most so many levels below the target.
    pub level: Option<u64>,
    /// `ofst`: the first result to return, counted from 1.
    pub offset: Option<u64>,
    /// `arp`: a path that is appended to each result.
    pub apply_relative_path: Option<Text>,
}

impl FilterCriteria {
    /// Whether there is any condition (as opposed to usage, limit, level, offset).
    pub fn has_conditions(&self) -> bool {
        let neutral = Self {
            usage: self.usage,
            operation: self.operation,
            limit: self.limit,
            level: self.level,
            offset: self.offset,
            apply_relative_path: self.apply_relative_path.clone(),
            ..Self::default()
        };
        *self != neutral
    }
}
