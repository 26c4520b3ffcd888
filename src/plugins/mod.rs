//! Plugins: WASM components of a tenant that see events and messages on their way and say what becomes of them.
//!
//! Promises: a plugin gets what it wants and its tenant grants, nothing else; one call at a time per instance, instances
//! never shared between tenants; every call is bounded in time, memory and effects; what a hook decides, writes and wants
//! sent is committed together or not at all; another version is swapped in whole, and a broken one never takes the place of
//! one that works. Only this module names wasmtime.
//!
//! The moments of a plugin: `component` reads and compiles, once per hash; `grants` decides what it may; `instance` links
//! and calls; `pipeline` follows what it says; `registry` swaps; `candidate`
//! tries another version beside what serves; `reload` watches files.

mod bindings;
mod breaker;
mod candidate;
mod capabilities;
mod component;
mod convert;
mod engine;
mod fit;
mod grants;
mod install;
mod instance;
mod loading;
pub mod manifest;
mod overview;
pub mod pipeline;
mod registry;
mod reload;
mod rows;
mod schedule;
pub mod settings;
pub mod signature;
mod state;
mod stats;
mod transcript;

pub use candidate::Mode;
pub use component::{COMPONENT_BYTES_MAX, NotAPlugin, manifest as read_manifest, sha256_hex};
pub use engine::{EngineError, EngineSettings};
pub use fit::{Misfit, fit};
pub use install::{Examined, Revision};
pub use instance::Failure;
pub use overview::{CandidateStatus, PluginState, Status};
pub use registry::{
    KeepError, PLUGINS_PER_TENANT_MAX, Plugins, PluginsError, Prepared, ReloadOutcome, Unprepared, Wanted,
};
pub use reload::run as watch_files;
pub use schedule::run as run_schedules;
pub use state::Media;
pub use stats::Figures;
pub use transcript::document as shown_body;
