//! Finding types by number and by root element, and the types that follow from the tables: specializations and
//! announced variants.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::definition::SpecializationDef;
use super::{Announced, AttrDef, Presence, Ty, TypeDef, flex, tables};

/// The type with that number. For types of which only specializations exist this is what all of them have in common.
pub fn type_def(ty: Ty) -> Option<&'static TypeDef> {
    if ty.is_announced() { DERIVED.announced.get(&ty).copied() } else { tables::by_number(ty.0) }
}

/// The type, specialization or announced variant with that root element, prefix included.
pub fn by_root(root: &str) -> Option<&'static TypeDef> {
    tables::by_root(root).or_else(|| DERIVED.by_root.get(root).copied())
}

/// The types that have a number of their own, in ascending order; neither specializations nor announced variants.
pub fn types() -> impl Iterator<Item = &'static TypeDef> {
    tables::ALL.iter().copied()
}

/// Every type, specialization and announced variant.
pub fn all_types() -> impl Iterator<Item = &'static TypeDef> {
    types().chain(DERIVED.all.iter().copied())
}

/// Computed when a request first names one of these, then kept: a few hundred definitions.
static DERIVED: LazyLock<Derived> = LazyLock::new(Derived::new);

struct Derived {
    all: Vec<&'static TypeDef>,
    announced: FxHashMap<Ty, &'static TypeDef>,
    by_root: FxHashMap<&'static str, &'static TypeDef>,
}

impl Derived {
    fn new() -> Self {
        let mut derived = Derived { all: Vec::new(), announced: FxHashMap::default(), by_root: FxHashMap::default() };
        for original in types() {
            if let Some(announced) = announced_variant(original) {
                derived.announced.insert(announced.ty, announced);
                derived.add(announced);
            }
        }
        let management = tables::MANAGEMENT_OBJECTS.iter().copied().flatten();
        let flex = flex::SPECIALIZATIONS.iter().copied().flatten();
        let specializations = management
            .map(|special| (&tables::management::MGMT_OBJ, special))
            .chain(flex.map(|special| (&tables::data::FLEX_CONTAINER, special)));
        for (common, special) in specializations {
            let special = specialized(common, special);
            derived.add(special);
            if let Some(announced) = announced_variant(special) {
                derived.add(announced);
            }
        }
        derived
    }

    fn add(&mut self, def: &'static TypeDef) {
        self.all.push(def);
        if !def.root.is_empty() {
            self.by_root.insert(def.root, def);
        }
    }
}

fn specialized(common: &TypeDef, special: &SpecializationDef) -> &'static TypeDef {
    let announced = common.announced.zip(special.announced_root).map(|(announced, root)| super::AnnouncedDef {
        name: Box::leak(format!("{}Annc", special.name).into_boxed_str()),
        root,
        children: announced.children,
    });
    Box::leak(Box::new(TypeDef {
        name: special.name,
        short: special.root.rsplit(':').next().unwrap_or(special.root),
        root: special.root,
        release: special.release,
        attributes: Box::leak([common.attributes, special.attributes].concat().into_boxed_slice()),
        announced,
        specialization: special.specialization,
        ..*common
    }))
}

/// TS-0001 §9.6.26: some attributes that every variant has, and those of the original that are announced.
fn announced_variant(original: &TypeDef) -> Option<&'static TypeDef> {
    let announced = original.announced?;
    let ty = original.ty.announced();
    // The CSE of the original knows which attributes the original has, so none of them is mandatory here.
    let from_original = original
        .attributes
        .iter()
        .filter(|attr| attr.announced != Announced::No)
        .filter(|attr| tables::ANNOUNCED_COMMON.iter().all(|common| common.key != attr.key))
        .map(|attr| AttrDef {
            create: Presence::Optional,
            update: Presence::Optional,
            required: false,
            by_cse: false,
            ..*attr
        });
    let attributes: Vec<AttrDef> = tables::ANNOUNCED_COMMON.iter().copied().chain(from_original).collect();
    let parents: Vec<Ty> = types()
        .flat_map(|parent| {
            let as_announced = parent.announced.map(|announced| (parent.ty.announced(), announced.children));
            [Some((parent.ty, parent.children)), as_announced].into_iter().flatten()
        })
        .filter(|(_, children)| children.contains(&ty))
        .map(|(parent, _)| parent)
        .collect();
    let mut parents = parents;
    parents.sort_unstable();
    Some(Box::leak(Box::new(TypeDef {
        ty,
        name: announced.name,
        short: announced.root.rsplit(':').next().unwrap_or(announced.root),
        root: announced.root,
        release: original.release,
        attributes: Box::leak(attributes.into_boxed_slice()),
        children: announced.children,
        parents: Box::leak(parents.into_boxed_slice()),
        virtuals: &[],
        subscribable: announced.children.contains(&Ty::SUBSCRIPTION),
        in_cse_only: false,
        announced: None,
        child_limits: &[],
        specialization: original.specialization,
        // Copies have no behaviour of their own, so this CSE hosts all that have a root element.
        implemented: !announced.root.is_empty(),
    })))
}
