//! docs/coverage.md: made from what was measured, and read back.

use super::gaps::{EXCEPTIONS, Measured};
use crate::support::Operations;
use rijan::api::error::ApiError;
use rijan::domain::event::EventType;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

/// Tests of one row; those that ask for the fewest operations come first, since they are about it.
const TESTS_MAX: usize = 3;

const ABOUT: &str = "# Coverage\n\n\
    Measured, not claimed: `.ci/coverage` runs every test with recording on and writes this page. It fails when an operation of\n\
    the [API document](openapi.json) has no test that got each of its successes, or none that asked with a key that is not for\n\
    it (another tenant's, or a tenant's for what is the operator's); when an answer has a status that the document does not\n\
    name; when an [error code](errors/) was never answered or an [event](events.md) never told. That configuration keys and\n\
    metrics stand in [configuration.md](configuration.md) and [metrics.md](metrics.md), all of them and no others, is tested\n\
    in every run.\n";

pub struct Row {
    pub about: String,
    statuses: BTreeSet<u16>,
    pub tests: Vec<String>,
}

pub struct Table {
    pub operations: Vec<Row>,
    pub codes: Vec<Row>,
    pub events: Vec<Row>,
}

impl Table {
    pub fn file() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/coverage.md")
    }

    pub fn of(operations: &Operations, measured: &Measured) -> Self {
        let mut asks = BTreeMap::<&str, BTreeSet<&str>>::new();
        for ((operation, _), tests) in &measured.answers {
            for test in tests {
                asks.entry(test).or_default().insert(operation);
            }
        }
        let chosen = |tests: BTreeSet<&String>| {
            let mut tests: Vec<&String> = tests.into_iter().collect();
            tests.sort_by_key(|test| (asks.get(test.as_str()).map_or(0, BTreeSet::len), *test));
            tests.into_iter().take(TESTS_MAX).cloned().collect::<Vec<_>>()
        };
        let operations = operations.0.iter().map(|operation| {
            let successes = operation.successes();
            let of = measured.answers.iter().filter(|((name, _), _)| *name == operation.name);
            let tests = of.filter(|((_, status), _)| successes.contains(status)).flat_map(|(_, tests)| tests);
            let statuses = measured.statuses(&operation.name);
            Row { about: operation.name.clone(), statuses, tests: chosen(tests.collect()) }
        });
        let codes = ApiError::CODES.iter().map(|(code, status)| {
            let tests = measured.codes.get(&((*code).to_owned(), *status));
            Row {
                about: (*code).to_owned(),
                statuses: [*status].into(),
                tests: chosen(tests.into_iter().flatten().collect()),
            }
        });
        let events = EventType::ALL.iter().map(|type_| {
            let tests = measured.events.get(type_.as_str()).into_iter().flatten().collect();
            Row { about: type_.as_str().to_owned(), statuses: BTreeSet::new(), tests: chosen(tests) }
        });
        Self { operations: operations.collect(), codes: codes.collect(), events: events.collect() }
    }

    /// As it stands in docs/.
    pub fn read() -> Self {
        let page = std::fs::read_to_string(Self::file()).unwrap();
        let rows = |heading: &str| {
            let part = page.split("\n## ").find_map(|part| part.strip_prefix(heading)).unwrap_or_default();
            part.lines().filter_map(Row::parse).collect::<Vec<_>>()
        };
        Self { operations: rows("Operations"), codes: rows("Error codes"), events: rows("Events") }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, page: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("Operations", "operation | answers seen | tests", &self.operations),
            ("Error codes", "code | status | tests", &self.codes),
            ("Events", "event | | tests", &self.events),
        ];
        write!(page, "{ABOUT}")?;
        for (heading, columns, rows) in parts {
            write!(page, "\n## {heading}\n\n| {columns} |\n|---|---|---|\n")?;
            rows.iter().try_for_each(|row| write!(page, "{row}"))?;
        }
        write!(page, "\n## Exceptions\n\n| what no test shows | why |\n|---|---|\n")?;
        EXCEPTIONS.iter().try_for_each(|(gap, reason)| writeln!(page, "| {gap} | {reason} |"))
    }
}

impl Row {
    /// A row that begins with a name in code.
    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let [about, statuses, tests] = cells.as_slice() else { return None };
        Some(Self {
            about: about.trim_end_matches('`').to_owned(),
            statuses: statuses.split(", ").filter_map(|status| status.parse().ok()).collect(),
            tests: tests.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, page: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<String> = self.statuses.iter().map(u16::to_string).collect();
        let tests: Vec<String> = self.tests.iter().map(|test| format!("`{test}`")).collect();
        writeln!(page, "| `{}` | {} | {} |", self.about, statuses.join(", "), tests.join(", "))
    }
}

#[test]
fn a_row_reads_back_as_it_was_written() {
    let row =
        Row { about: "GET /v1/a/{b}".into(), statuses: [200, 404].into(), tests: vec!["one".into(), "two".into()] };

    let read = Row::parse(row.to_string().trim_end()).unwrap();

    assert_eq!((read.about, read.statuses, read.tests), (row.about, row.statuses, row.tests));
    assert!(Row::parse("| operation | answers seen | tests |").is_none() && Row::parse("|---|---|---|").is_none());
}
