//! Where values come from: file, environment, flags. Later ones win; every problem is kept until the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use super::text::{Raw, Setting, quoted};

/// Where a value was given.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Source {
    /// Nowhere: the default.
    Default,
    /// In the file, in that line.
    File {
        /// Path of the file, as given.
        path: String,
        /// Line, from 1.
        line: usize,
    },
    /// In an environment variable.
    Env(&'static str),
    /// In a flag, by its name without dashes.
    Flag(&'static str),
}

impl Source {
    /// The stronger of two sources wins.
    pub(crate) fn strength(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Env(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

/// A value or a key that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    /// Where it is.
    pub(crate) source: Source,
    /// `section.key`; empty if the problem belongs to none.
    pub(crate) key: String,
    /// What is wrong, and how it would be right.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.source {
            Source::Default => write!(formatter, "{key}: ")?,
            Source::File { path, line } if key.is_empty() => write!(formatter, "{path}:{line}: ")?,
            Source::File { path, line } => write!(formatter, "{path}:{line}: {key}: ")?,
            Source::Env(name) => write!(formatter, "{name}: ")?,
            Source::Flag(name) => write!(formatter, "--{name}: ")?,
        }
        formatter.write_str(&self.message)
    }
}

/// An option that exists, with its default as the file would have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Declared {
    /// `section.key`.
    pub(crate) key: String,
    /// The default in TOML.
    pub(crate) default: String,
}

/// All that was given, and what was found wrong with it.
#[derive(Default)]
pub(crate) struct Layers {
    values: BTreeMap<String, (Source, Raw)>,
    sections: BTreeMap<String, Source>,
    declared: Vec<Declared>,
    problems: Vec<Problem>,
}

impl Layers {
    /// Takes a value, unless a stronger source gave one.
    pub(crate) fn give(&mut self, key: &str, source: Source, raw: Raw) {
        match self.values.get(key) {
            Some((stronger, _)) if stronger.strength() > source.strength() => {}
            _ => {
                self.values.insert(key.into(), (source, raw));
            }
        }
    }

    /// Notes a section of the file, so that one nobody reads is reported even when it is empty.
    pub(crate) fn section_given(&mut self, name: &str, source: Source) {
        self.sections.entry(name.into()).or_insert(source);
    }

    /// Notes a problem.
    pub(crate) fn problem(&mut self, source: Source, key: &str, message: impl Into<String>) {
        self.problems.push(Problem { source, key: key.into(), message: message.into() });
    }

    /// Reads one section.
    pub(crate) fn section(&mut self, name: &'static str) -> Section<'_> {
        Section { layers: self, name }
    }

    /// All options that were read, and every problem: also the keys and sections nobody asked for.
    pub(crate) fn finish(mut self) -> (Vec<Declared>, Vec<Problem>) {
        let keys: BTreeSet<String> = self.declared.iter().map(|option| option.key.clone()).collect();
        let names: BTreeSet<&str> = keys.iter().filter_map(|key| Some(key.split_once('.')?.0)).collect();
        for (key, (source, _)) in &self.values {
            let (section, inner) = key.split_once('.').unwrap_or(("", key));
            if keys.contains(key) || self.sections.contains_key(section) && !names.contains(section) {
                continue;
            }
            let known: Vec<&str> =
                keys.iter().filter_map(|key| key.split_once('.').filter(|k| k.0 == section)).map(|k| k.1).collect();
            let message = if known.is_empty() {
                format!("unknown key '{inner}'; every key belongs to a section: {}", list(&names))
            } else {
                format!("unknown key '{inner}'; [{section}] has {}", known.join(", "))
            };
            self.problems.push(Problem { source: source.clone(), key: key.clone(), message });
        }
        for (name, source) in &self.sections {
            if !names.contains(name.as_str()) {
                let message = format!("unknown section [{name}]; there are {}", list(&names));
                self.problems.push(Problem { source: source.clone(), key: String::new(), message });
            }
        }
        self.problems.sort_by(|a, b| (&a.source, &a.key).cmp(&(&b.source, &b.key)));
        (self.declared, self.problems)
    }
}

fn list(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

/// One section of the configuration, being read.
pub(crate) struct Section<'a> {
    layers: &'a mut Layers,
    name: &'static str,
}

impl Section<'_> {
    /// The value of an option, or its default.
    pub(crate) fn value<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        self.read(key, default, T::read)
    }

    /// The value of an option within bounds, or its default.
    pub(crate) fn within<T: Setting + PartialOrd>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
    ) -> T {
        self.read(key, default, |raw| {
            let value = T::read(raw)?;
            if range.contains(&value) {
                Ok(value)
            } else {
                let (least, most) = (range.start().write(), range.end().write());
                Err(format!("{} is out of range; it may be from {least} to {most}", value.write()))
            }
        })
    }

    /// One of a few words, or the default.
    pub(crate) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        default: T,
        words: &'static [(&'static str, T)],
    ) -> T {
        let word = words.iter().find(|(_, value)| *value == default).map_or("", |(word, _)| word);
        self.declare(key, quoted(word));
        let Some((source, raw)) = self.given(key) else {
            return default;
        };
        let found = match &raw {
            Raw::Text(text) => words.iter().find(|(word, _)| text.trim() == *word),
            _ => None,
        };
        if let Some((_, value)) = found {
            return *value;
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.layers.problem(source, &self.full(key), raw.is_no(&format!("choice; there are {}", known.join(", "))));
        default
    }

    /// `section.key`, to be named in a message about another option.
    pub(crate) fn option(&self, key: &str) -> String {
        self.full(key)
    }

    /// Where the value of an option was given.
    pub(crate) fn source(&self, key: &str) -> Source {
        self.layers.values.get(&self.full(key)).map_or(Source::Default, |(source, _)| source.clone())
    }

    /// Notes a problem with an option that was read.
    pub(crate) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let source = self.source(key);
        self.layers.problem(source, &self.full(key), message);
    }

    fn read<T: Setting>(&mut self, key: &'static str, default: T, read: impl Fn(&Raw) -> Result<T, String>) -> T {
        self.declare(key, default.write());
        let Some((source, raw)) = self.given(key) else {
            return default;
        };
        read(&raw).unwrap_or_else(|message| {
            self.layers.problem(source, &self.full(key), message);
            default
        })
    }

    fn declare(&mut self, key: &str, default: String) {
        let key = self.full(key);
        self.layers.declared.push(Declared { key, default });
    }

    fn given(&self, key: &str) -> Option<(Source, Raw)> {
        self.layers.values.get(&self.full(key)).cloned()
    }

    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }
}
