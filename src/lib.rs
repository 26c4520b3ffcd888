//! Rijan: a multi-tenant WhatsApp gateway. This is the map; each module's head says what it promises.
//!
//! `domain` knows nobody; `limits` counts what is done how often; `store` keeps, `media` its files; `whatsapp` speaks to
//! WhatsApp; `inbound`, `outbound` and `webhooks` move rows; `tenants` makes what files declare so; `api` is the front;
//! `app` alone knows them all. Who may use whom is in docs/architecture.md, and a test holds it.

pub mod api;
pub mod app;
pub mod authoring;
pub mod cli;
pub mod config;
pub mod domain;
pub mod egress;
pub mod inbound;
pub mod limits;
pub mod media;
pub mod outbound;
pub mod plugins;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod tenants;
pub mod vault;
pub mod webhooks;
pub mod whatsapp;
