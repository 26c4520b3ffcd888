//! What no test has shown.

use crate::support::record::Seen;
use crate::support::{Caller, Operations};
use rijan::api::error::ApiError;
use rijan::domain::event::EventType;
use std::collections::{BTreeMap, BTreeSet};

/// What no test shows, and why it does not have to. One that is shown after all has to go.
pub const EXCEPTIONS: [(&str, &str); 0] = [];

/// What a run has recorded.
#[derive(Default)]
pub struct Measured {
    /// By operation and status, the tests that were answered so; with their own key, and with that of another tenant.
    pub answers: BTreeMap<(String, u16), BTreeSet<String>>,
    pub strangers: BTreeMap<String, BTreeSet<u16>>,
    /// By code and status, the tests that met it.
    pub codes: BTreeMap<(String, u16), BTreeSet<String>>,
    pub events: BTreeMap<String, BTreeSet<String>>,
}

impl Measured {
    pub fn new(seen: Vec<Seen>) -> Self {
        let mut measured = Self::default();
        for one in seen {
            match one {
                Seen::Answer { test, operation, status, code, stranger } => {
                    let test = last(&test);
                    if let Some(code) = code {
                        measured.codes.entry((code, status)).or_default().insert(test.clone());
                    }
                    match operation {
                        Some(operation) if stranger => {
                            measured.strangers.entry(operation).or_default().insert(status);
                        }
                        Some(operation) => {
                            measured.answers.entry((operation, status)).or_default().insert(test);
                        }
                        None => {}
                    }
                }
                Seen::Event { test, event } => {
                    measured.events.entry(event).or_default().insert(last(&test));
                }
            }
        }
        measured
    }

    /// Statuses that this operation was seen to answer.
    pub fn statuses(&self, operation: &str) -> BTreeSet<u16> {
        let own = self.answers.keys().filter(|(name, _)| name == operation).map(|(_, status)| *status);
        own.chain(self.strangers.get(operation).into_iter().flatten().copied()).collect()
    }
}

/// A test's name without the modules it stands in.
fn last(test: &str) -> String {
    test.rsplit("::").next().unwrap_or(test).to_owned()
}

/// Without those that are excepted; an exception that is none is one too.
pub fn left(operations: &Operations, measured: &Measured) -> Vec<String> {
    let mut found = found(operations, measured);
    for (gap, _) in EXCEPTIONS {
        match found.iter().position(|one| one == gap) {
            Some(at) => drop(found.remove(at)),
            None => found.push(format!("the exception {gap:?} is not needed any more")),
        }
    }
    found
}

fn found(operations: &Operations, measured: &Measured) -> Vec<String> {
    let mut gaps = Vec::new();
    for operation in &operations.0 {
        let name = &operation.name;
        for status in operation.successes() {
            if !measured.answers.contains_key(&(name.clone(), status)) {
                gaps.push(format!("{name}: no test is answered {status}"));
            }
        }
        let strangers = measured.strangers.get(name).cloned().unwrap_or_default();
        let refused = match operation.caller() {
            Caller::Anybody => true,
            Caller::Operator => strangers.contains(&401),
            Caller::Tenant if operation.variables() > 0 => strangers.contains(&404),
            Caller::Tenant => !strangers.is_empty(),
        };
        if !refused {
            gaps.push(format!("{name}: no test asks with a key that is not for it"));
        }
        if operation.variables() > 0 && strangers.iter().any(|status| *status < 400) {
            gaps.push(format!("{name}: another tenant is answered {strangers:?}"));
        }
        let documented: BTreeSet<u16> = operation.documented().into_iter().collect();
        for status in measured.statuses(name).difference(&documented) {
            gaps.push(format!("{name}: {status} is answered and not documented"));
        }
    }
    for (code, status) in ApiError::CODES {
        if !measured.codes.contains_key(&(code.to_owned(), status)) {
            gaps.push(format!("{code}: no test is answered this error"));
        }
    }
    for (code, status) in measured.codes.keys() {
        if !ApiError::CODES.contains(&(code.as_str(), *status)) {
            gaps.push(format!("{code}: is answered with {status}, which docs/errors does not say"));
        }
    }
    for type_ in EventType::ALL {
        if !measured.events.contains_key(type_.as_str()) {
            gaps.push(format!("{}: no test sees this event", type_.as_str()));
        }
    }
    gaps
}

#[test]
fn each_thing_that_nothing_shows_is_a_gap() {
    let operations = Operations::documented();
    let answer = |operation: &str, status: u16, code: Option<&str>, stranger: bool| Seen::Answer {
        test: "api::a_test".to_owned(),
        operation: Some(operation.to_owned()),
        status,
        code: code.map(str::to_owned),
        stranger,
    };
    let gaps = |seen: Vec<Seen>| found(&operations, &Measured::new(seen));
    let nothing = gaps(Vec::new());
    let one = "GET /v1/devices/{device}";

    let lines = [
        format!("{one}: no test is answered 200"),
        format!("{one}: no test asks with a key that is not for it"),
        "NOT_FOUND: no test is answered this error".to_owned(),
        "message.sent: no test sees this event".to_owned(),
    ];
    assert!(lines.iter().all(|line| nothing.contains(line)), "{nothing:?}");
    let some = gaps(vec![
        answer(one, 200, None, false),
        answer(one, 404, Some("NOT_FOUND"), true),
        Seen::Event { test: "b".to_owned(), event: "message.sent".to_owned() },
    ]);
    assert!(lines.iter().all(|line| !some.contains(line)), "{some:?}");
    assert_eq!(some.len(), nothing.len() - lines.len());
    let wrong = gaps(vec![answer(one, 200, None, true), answer(one, 418, Some("TEAPOT"), false)]);
    for line in [
        format!("{one}: another tenant is answered {{200}}"),
        format!("{one}: 418 is answered and not documented"),
        "TEAPOT: is answered with 418, which docs/errors does not say".to_owned(),
    ] {
        assert!(wrong.contains(&line), "{wrong:?}");
    }
}
