//! Plugins for the Rijan WhatsApp gateway, in Rust.
//!
//! A plugin is a type with a trait per hook, and one line that exports them:
//!
//! ```
//! use rijan_plugin::{Event, Inbound, Result, inbound::Outcome};
//!
//! #[derive(Default)]
//! struct Ping;
//!
//! impl Inbound for Ping {
//!     fn on_event(&self, event: Event) -> Result<Outcome> {
//!         Ok(match event.text() {
//!             Some("ping") => Outcome::pass().reply("pong"),
//!             _ => Outcome::pass(),
//!         })
//!     }
//! }
//!
//! rijan_plugin::export!(Ping: inbound);
//! ```
//!
//! `export!` names the hooks as `rijan-plugin.toml` does. With `config` before them the type is read from the plugin's
//! configuration, once per instance ([`FromConfig`]); without it, the type is its `Default`.
//!
//! What a call may do to the world is what it returns. Of the imports, `kv` is buffered with the decision, and only
//! [`http::fetch`] acts at once. The rules are in `wit/rijan-plugin.wit`; the types here are generated from it.

#[rustfmt::skip]
#[doc(hidden)]
pub mod bindings;
mod config;
mod error;
mod export;
mod hooks;
mod imports;
mod log;
mod message;
#[doc(hidden)]
pub mod rt;

pub use bindings::imports::rijan::plugin::types::*;
pub use config::FromConfig;
pub use error::Result;
pub use hooks::{Inbound, Outbound, Scheduled, Webhook, inbound, outbound, scheduled, webhook};
pub use imports::{clock, event_data, http, kv, media, random, secrets};
pub use log::{Level, log};
#[cfg(feature = "json")]
pub use {serde, serde_json};
