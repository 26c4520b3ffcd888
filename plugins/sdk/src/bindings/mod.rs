//! Generated from `wit/rijan-plugin.wit`, one file per hook, so that a plugin exports exactly what it has. Checked in, so
//! that a plugin needs no generator: the gateway's test `the_sdks_bindings_are_those_of_the_contract` rewrites them.
#![allow(unused, missing_docs, clippy::all)]

pub mod imports;
pub mod inbound;
pub mod lifecycle;
pub mod outbound;
pub mod scheduled;
pub mod webhook;
