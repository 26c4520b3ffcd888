//! Coverage as it is measured: which test asked for which operation and what it was answered, which error codes came and
//! which events were told. `.ci/coverage` runs every test with recording on, fails when something is missing, and writes
//! docs/coverage.md.

mod gaps;
mod table;

use crate::support::{Operations, record};
use gaps::Measured;
use rijan::api::error::ApiError;
use rijan::domain::event::EventType;
use std::collections::BTreeSet;
use std::path::Path;
use table::Table;

/// Writes the table, beside checking.
const WRITE: &str = "RIJAN_COVERAGE_WRITE";

#[test]
#[ignore = "reads what a whole run has recorded: .ci/coverage"]
fn nothing_is_without_its_test() {
    let folder = record::folder().expect("RIJAN_COVERAGE names the folder of the records");
    let (operations, measured) = (Operations::documented(), Measured::new(record::read(&folder)));

    if std::env::var_os(WRITE).is_some() {
        std::fs::write(Table::file(), Table::of(&operations, &measured).to_string()).unwrap();
    }

    let gaps = gaps::left(&operations, &measured);
    assert!(gaps.is_empty(), "not covered, and no exception in tests/it/coverage/gaps.rs:\n{}", gaps.join("\n"));
}

#[test]
fn the_table_names_every_operation_code_and_event_and_tests_that_are_there() {
    let table = Table::read();
    let tests = names_of_tests(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")));

    let operations: BTreeSet<String> = Operations::documented().0.into_iter().map(|one| one.name).collect();
    let codes: BTreeSet<String> = ApiError::CODES.iter().map(|(code, _)| (*code).to_owned()).collect();
    let events: BTreeSet<String> = EventType::ALL.iter().map(|type_| type_.as_str().to_owned()).collect();

    for (what, expected, rows) in [
        ("operations", operations, &table.operations),
        ("codes", codes, &table.codes),
        ("events", events, &table.events),
    ] {
        let rows: BTreeSet<String> = rows.iter().map(|row| row.about.clone()).collect();
        let (new, gone): (Vec<_>, Vec<_>) =
            (expected.difference(&rows).collect(), rows.difference(&expected).collect());
        assert!(
            new.is_empty() && gone.is_empty(),
            "run .ci/coverage: {what} without a row {new:?}, rows of none {gone:?}"
        );
    }
    for row in [&table.operations, &table.codes, &table.events].into_iter().flatten() {
        for test in &row.tests {
            assert!(tests.contains(test), "run .ci/coverage: the row of {} names {test}, which is no test", row.about);
        }
    }
}

/// The names of the tests below a folder.
pub fn names_of_tests(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(names_of_tests(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            names.extend(tests_in(&std::fs::read_to_string(&path).unwrap()));
        }
    }
    names
}

/// Functions behind an attribute that makes a test of them.
fn tests_in(text: &str) -> Vec<String> {
    let (mut marked, mut names) = (false, Vec::new());
    for line in text.lines().map(str::trim_start) {
        if ["#[test]", "#[tokio::test"].iter().any(|mark| line.starts_with(mark)) {
            marked = true;
        } else if let Some(rest) = line.trim_start_matches("async ").strip_prefix("fn ") {
            names.extend(rest.split('(').next().filter(|_| marked).map(str::to_owned));
            marked = false;
        }
    }
    names
}

#[test]
fn a_function_is_a_test_when_it_is_marked_as_one() {
    let text =
        "fn a() {}\n#[test]\n#[ignore]\nfn b() {\n    fn c() {}\n}\n#[tokio::test(x)]\nasync fn d() {}\nfn e() {}\n";
    assert_eq!(tests_in(text), ["b", "d"]);
}
