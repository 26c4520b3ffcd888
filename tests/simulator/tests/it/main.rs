//! The simulator, driven by the real client library and by its own control API.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should say where")]

mod around;
mod clock;
mod communities;
mod contents;
mod groups;
mod linking;
mod messages;
mod newsletters;
mod recovery;
mod support;
