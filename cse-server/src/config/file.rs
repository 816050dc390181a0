//! The configuration file: TOML text to values with their lines.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layers::{Layers, Source};
use super::text::Raw;

/// Longest file that is read; far beyond any sensible one, so that a wrong path does not fill the memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file into the layers; whatever is wrong with it becomes a problem.
pub(crate) fn load(path: &Path, named_by: Source, layers: &mut Layers) {
    let shown = path.display().to_string();
    let length = std::fs::metadata(path).map(|file| file.len());
    let text = match length {
        Ok(length) if length > FILE_BYTES_MAX => {
            layers.problem(named_by, "config", format!("{shown} is too long for a configuration file"));
            return;
        }
        Ok(_) => std::fs::read_to_string(path),
        Err(error) => Err(error),
    };
    match text {
        Ok(text) => parse(&text, &shown, layers),
        Err(error) => layers.problem(named_by, "config", format!("cannot read {shown}: {error}")),
    }
}

/// Parses TOML text into the layers.
pub(crate) fn parse(text: &str, path: &str, layers: &mut Layers) {
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let at = |offset: usize| Source::File { path: path.into(), line: line_of(offset) };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        layers.problem(at(offset), "", error.message().replace('\n', "; "));
    }
    for (name, value) in document.get_ref() {
        match value.get_ref() {
            DeValue::Table(table) => {
                layers.section_given(name.get_ref(), at(name.span().start));
                flatten(name.get_ref(), table, &at, layers);
            }
            other => layers.give(name.get_ref(), at(name.span().start), raw(other)),
        }
    }
}

fn flatten(prefix: &str, table: &DeTable<'_>, at: &dyn Fn(usize) -> Source, layers: &mut Layers) {
    for (name, value) in table {
        let key = format!("{prefix}.{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(&key, inner, at, layers),
            other => layers.give(&key, at(name.span().start), raw(other)),
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Raw::Other("a number too large"), Raw::Integer)
        }
        DeValue::Float(number) => number.as_str().parse().map_or(Raw::Other("no number"), Raw::Float),
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(items) => Raw::List(items.iter().map(Spanned::get_ref).map(raw).collect()),
        DeValue::Table(table) => {
            let members = table.iter().map(|(name, value)| (name.get_ref().to_string(), raw(value.get_ref())));
            Raw::Table(members.collect())
        }
    }
}
