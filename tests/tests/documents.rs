//! What documents say of the sources stays true: tests that are named exist, messages that are quoted are there, links
//! lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

const BINDING: &str = include_str!("../../docs/mqtt-binding.md");
const TROUBLESHOOTING: &str = include_str!("../../docs/troubleshooting.md");
const SCENARIOS: &str = include_str!("../src/scenarios.rs");
/// How often each clause of TS-0010 V2.4.1 uses a word that makes a rule, repetitions of the same rule left out; 0 for
/// clauses that state facts only.
const RULES: &[(&str, &str, usize)] = &[
    ("6.1", "shall", 0),
    ("6.2.1", "shall", 0),
    ("6.2.2", "shall", 0),
    ("6.2.2.1", "shall", 0),
    ("6.2.2.2", "shall", 0),
    ("6.2.3.1", "shall", 1),
    ("6.2.3.1", "need not", 1),
    ("6.2.3.2", "shall", 0),
    ("6.2.3.3", "shall", 1),
    ("6.2.3.3", "need not", 1),
    ("6.2.3.4", "shall", 0),
    ("6.2.3.5", "shall", 0),
    ("6.2.3.6", "shall", 0),
    ("6.2.3.7", "shall", 0),
    ("6.2.3.8", "shall", 0),
    ("7.2", "shall", 1),
    ("7.3", "shall", 3),
    ("7.3.1", "shall", 0),
    ("7.3.2", "may", 1),
    ("7.3.3", "shall", 5),
    ("7.3.3", "shall not", 2),
    ("7.3.3", "may", 3),
    ("7.3.3", "might", 3),
    ("7.3.3", "can", 1),
    ("7.4.1", "shall", 2),
    ("7.4.1.1", "should not", 1),
    ("7.4.1.1", "should", 1),
    ("7.4.1.2", "shall", 0),
    ("7.4.1.3", "shall", 0),
    ("7.4.2", "shall", 0),
    ("7.4.3", "shall", 3),
    ("7.4.4", "can", 1),
    ("7.4.4", "shall", 2),
    ("7.4.5", "shall", 4),
    ("7.5.1", "shall", 2),
    ("7.5.2", "shall", 1),
    ("7.5.3", "should", 1),
    ("7.5.4", "shall", 3),
    ("7.6", "can", 1),
    ("7.6", "shall", 2),
    ("8.1", "shall", 0),
    ("8.2", "should", 1),
    ("8.2", "can", 3),
    ("8.2", "responsible", 5),
    ("8.3", "shall", 1),
    ("8.3", "may", 1),
    ("8.3", "can", 2),
    ("8.3", "responsible", 1),
    ("8.4", "responsible", 1),
    ("8.4", "authorizes", 16),
    ("8.5", "should", 1),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The cells of each row of the table that follows this heading.
fn rows<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = document.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether the function of that name is a test in this source.
fn is_test(source: &str, name: &str) -> bool {
    let declaration = format!("fn {name}(");
    source.match_indices(&declaration).any(|(at, _)| {
        let line = source[..at].rfind('\n').unwrap_or_default();
        let before = source[..line].lines().rev();
        let mut attributes = before.take_while(|line| line.trim_start().starts_with(['#', '/']));
        attributes.any(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
    })
}

/// Whether `crate/file::name` is a test: below `src` or `tests` of its crate, a scenario that both brokers are put to, or a
/// configuration of nodes.
fn exists(reference: &str) -> bool {
    let Some((place, name)) = reference.split_once("::") else { return false };
    let Some((package, file)) = place.split_once('/') else { return false };
    if package == "tests" && file.starts_with("scenarios/") {
        let source = fs::read_to_string(root().join(format!("tests/src/{file}.rs"))).unwrap_or_default();
        let is_listed = SCENARIOS.lines().any(|line| line.trim() == name);
        return is_listed && source.contains(&format!("pub async fn {name}("));
    }
    // Tests that are lines of a table, each run in several ways.
    let tables = [("tests/configurations/main", "configurations"), ("tests/samples", "samples")];
    if let Some((_, table)) = tables.into_iter().find(|(file, _)| *file == place) {
        let source = fs::read_to_string(root().join(format!("tests/{place}.rs"))).unwrap_or_default();
        let (_, table) = source.split_once(&format!("\n{table}! {{\n")).unwrap_or_default();
        let table = table.split("\n}\n").next().unwrap_or_default();
        return table.lines().any(|line| line.trim().starts_with(&format!("{name}: ")));
    }
    ["src", "tests"].into_iter().any(|directory| {
        let path = root().join(package).join(directory).join(format!("{file}.rs"));
        fs::read_to_string(path).is_ok_and(|source| is_test(&source, name))
    })
}

#[test]
fn each_test_that_the_conformance_table_names_exists() {
    let rows = rows(BINDING, "\n## Conformance\n");
    let (mut named, mut missing) = (0, Vec::new());
    for row in &rows[1..] {
        let [clause, _, rule, how, tests] = row[..] else { panic!("five cells: {row:?}") };
        assert!(!rule.is_empty() && !how.is_empty(), "{row:?}");
        let references: Vec<&str> = quoted(tests).collect();
        // Where there is nothing to test, the row says why in a word of its own.
        assert!(!references.is_empty() || tests.starts_with('('), "{clause} {rule}: no test");
        named += references.len();
        missing
            .extend(references.into_iter().filter(|reference| !exists(reference)).map(|reference| (clause, reference)));
    }
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    assert!(rows.len() > 90 && named > rows.len(), "{} rows, {named} tests", rows.len());
    for (clause, word, number) in RULES {
        let of_clause: Vec<_> = rows.iter().filter(|row| row[0].split(' ').next() == Some(*clause)).collect();
        assert!(!of_clause.is_empty(), "no row for {clause}");
        let uses = |cell: &str| cell.trim_end_matches(" (note)").split(", ").any(|used| used == *word);
        assert_eq!(of_clause.iter().filter(|row| uses(row[1])).count(), *number, "{clause}: {word}");
    }
    for reference in
        ["tests/documents::no_such_test", "tests/documents::exists", "tests/scenarios/tools::PAHO_CLIENT", "x"]
    {
        assert!(!exists(reference), "{reference}");
    }
}

/// Every source of what runs, in one text, with literals that go over several lines joined.
fn sources() -> String {
    fn add(directory: &Path, text: &mut String) {
        let entries = fs::read_dir(directory).expect("a directory");
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                add(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(&path).expect("readable"));
            }
        }
    }
    let mut text = String::new();
    for package in ["cse-core", "cse-http", "cse-mqtt", "cse-server", "cse-store"] {
        add(&root().join(package).join("src"), &mut text);
    }
    let mut pieces = text.split("\\\n");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |joined, piece| joined + piece.trim_start())
}

#[test]
fn each_message_that_the_troubleshooting_quotes_is_in_the_sources() {
    let sources = sources();
    let (mut found, mut missing) = (0, Vec::new());
    for line in TROUBLESHOOTING.lines().filter(|line| line.starts_with("| `")) {
        let symptom = line.trim_matches('|').split(" | ").next().unwrap_or_default();
        for message in quoted(symptom) {
            for part in message.split('…').map(str::trim).filter(|part| !part.is_empty()) {
                found += 1;
                if !sources.contains(part) {
                    missing.push(part);
                }
            }
        }
    }
    assert!(missing.is_empty(), "nothing says: {missing:#?}");
    assert!(found > 30, "{found}");
}

/// The anchor that a heading gets: lower case, blanks as hyphens, without punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "deploy/README.md", "deploy/samples/README.md"]
            .map(|name| root().join(name))
            .into();
    let pages = fs::read_dir(root().join("docs")).expect("a directory").map(|entry| entry.expect("an entry").path());
    documents.extend(pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let index = fs::read_to_string(root().join("docs/README.md")).expect("an index");
    for document in &documents {
        let text = fs::read_to_string(document).expect("readable");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { document.clone() } else { document.with_file_name(file) };
            assert!(path.exists(), "{}: no {target}", document.display());
            if !fragment.is_empty() {
                let linked = fs::read_to_string(&path).expect("readable");
                let mut headings = linked.lines().filter_map(|line| line.strip_prefix('#'));
                let has_it = headings.any(|line| anchor(line.trim_start_matches('#').trim()) == fragment);
                assert!(has_it, "{}: no {target}", document.display());
            }
        }
        let name = document.file_name().unwrap_or_default().to_string_lossy();
        let is_page = document.parent().is_some_and(|parent| parent.ends_with("docs")) && name != "README.md";
        assert!(!is_page || index.contains(&format!("({name})")), "docs/README.md does not list {name}");
    }
}
