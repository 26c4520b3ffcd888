//! Where the gateway may connect on a tenant's word, and how: webhooks, plugins, media by URL.
//!
//! Promises: a tenant's URL reaches public addresses only, in whatever spelling it names them, unless the configuration
//! opens an address; redirects are not followed; no proxy of the environment is used; times and answers are bounded.

mod address;
mod client;

pub use address::{AllowEntry, AllowList, InvalidAllowEntry};
pub use client::{Answer, Egress, EgressError, EgressSettings, InvalidTarget, Opened, Request, STANDS_FOR};
