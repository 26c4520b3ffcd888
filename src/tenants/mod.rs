//! Tenants as files: one TOML file in a folder declares a tenant with its devices, webhooks, plugins and limits.
//!
//! Promises: what is wrong is told at once, all of it, with file and key; what the files say becomes so whole or not at
//! all, in one transaction for the whole folder, after every plugin was compiled and tried; a device never goes, nor a
//! tenant, unless somebody allows it; no secret is shown. What a file declares carries the file's name (`managed_by`), and
//! the API leaves it alone.
//!
//! The stages: `section` reads what was written, `declared` says what it means, `component` looks into the plugins' files,
//! `folder` puts the files together; `compare` finds what differs from the store, `plan` shows it, `apply` makes it so,
//! `watch` does that again when a file changes. Not here: what the store, the plugins and the devices do with it.

mod apply;
mod compare;
mod component;
mod declared;
mod folder;
mod plan;
mod section;
mod watch;

pub use apply::{Applied, Occasion, Tenants, TenantsError, TenantsSettings, Why};
pub use folder::{Checked, FolderError, Ground, check};
pub use plan::{Action, Change, FieldChange, Kind, Plan};
pub use watch::run as watch;
