//! Whatever the tables allow passes the checks, and no value upsets them.

use proptest::prelude::*;

use super::strategies::{any_type, anything, content};
use crate::schema::{AttrDef, Presence, check_create, check_update, check_value};
use crate::value::Map;

proptest! {
    #[test]
    fn what_the_tables_allow_is_accepted_in_create(
        (def, content) in any_type().prop_flat_map(|def| (Just(def), content(def, |attr| attr.create)))
    ) {
        let checked = check_create(def, &content);
        prop_assert_eq!(checked.map_err(|error| error.to_string()), Ok(content));
    }

    #[test]
    fn what_the_tables_allow_is_accepted_in_update(
        (def, content) in any_type().prop_flat_map(|def| (Just(def), content(def, |attr| attr.update)))
    ) {
        let checked = check_update(def, &content);
        prop_assert_eq!(checked.map_err(|error| error.to_string()), Ok(content));
    }

    #[test]
    fn a_missing_mandatory_attribute_is_noticed(
        (def, content) in any_type().prop_flat_map(|def| (Just(def), content(def, |attr| attr.create))),
        which in any::<prop::sample::Index>(),
    ) {
        let mandatory: Vec<&AttrDef> =
            def.attributes.iter().filter(|attr| attr.create == Presence::Mandatory).collect();
        prop_assume!(!mandatory.is_empty());
        let mut content = content;
        content.remove(mandatory[which.index(mandatory.len())].key);
        prop_assert!(check_create(def, &content).is_err());
    }

    #[test]
    fn any_value_is_judged_without_harm(def in any_type(), value in anything()) {
        for attr in def.attributes {
            let _ = check_value(attr, &value);
        }
        let content = Map::single("lbl", value);
        let _ = check_create(def, &content);
        let _ = check_update(def, &content);
    }
}
