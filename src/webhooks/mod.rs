//! Telling tenants what happened: deliveries that were written with their event, posted until the receiver took them.
//!
//! Promises: at least once, or the dead letter queue; every attempt sends the same bytes; a slow receiver holds back
//! nobody else. Not here: which webhook wants which event (the store writes deliveries with the event) and where one
//! may connect (`egress`).

mod deliverer;
mod request;
mod shaping;
mod signature;
mod trial;

pub use deliverer::{DeliverySettings, run};
pub use request::is_reserved;
pub use signature::{InvalidSecret, generate_secret, standard_form, validate_secret};
pub use trial::{TEST_TYPE, Trial, try_out};
