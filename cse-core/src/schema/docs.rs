//! The list of what this CSE supports, as `docs/supported.md`: written from the tables, so that it cannot be wrong
//! about them. What no table knows, such as request parameters, is listed here.

use std::fmt::Write;

use super::{Ty, TypeDef, Virtual, types};
use Support::{Ignored, NotImplemented, Supported};

/// How much of a function there is.
#[derive(Clone, Copy)]
enum Support {
    /// It works.
    Supported,
    /// It is accepted and has no effect.
    Ignored,
    /// Requests with it are answered with NOT_IMPLEMENTED.
    NotImplemented,
}

impl Support {
    fn text(self) -> &'static str {
        match self {
            Supported => "supported",
            Ignored => "accepted, no effect",
            NotImplemented => "answered with 5001",
        }
    }
}

/// Short name, long name, support, remark.
type Row = (&'static str, &'static str, Support, &'static str);

/// TS-0004 §7.2.1.
const REQUEST_PARAMETERS: &[Row] = &[
    ("op", "Operation", Supported, ""),
    ("to", "To", Supported, ""),
    ("fr", "From", Supported, "may be absent in CREATE of an `<AE>`"),
    ("rqi", "Request Identifier", Supported, ""),
    ("ty", "Resource Type", Supported, "CREATE only"),
    ("pc", "Content", Supported, ""),
    ("rids", "Role IDs", Ignored, ""),
    ("ot", "Originating Timestamp", Supported, ""),
    ("rqet", "Request Expiration Timestamp", Supported, ""),
    ("rset", "Result Expiration Timestamp", Supported, ""),
    ("oet", "Operation Execution Time", Supported, ""),
    (
        "rt",
        "Response Type",
        Supported,
        "1, 2 (non-blocking, with `<request>`), 3 (blocking), 4 (answered as 3) and 5 (no answer)",
    ),
    ("rp", "Result Persistence", Supported, "of non-blocking requests"),
    ("rcn", "Result Content", Supported, "see below"),
    ("ec", "Event Category", Ignored, ""),
    ("da", "Delivery Aggregation", Ignored, ""),
    ("gid", "Group Request Identifier", Supported, ""),
    ("fc", "Filter Criteria", Supported, "see below"),
    ("drt", "Desired Identifier Result Type", Supported, ""),
    ("tkns", "Tokens", Ignored, ""),
    ("tids", "Token IDs", Ignored, ""),
    ("tqi", "Token Request Indicator", Ignored, "`true` is answered with 5001"),
    ("ltids", "Local Token IDs", Ignored, ""),
    ("grtm", "Group Request Target Members", Supported, ""),
    ("asi", "Authorization Signature Indicator", Ignored, "`true` is answered with 5001"),
    ("aus", "Authorization Signatures", Ignored, ""),
    ("auri", "Authorization Relationship Indicator", Ignored, "`true` is answered with 5001"),
    ("sqi", "Semantic Query Indicator", Ignored, "`true` is answered with 5001"),
    ("rvi", "Release Version Indicator", Supported, "absent means Release 1"),
    ("vsi", "Vendor Information", Ignored, ""),
    ("msu", "M2M Service User", Ignored, "Release 4"),
    ("omr", "Ontology Mapping Resources", Ignored, "Release 4"),
    ("gstn", "Group Somecast Target Number", Ignored, "Release 4"),
];

/// TS-0004 §7.3.3.17, TS-0001 §8.1.2.
const FILTER_CRITERIA: &[Row] = &[
    ("crb", "createdBefore", Supported, ""),
    ("cra", "createdAfter", Supported, ""),
    ("ms", "modifiedSince", Supported, ""),
    ("us", "unmodifiedSince", Supported, ""),
    ("sts", "stateTagSmaller", Supported, ""),
    ("stb", "stateTagBigger", Supported, ""),
    ("exb", "expireBefore", Supported, ""),
    ("exa", "expireAfter", Supported, ""),
    ("lbl", "labels", Supported, ""),
    ("clbl", "childLabels", Supported, ""),
    ("palb", "parentLabels", Supported, ""),
    ("lbq", "labelsQuery", Supported, ""),
    ("ty", "resourceType", Supported, ""),
    ("chty", "childResourceType", Supported, ""),
    ("pty", "parentResourceType", Supported, ""),
    ("sza", "sizeAbove", Supported, ""),
    ("szb", "sizeBelow", Supported, ""),
    ("cty", "contentType", Supported, ""),
    ("atr", "attribute", Supported, ""),
    ("catr", "childAttribute", Supported, ""),
    ("patr", "parentAttribute", Supported, ""),
    ("fu", "filterUsage", Supported, "1 (discovery) and 2 (conditional)"),
    ("lim", "limit", Supported, ""),
    ("smf", "semanticsFilter", NotImplemented, ""),
    ("fo", "filterOperation", Supported, ""),
    ("cfs", "contentFilterSyntax", Supported, "1 (JSONPath)"),
    ("cfq", "contentFilterQuery", Supported, "JSONPath of RFC 9535; content up to 64 KiB that is JSON"),
    ("lvl", "level", Supported, ""),
    ("ofst", "offset", Supported, ""),
    ("arp", "applyRelativePath", Supported, ""),
    ("ops", "operations", NotImplemented, "Release 4"),
    ("gmty", "geometryType", NotImplemented, "Release 4"),
    ("geom", "geometry", NotImplemented, "Release 4"),
    ("gsf", "geoSpatialFunction", NotImplemented, "Release 4"),
];

/// TS-0004 §6.3.4.2.7, §7.5.2.
const RESULT_CONTENTS: &[Row] = &[
    ("0", "nothing", Supported, "CREATE, UPDATE, DELETE"),
    ("1", "attributes", Supported, "CREATE, RETRIEVE, UPDATE, DELETE; discovery as if absent"),
    ("2", "hierarchical address", Supported, "CREATE"),
    ("3", "hierarchical address and attributes", Supported, "CREATE"),
    ("4", "attributes and child resources", Supported, "RETRIEVE, DELETE"),
    ("5", "attributes and child resource references", Supported, "RETRIEVE, DELETE"),
    ("6", "child resource references", Supported, "RETRIEVE, DELETE, discovery"),
    ("7", "original resource", Supported, "RETRIEVE of announced resources"),
    ("8", "child resources", Supported, "RETRIEVE, DELETE"),
    ("9", "modified attributes", Supported, "CREATE, UPDATE"),
    ("10", "semantic content", NotImplemented, "RETRIEVE"),
    ("11", "discovery result references", Supported, "discovery"),
    ("12", "permissions", NotImplemented, "RETRIEVE, Release 4"),
];

/// The text of `docs/supported.md`.
pub fn supported_markdown() -> String {
    let mut out = String::from(
        "# What is supported\n\n\
         This file is written from the tables of `cse-core` (`UPDATE_DOCS=1 cargo test -p cse-core docs_`); a test \
         compares the two.\n\n\
         - [Resource types](#resource-types)\n\
         - [Virtual resources](#virtual-resources)\n\
         - [Attributes](#attributes)\n\
         - [Request parameters](#request-parameters)\n\
         - [Filter criteria](#filter-criteria)\n\
         - [Result contents](#result-contents)\n",
    );
    // Writing to a String cannot fail.
    let _ = write_types(&mut out).and_then(|()| write_virtuals(&mut out)).and_then(|()| write_attributes(&mut out));
    write_rows(&mut out, "Request parameters", REQUEST_PARAMETERS);
    write_rows(&mut out, "Filter criteria", FILTER_CRITERIA);
    write_rows(&mut out, "Result contents", RESULT_CONTENTS);
    out
}

fn write_types(out: &mut String) -> std::fmt::Result {
    out.push_str(
        "\n## Resource types\n\n\
         Types without behaviour are known by name; creating one is answered with 5001 (NOT_IMPLEMENTED). Operations: \
         C create, R retrieve, U update, D delete.\n\n\
         | ty | name | root | release | status | operations | children | virtual children |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for def in types() {
        let root = if def.root.is_empty() { "by specialization".to_owned() } else { format!("`{}`", def.root) };
        let virtuals: Vec<&str> = def.virtuals.iter().map(|child| child.short_name()).collect();
        let (status, operations) = if def.implemented { ("supported", operations(def.ty)) } else { ("5001", "") };
        writeln!(
            out,
            "| {} | {} | {root} | {} | {status} | {operations} | {} | {} |",
            def.ty,
            def.name,
            def.release,
            children(def),
            virtuals.join(" "),
        )?;
    }
    out.push_str(
        "\n## Announced variants\n\n\
         Copies of resources of other CSEs (TS-0001 §9.6.26). Their attributes are `lbl`, `acpi`, `et`, `lnk`, `daci` and those \
         of the original that are marked MA or OA below. Only the CSE of the original creates, updates and deletes them.\n\n\
         | ty | name | root | children |\n|---|---|---|---|\n",
    );
    for def in types().filter_map(|original| super::type_def(original.ty.announced())).filter(|def| def.implemented) {
        writeln!(out, "| {} | {} | `{}` | {} |", def.ty, def.name, def.root, children(def))?;
    }
    Ok(())
}

fn operations(ty: Ty) -> &'static str {
    match ty {
        Ty::CSE_BASE => "R",
        Ty::CONTENT_INSTANCE => "C R D",
        Ty::REQUEST => "R D",
        _ => "C R U D",
    }
}

fn children(def: &TypeDef) -> String {
    let names = def.children.iter().map(|child| {
        let short = super::type_def(child.original()).map_or("", |child| child.short);
        if child.is_announced() { format!("{short}A") } else { short.to_owned() }
    });
    names.collect::<Vec<_>>().join(" ")
}

fn write_virtuals(out: &mut String) -> std::fmt::Result {
    out.push_str("\n## Virtual resources\n\n| name | long name | of | operations |\n|---|---|---|---|\n");
    for child in Virtual::ALL {
        let parents: Vec<&str> = types().filter(|def| def.has_virtual(child)).map(|def| def.name).collect();
        let operations = match child {
            Virtual::Latest | Virtual::Oldest => "R D",
            Virtual::FanOutPoint => "C R U D",
            Virtual::PollingChannelUri => "R N",
            Virtual::SemanticFanOutPoint
            | Virtual::NotificationTargetSelfReference
            | Virtual::SemanticValidation
            | Virtual::Mashup => "answered with 5001",
        };
        writeln!(out, "| `{}` | {} | {} | {operations} |", child.short_name(), child.long_name(), parents.join(", "))?;
    }
    Ok(())
}

fn write_attributes(out: &mut String) -> std::fmt::Result {
    out.push_str(
        "\n## Attributes\n\n\
         Of the supported types. C and U: M mandatory, O optional, NP not permitted in CREATE and UPDATE. Announced: \
         MA always, OA on demand, NA never.\n",
    );
    for def in types().filter(|def| def.implemented) {
        write!(
            out,
            "\n### {} (`{}`)\n\n| short | long | type | cardinality | C | U | announced | release |\n\
             |---|---|---|---|---|---|---|---|\n",
            def.name, def.root
        )?;
        for attr in def.attributes {
            writeln!(
                out,
                "| `{}` | {} | {} | {} | {} | {} | {} | {} |",
                attr.key,
                attr.name,
                attr.kind,
                attr.cardinality(),
                attr.create.abbreviation(),
                attr.update.abbreviation(),
                attr.announced.abbreviation(),
                attr.release.max(def.release),
            )?;
        }
    }
    Ok(())
}

fn write_rows(out: &mut String, title: &str, rows: &[Row]) {
    out.push_str(&format!("\n## {title}\n\n| short | long | status | remark |\n|---|---|---|---|\n"));
    for (short, long, support, remark) in rows {
        out.push_str(&format!("| `{short}` | {long} | {} | {remark} |\n", support.text()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::assert_current;
    use crate::schema::{complex, enums};

    #[test]
    fn docs_supported_is_current() {
        assert_current("../docs/supported.md", &supported_markdown());
    }

    #[test]
    fn every_filter_criterion_and_result_content_is_listed() {
        let criteria: Vec<&str> = FILTER_CRITERIA.iter().map(|row| row.0).collect();
        let members: Vec<&str> = complex::FILTER_CRITERIA.members.iter().map(|member| member.key).collect();
        assert_eq!(criteria, members);
        let contents: Vec<i64> = RESULT_CONTENTS.iter().map(|row| row.0.parse().expect("a number")).collect();
        let values: Vec<i64> = enums::RESULT_CONTENT.values.iter().map(|value| value.0).collect();
        assert_eq!(contents, values);
    }
}
