//! What the operator does, with the master password.

pub(super) mod audit;
pub(super) mod config;
pub(super) mod devices;
pub(super) mod keys;
pub(super) mod overview;
pub(super) mod plugins;
pub(super) mod tenants;
pub(super) mod upkeep;
