//! Plugins of a tenant: what is installed, how it runs, what it did and keeps. All of it for keys that may manage.

mod change;
mod differences;
mod history;
mod install;
mod kv;
mod read;
mod revise;

// The macros that describe a route look for its parts beside its handler.
pub(in crate::api) use change::*;
pub(in crate::api) use differences::*;
pub(in crate::api) use history::*;
pub(in crate::api) use install::*;
pub(in crate::api) use kv::*;
pub(in crate::api) use read::*;
pub(in crate::api) use revise::*;

use crate::api::error::ApiError;

/// The place behind which a page begins: what the page before gave as `nextCursor`.
fn cursor(text: Option<&str>) -> Result<Option<i64>, ApiError> {
    let wrong = || ApiError::field("cursor", "must be what nextCursor gave");
    text.map(|text| text.parse::<i64>().ok().filter(|seq| *seq > 0).ok_or_else(wrong)).transpose()
}
