//! What tests asked, were answered and saw told, for the table of coverage. It is written down when `RIJAN_COVERAGE` names
//! a folder: a file for each process, a line for each thing that is seen, once.

use super::operations::Operations;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

const FOLDER: &str = "RIJAN_COVERAGE";

/// One line of a record.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
#[serde(tag = "seen", rename_all = "snake_case")]
pub enum Seen {
    Answer {
        test: String,
        /// As [`Operations`] names it; absent for what the API document does not have.
        operation: Option<String>,
        status: u16,
        code: Option<String>,
        /// With the key of another tenant.
        stranger: bool,
    },
    Event {
        test: String,
        event: String,
    },
}

struct Record {
    file: File,
    seen: HashSet<Seen>,
}

static RECORD: LazyLock<Option<Mutex<Record>>> = LazyLock::new(|| {
    let folder = folder()?;
    std::fs::create_dir_all(&folder).unwrap();
    let name = format!("{}-{}.jsonl", env!("CARGO_CRATE_NAME"), std::process::id());
    let file = File::options().create(true).append(true).open(folder.join(name)).unwrap();
    Some(Mutex::new(Record { file, seen: HashSet::new() }))
});
static OPERATIONS: LazyLock<Operations> = LazyLock::new(Operations::documented);

/// Where the records are, if there are any.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

pub fn is_wanted() -> bool {
    RECORD.is_some()
}

pub fn called(test: &str, method: &str, path: &str, status: u16, code: Option<&str>, stranger: bool) {
    if is_wanted() {
        let operation = OPERATIONS.of(method, path);
        note(Seen::Answer { test: test.to_owned(), operation, status, code: code.map(str::to_owned), stranger });
    }
}

/// An event was seen, and is what its schema says.
pub fn told(test: &str, event: &str) {
    if is_wanted() {
        note(Seen::Event { test: test.to_owned(), event: event.to_owned() });
    }
}

fn note(seen: Seen) {
    let Some(record) = RECORD.as_ref() else { return };
    let mut record = record.lock().unwrap();
    if record.seen.insert(seen.clone()) {
        let line = format!("{}\n", serde_json::to_string(&seen).unwrap());
        record.file.write_all(line.as_bytes()).unwrap();
    }
}

/// Everything that the processes of a run wrote down.
pub fn read(folder: &Path) -> Vec<Seen> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seen = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        seen.extend(text.lines().map(|line| serde_json::from_str::<Seen>(line).unwrap()));
    }
    seen
}
