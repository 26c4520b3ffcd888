//! What a plugin's author uses: a new project, its build into a component, a look into one, its fixtures run through the
//! host; and what an installer asks before. Called by the command line.
//!
//! Promises: a project from `new` builds at once; a component imports only what its manifest names and exports exactly the
//! hooks it names, or is refused by name; the same source gives the same bytes. A plugin runs in the host of `plugins` alone,
//! on a `stage` that reaches nobody. Only this module names the component tools (`wit-component` and its family).

mod build;
mod check;
pub mod command;
mod component;
mod contract;
pub mod fixture;
mod project;
mod rehearsal;
mod signing;
mod stage;
mod stand_in;
mod suite;
mod toolchain;

pub use build::{BuildError, Built, build};
pub use check::generous;
pub use component::{Component, ComponentError};
pub use project::{Language, NewError, new};
