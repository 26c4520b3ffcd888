//! Plugins: WASM components of a tenant that see events and messages on their way and say what becomes of them.

pub mod manifest;
