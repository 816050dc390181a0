//! From a primitive to the tree that the codecs write, members in the order of TS-0004 §6.4.

use super::filter::{AttributeCondition, FilterCriteria, FilterOperation, FilterUsage};
use super::{Request, Response, ResponseType};
use crate::schema::Ty;
use crate::value::{Map, Text, Value};

fn put(map: &mut Map, name: &'static str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.push(name, value);
    }
}

impl Request {
    /// The primitive as a tree.
    pub fn to_map(&self) -> Map {
        let mut map = Map::with_capacity(8);
        map.push("op", self.operation as i64);
        map.push("to", self.to.clone());
        put(&mut map, "fr", self.from.clone());
        map.push("rqi", self.request_identifier.clone());
        put(&mut map, "ty", self.resource_type.map(|ty| i64::from(ty.0)));
        put(&mut map, "pc", self.content.clone());
        put(&mut map, "ot", self.originating_timestamp);
        put(&mut map, "rqet", self.request_expiration);
        put(&mut map, "rset", self.result_expiration);
        put(&mut map, "oet", self.operation_execution_time);
        if self.response_type != ResponseType::Blocking || self.notification_uris.is_some() {
            let mut info = Map::single("rtv", i64::from(self.response_type.code()));
            put(&mut info, "nu", self.notification_uris.clone());
            map.push("rt", info);
        }
        put(&mut map, "rp", self.result_persistence);
        put(&mut map, "rcn", self.result_content.map(|content| i64::from(content.code())));
        put(&mut map, "ec", self.event_category);
        put(&mut map, "gid", self.group_request_identifier.clone());
        put(&mut map, "grtm", self.group_request_target_members.clone());
        put(&mut map, "fc", self.filter_criteria.as_ref().map(|criteria| criteria.to_map()));
        if self.unstructured_addresses {
            map.push("drt", 2_i64);
        }
        put(&mut map, "rvi", self.release_version.map(|version| version.as_str()));
        put(&mut map, "vsi", self.vendor_information.clone());
        for (name, value) in self.passive.iter() {
            map.push(name.clone(), value.clone());
        }
        map
    }
}

impl FilterCriteria {
    /// The filter criteria as a tree.
    pub fn to_map(&self) -> Map {
        let texts = |list: &[Text]| (!list.is_empty()).then(|| list.to_vec());
        let types = |list: &[Ty]| (!list.is_empty()).then(|| list.iter().map(|ty| i64::from(ty.0)).collect::<Vec<_>>());
        let conditions = |list: &[AttributeCondition]| {
            (!list.is_empty()).then(|| {
                let entry = |condition: &AttributeCondition| {
                    let mut map = Map::single("nm", condition.name.clone());
                    map.push("val", condition.value.clone());
                    Value::Map(map)
                };
                list.iter().map(entry).collect::<Vec<_>>()
            })
        };
        let mut map = Map::new();
        put(&mut map, "crb", self.created_before);
        put(&mut map, "cra", self.created_after);
        put(&mut map, "ms", self.modified_since);
        put(&mut map, "us", self.unmodified_since);
        put(&mut map, "sts", self.state_tag_smaller);
        put(&mut map, "stb", self.state_tag_bigger);
        put(&mut map, "exb", self.expire_before);
        put(&mut map, "exa", self.expire_after);
        put(&mut map, "lbl", texts(&self.labels));
        put(&mut map, "clbl", texts(&self.child_labels));
        put(&mut map, "palb", texts(&self.parent_labels));
        put(&mut map, "lbq", self.labels_query.clone());
        put(&mut map, "ty", types(&self.resource_type));
        put(&mut map, "chty", types(&self.child_resource_type));
        put(&mut map, "pty", types(&self.parent_resource_type));
        put(&mut map, "sza", self.size_above);
        put(&mut map, "szb", self.size_below);
        put(&mut map, "cty", texts(&self.content_type));
        put(&mut map, "atr", conditions(&self.attribute));
        put(&mut map, "catr", conditions(&self.child_attribute));
        put(&mut map, "patr", conditions(&self.parent_attribute));
        if self.usage == FilterUsage::Discovery {
            map.push("fu", 1_i64);
        }
        put(&mut map, "lim", self.limit);
        if self.operation == FilterOperation::Or {
            map.push("fo", 2_i64);
        }
        if let Some(query) = &self.content_filter_query {
            map.push("cfs", 1_i64);
            map.push("cfq", query.clone());
        }
        put(&mut map, "lvl", self.level);
        put(&mut map, "ofst", self.offset);
        put(&mut map, "arp", self.apply_relative_path.clone());
        map
    }
}

impl Response {
    /// The primitive as a tree.
    pub fn to_map(&self) -> Map {
        self.clone().into_map()
    }

    /// The primitive as a tree, without copying the content.
    pub fn into_map(self) -> Map {
        let mut map = Map::with_capacity(8);
        map.push("rsc", i64::from(self.status.code()));
        map.push("rqi", self.request_identifier);
        put(&mut map, "pc", self.content);
        put(&mut map, "to", self.to);
        put(&mut map, "fr", self.from);
        put(&mut map, "ot", self.originating_timestamp);
        put(&mut map, "rset", self.result_expiration);
        put(&mut map, "ec", self.event_category);
        put(&mut map, "cnst", self.content_complete.map(|complete| if complete { 2_i64 } else { 1_i64 }));
        put(&mut map, "cnot", self.content_offset);
        put(&mut map, "rvi", self.release_version.map(|version| version.as_str()));
        put(&mut map, "vsi", self.vendor_information);
        map
    }
}
