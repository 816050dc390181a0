//! `[store]`: where the tree is kept, and how carefully.

use std::path::PathBuf;

use cse_core::value::Text;

use super::layers::Section;
use super::text::Size;

/// What a crash of the machine may take with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Durability {
    /// Nothing that was answered: every commit is on the disk before the answer.
    Full,
    /// The commits of the last moments, when the machine (not only the process) fails; never consistency.
    Relaxed,
}

const DURABILITY: &[(&str, Durability)] = &[("full", Durability::Full), ("relaxed", Durability::Relaxed)];

/// Where the tree is kept, and how carefully.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoreConfig {
    /// Directory of the database; made if there is none. Default: `./cse-data`.
    pub(crate) data_dir: PathBuf,
    /// What a crash of the machine may take with it. Default: nothing.
    pub(crate) durability: Durability,
    /// Connections that read at the same time. Default: 4.
    pub(crate) readers: usize,
    /// Bytes of structure (everything but instances) that are kept in memory, roughly. Default: 16 MiB.
    pub(crate) cache_bytes_max: Size,
    /// Most changes carried out in one commit. Default: 512.
    pub(crate) commit_changes_max: usize,
    /// Most changes that wait for the writer; further ones wait for a place, until they expire. Default: 8,192.
    pub(crate) write_queue_max: usize,
}

impl StoreConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let data_dir: Text = section.value("data-dir", "./cse-data".into());
        if data_dir.is_empty() {
            section.problem("data-dir", "names no directory");
        }
        Self {
            data_dir: data_dir.as_str().into(),
            durability: section.choice("durability", Durability::Full, DURABILITY),
            readers: section.within("readers", 4, 1..=64),
            cache_bytes_max: section.within("cache-bytes-max", Size(16 << 20), Size(1 << 20)..=Size(64 << 30)),
            commit_changes_max: section.within("commit-changes-max", 512, 1..=65_536),
            write_queue_max: section.within("write-queue-max", 8_192, 1..=1_000_000),
        }
    }
}
