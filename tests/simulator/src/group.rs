//! A group as the server keeps it.

use std::collections::BTreeMap;

#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) description: Option<String>,
    pub(crate) creator: String,
    pub(crate) created: u64,
    /// Phone number, and whether it is an admin.
    pub(crate) members: BTreeMap<String, bool>,
}
