//! All tables as one text, `tables.snapshot`: what a change of the generator or of the data changes is seen in review.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::assert_current;
use super::tables::for_each_kind;
use crate::schema::{Kind, Ty, TypeDef, XmlForm, all_types, type_def};

#[test]
fn tables_are_as_in_the_snapshot() {
    assert_current("src/schema/tables.snapshot", &snapshot());
}

fn snapshot() -> String {
    let mut out = String::new();
    // Announced variants of specializations differ from the original in nothing but the common rows.
    for def in all_types().filter(|def| def.specialization.is_none() || !def.ty.is_announced()) {
        write_type(&mut out, def);
    }
    let mut complex = BTreeMap::new();
    let mut enumerations = BTreeMap::new();
    for_each_kind(&mut |_, kind| match kind {
        Kind::Complex(def) => drop(complex.insert(def.name, *def)),
        Kind::Enum(def) => drop(enumerations.insert(def.name, *def)),
        _ => {}
    });
    for def in complex.values() {
        line(&mut out, format_args!("\n{}{}", def.name, if def.open { " open" } else { "" }));
        for member in def.members {
            let many = if member.many { "(L)" } else { "" };
            let multiplicity = if member.required { "1" } else { "0..1" };
            let form = match member.xml {
                XmlForm::Element => "",
                XmlForm::Repeated => " repeated",
                XmlForm::Attribute => " attribute",
                XmlForm::Content => " content",
            };
            line(
                &mut out,
                format_args!("  {} {}: {} {multiplicity}{many}{form}", member.key, member.name, member.kind),
            );
        }
    }
    for def in enumerations.values() {
        let (bits, open) = (if def.bits { " bits" } else { "" }, if def.open { " open" } else { "" });
        line(&mut out, format_args!("\n{}{bits}{open}", def.name));
        for (value, name) in def.values {
            line(&mut out, format_args!("  {value} {name}"));
        }
    }
    out
}

fn write_type(out: &mut String, def: &TypeDef) {
    let list = |types: &[Ty]| types.iter().map(Ty::to_string).collect::<Vec<_>>().join(" ");
    let flag = |flag: bool, name: &'static str| if flag { name } else { "" };
    line(
        out,
        format_args!(
            "\n{} {} {} {} release {}{}{}{}",
            def.ty,
            def.name,
            def.short,
            if def.root.is_empty() { "-" } else { def.root },
            def.release,
            flag(def.subscribable, " subscribable"),
            flag(def.in_cse_only, " IN-CSE"),
            flag(def.implemented, " implemented"),
        ),
    );
    if let Some(specialization) = def.specialization {
        line(out, format_args!("  is {specialization:?}"));
    }
    if def.specialization.is_none() {
        line(out, format_args!("  children {}", list(def.children)));
        line(out, format_args!("  parents {}", list(def.parents)));
        let virtuals: Vec<&str> = def.virtuals.iter().map(|child| child.short_name()).collect();
        line(out, format_args!("  virtual {}", virtuals.join(" ")));
        for limit in def.child_limits {
            line(out, format_args!("  at most {} of {} {}", limit.max, limit.child, limit.name.unwrap_or("")));
        }
    }
    let common = match def.specialization {
        Some(_) => type_def(def.ty).map_or(&[][..], |common| common.attributes),
        None => &[],
    };
    for attr in def.attributes.iter().skip(common.len()) {
        let release = if attr.release > 1 { format!(" release {}", attr.release) } else { String::new() };
        line(
            out,
            format_args!(
                "  {} {}: {} {} {} {} {}{}{release}",
                attr.key,
                attr.name,
                attr.kind,
                attr.cardinality(),
                attr.create.abbreviation(),
                attr.update.abbreviation(),
                attr.announced.abbreviation(),
                flag(attr.by_cse, " by CSE"),
            ),
        );
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let mut text = text.to_string();
    text.truncate(text.trim_end().len());
    writeln!(out, "{text}").expect("a String takes everything");
}
