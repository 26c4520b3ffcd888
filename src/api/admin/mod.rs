//! What the operator does, with the master password.

pub(super) mod audit;
pub(super) mod config;
pub(super) mod devices;
pub(super) mod plugins;
pub(super) mod tenants;
