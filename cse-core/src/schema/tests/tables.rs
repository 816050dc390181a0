//! Rules that every table follows.

use std::collections::BTreeSet;

use crate::schema::{
    Announced, ComplexDef, EnumDef, Kind, Presence, Specialization, Ty, TypeDef, Virtual, all_types, by_root, complex,
    keys, type_def, types,
};

#[test]
fn attribute_names_are_unique_in_each_type() {
    for def in all_types() {
        let mut keys = BTreeSet::new();
        let mut names = BTreeSet::new();
        for attr in def.attributes {
            assert!(keys.insert(attr.key), "{}: {} appears twice", def.name, attr.key);
            // Device models have an attribute nodeLink of their own.
            let is_device_model = matches!(def.specialization, Some(Specialization::ContainerDefinition(_)));
            assert!(names.insert(attr.name) || is_device_model, "{}: {} appears twice", def.name, attr.name);
            assert_eq!(def.attribute(attr.key).map(|found| found.name), Some(attr.name));
        }
        assert!(def.attribute("").is_none());
    }
}

#[test]
fn what_only_the_cse_sets_is_never_asked_for() {
    for def in all_types() {
        for attr in def.attributes.iter().filter(|attr| attr.by_cse) {
            assert_eq!(attr.create, Presence::NotPermitted, "{}: {}", def.name, attr.key);
            assert_ne!(attr.update, Presence::Mandatory, "{}: {}", def.name, attr.key);
        }
    }
}

#[test]
fn common_attributes_come_first_and_in_the_order_of_xml() {
    let order = ["rn", "ty", "ri", "pi", "ct", "lt", "lbl", "acpi", "et", "lnk", "daci", "at", "aa", "st", "cr"];
    for def in all_types().filter(|def| def.specialization.is_none() && !def.ty.is_announced()) {
        let found: Vec<&str> =
            def.attributes.iter().map(|attr| attr.key).take_while(|key| order.contains(key)).collect();
        let expected: Vec<&str> = order.into_iter().filter(|key| def.attribute(key).is_some()).collect();
        assert_eq!(found, expected, "{}", def.name);
    }
}

#[test]
fn every_resource_has_the_universal_attributes() {
    for def in all_types() {
        for key in [keys::RESOURCE_NAME, keys::RESOURCE_TYPE, keys::RESOURCE_ID, keys::PARENT_ID, keys::CREATION_TIME] {
            assert!(def.attribute(key).is_some(), "{} lacks {key}", def.name);
        }
    }
}

#[test]
fn children_and_parents_agree() {
    for def in type_numbers() {
        assert!(def.children.is_sorted_by(|one, next| one < next), "{}", def.name);
        assert!(def.parents.is_sorted_by(|one, next| one < next), "{}", def.name);
        for child in def.children {
            let child = type_def(*child).unwrap_or_else(|| panic!("{}: child {child} is unknown", def.name));
            assert!(child.parents.contains(&def.ty), "{} in {}", child.name, def.name);
            assert!(def.allows_child(child.ty));
        }
        for parent in def.parents {
            let parent = type_def(*parent).unwrap_or_else(|| panic!("{}: parent {parent} is unknown", def.name));
            assert!(parent.allows_child(def.ty), "{} in {}", def.name, parent.name);
        }
        assert_eq!(def.subscribable, def.allows_child(Ty::SUBSCRIPTION), "{}", def.name);
        for limit in def.child_limits {
            assert!(def.allows_child(limit.child), "{}", def.name);
        }
        assert!(!def.parents.is_empty() || def.ty == Ty::CSE_BASE, "{} can be nowhere", def.name);
    }
}

#[test]
fn some_relations_of_the_specification() {
    let container = type_def(Ty::CONTAINER).expect("a type");
    assert!(container.allows_child(Ty::CONTENT_INSTANCE));
    assert!(!container.allows_child(Ty::AE));
    assert!(container.has_virtual(Virtual::Latest) && container.has_virtual(Virtual::Oldest));
    assert!(!container.has_virtual(Virtual::FanOutPoint));
    let instance = type_def(Ty::CONTENT_INSTANCE).expect("a type");
    assert!(!instance.subscribable);
    assert_eq!(instance.parents, [Ty::CONTAINER, Ty::CONTAINER.announced()]);
    let subscription = type_def(Ty::SUBSCRIPTION).expect("a type");
    let limit = subscription.child_limit(Ty::SCHEDULE).expect("limited");
    assert_eq!((limit.max, limit.name), (1, Some("notificationSchedule")));
    assert!(type_def(Ty::STATS_CONFIG).expect("a type").in_cse_only);
}

#[test]
fn types_are_found_by_number_and_by_root() {
    let mut roots = BTreeSet::new();
    for def in all_types() {
        if def.specialization.is_none() && def.root.is_empty() {
            assert!([13, 28, 58, 10013, 10028].contains(&def.ty.0), "{} has no root", def.name);
        } else {
            assert!(roots.insert(def.root), "{} appears twice", def.root);
            let found = by_root(def.root).unwrap_or_else(|| panic!("{} is not found", def.root));
            assert_eq!((found.name, found.ty), (def.name, def.ty));
        }
    }
    for def in types() {
        assert_eq!(type_def(def.ty).map(|found| found.name), Some(def.name));
        assert!(!def.ty.is_announced());
    }
    assert!(types().map(|def| def.ty).is_sorted());
    for unknown in [0, 33, 52, 57, 67, 10006, 10051, u16::MAX] {
        assert!(type_def(Ty(unknown)).is_none(), "{unknown}");
    }
    for unknown in ["", "cnt", "m2m:", "m2m:xyz", "m2m:cntAA"] {
        assert!(by_root(unknown).is_none(), "{unknown}");
    }
}

#[test]
fn specializations_have_the_common_rows_and_their_own() {
    let firmware = by_root("m2m:fwr").expect("a specialization");
    assert_eq!(firmware.ty, Ty::MGMT_OBJ);
    assert_eq!(firmware.specialization, Some(Specialization::MgmtDefinition(1001)));
    assert!(firmware.attribute("mgd").is_some() && firmware.attribute("fwn").is_some());
    let lamp = by_root("cod:binSh").expect("a specialization");
    assert_eq!(lamp.ty, Ty::FLEX_CONTAINER);
    assert!(lamp.attribute("cnd").is_some() && lamp.attribute("state").is_some());
    assert_eq!(by_root("cod:binShAnnc").map(|def| def.ty), Some(Ty::FLEX_CONTAINER.announced()));
}

#[test]
fn announced_variants_follow_from_their_originals() {
    let announced = by_root("m2m:cntA").expect("an announced variant");
    assert_eq!(announced.ty, Ty(10003));
    assert_eq!(announced.name, "containerAnnc");
    assert!(announced.attribute("lnk").is_some_and(|link| link.create == Presence::Mandatory));
    assert!(announced.attribute("mni").is_some_and(|attr| attr.create == Presence::Optional));
    assert!(announced.attribute("cni").is_none());
    for def in all_types() {
        for attr in def.attributes.iter().filter(|attr| attr.announced != Announced::No) {
            let Some(variant) = def.announced.and_then(|variant| by_root(variant.root)) else { continue };
            assert!(variant.attribute(attr.key).is_some(), "{} lacks {}", variant.name, attr.key);
        }
    }
}

#[test]
fn virtual_children_are_found_by_name() {
    for child in Virtual::ALL {
        assert_eq!(Virtual::from_short_name(child.short_name()), Some(child));
    }
    assert_eq!(Virtual::from_short_name("latest"), None);
}

#[test]
fn numbers_of_announced_variants() {
    assert_eq!(Ty::CONTAINER.announced(), Ty(10003));
    assert_eq!(Ty(10003).announced(), Ty(10003));
    assert_eq!(Ty(10003).original(), Ty::CONTAINER);
    assert_eq!(Ty::CONTAINER.original(), Ty::CONTAINER);
}

#[test]
fn enumerations_ascend() {
    let mut enumerations = Vec::new();
    for_each_kind(&mut |_, kind| {
        if let Kind::Enum(def) = kind {
            enumerations.push(*def);
        }
    });
    for EnumDef { name, values, .. } in enumerations {
        assert!(values.is_sorted_by(|one, next| one.0 < next.0), "{name}");
        assert!(!values.is_empty(), "{name}");
    }
}

#[test]
fn members_of_complex_types_are_unique() {
    for_each_kind(&mut |_, kind| {
        if let Kind::Complex(def) = kind {
            let keys: BTreeSet<&str> = def.members.iter().map(|member| member.key).collect();
            assert_eq!(keys.len(), def.members.len(), "{}", def.name);
            assert!(!keys.contains(""), "{}", def.name);
        }
    });
}

/// Whatever is not looked into is known and wanted.
#[test]
fn only_these_take_any_value() {
    let mut found = BTreeSet::new();
    for_each_kind(&mut |place, kind| {
        if matches!(kind, Kind::Any) {
            found.insert(place.to_owned());
        }
    });
    let expected = [
        "<AE>/ape",
        "<AE>/scp",
        "<CSEBase>/ncp",
        "<cmdhDefEcValue>/rch",
        "<cmdhDefEcValue>/rct",
        "<cmdhLimits>/rch",
        "<cmdhLimits>/rct",
        "<cmdhNwAccessRule>/ohc",
        "<contentInstance>/con",
        "<locationPolicy>/gta",
        "<ontology>/ontc",
        "<processManagement>/atcos",
        "<processManagement>/encos",
        "<remoteCSE>/ape",
        "<state>/sttrs",
        "<timeSeriesInstance>/con",
        "m2m:anyArgType/val",
        "m2m:attribute/val",
        "m2m:evalCriteria/thld",
        "m2m:filterCriteria/geom",
        "m2m:geoCoordinates/crd",
        "m2m:metaInformation/aus",
        "m2m:metaInformation/omr",
    ];
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, expected);
}

#[test]
fn keys_name_the_attributes_that_they_say() {
    let container = type_def(Ty::CONTAINER).expect("a type");
    for (key, name) in [
        (keys::MAX_NR_OF_INSTANCES, "maxNrOfInstances"),
        (keys::CURRENT_BYTE_SIZE, "currentByteSize"),
        (keys::EXPIRATION_TIME, "expirationTime"),
        (keys::ACCESS_CONTROL_POLICY_IDS, "accessControlPolicyIDs"),
    ] {
        assert_eq!(container.attribute(key).map(|attr| attr.name), Some(name));
    }
    for (def, key, name) in [
        (&complex::EVENT_NOTIFICATION_CRITERIA, keys::NOTIFICATION_EVENT_TYPE, "notificationEventType"),
        (&complex::ACCESS_CONTROL_RULE, keys::ACCESS_CONTROL_OPERATIONS, "accessControlOperations"),
        (&complex::NOTIFICATION, keys::SUBSCRIPTION_REFERENCE, "subscriptionReference"),
    ] {
        assert_eq!(def.member(key).map(|member| member.name), Some(name));
    }
}

/// Types that have a number of their own, announced variants included.
fn type_numbers() -> impl Iterator<Item = &'static TypeDef> {
    types().flat_map(|def| [Some(def), type_def(def.ty.announced())]).flatten()
}

/// Visits the kind of every attribute and of every member of every complex type in use, with a name for the place.
/// Specializations of `<flexContainer>` and announced variants are left out: their rows are of the same making.
pub(super) fn for_each_kind(visit: &mut dyn FnMut(&str, &Kind)) {
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<&'static ComplexDef> = vec![
        &complex::NOTIFICATION,
        &complex::AGGREGATED_NOTIFICATION,
        &complex::AGGREGATED_RESPONSE,
        &complex::META_INFORMATION,
        &complex::LIST_OF_CHILD_RESOURCE_REF,
        &complex::OPERATION_RESULT,
        &complex::ATTRIBUTE,
    ];
    let plain = all_types().filter(|def| !def.ty.is_announced());
    for def in plain.filter(|def| !matches!(def.specialization, Some(Specialization::ContainerDefinition(_)))) {
        if def.ty == Ty::FLEX_CONTAINER && !def.root.is_empty() {
            continue;
        }
        for attr in def.attributes {
            visit(&format!("<{}>/{}", def.name, attr.key), &attr.kind);
            if let Kind::Complex(inner) = attr.kind {
                waiting.push(inner);
            }
        }
    }
    while let Some(def) = waiting.pop() {
        if !seen.insert(def.name) {
            continue;
        }
        visit("", &Kind::Complex(def));
        for member in def.members {
            visit(&format!("{}/{}", def.name, member.key), &member.kind);
            if let Kind::Complex(inner) = member.kind {
                waiting.push(inner);
            }
        }
    }
}
