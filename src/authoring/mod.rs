//! What a plugin's author uses: a new project, its build into a component, a look into one. Called by the command line.
//!
//! Promises: a project from `new` builds at once; a component imports only what its manifest names and exports exactly the
//! hooks it names, or is refused by name; the same source gives the same bytes. It runs the author's own toolchain, and
//! nothing of the plugin. Only this module names the component tools (`wit-component` and its family).

mod build;
pub mod command;
mod component;
mod contract;
pub mod fixture;
mod project;
mod toolchain;

pub use build::{BuildError, Built, build};
pub use component::{Component, ComponentError};
pub use project::{Language, NewError, new};
