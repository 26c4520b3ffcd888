//! The integration tests: the real binary, the real client library, real SQLite, real HTTP, a simulated phone.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should say where")]

mod api;
mod architecture;
mod at_rest;
mod authoring;
mod contract;
mod coverage;
mod crash;
mod damage;
mod guests;
mod host;
mod media;
mod pages;
mod phones;
mod plugins;
mod promises;
mod sentry;
mod start;
mod support;
mod tenants;
