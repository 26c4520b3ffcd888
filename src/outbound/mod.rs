//! From an accepted request to WhatsApp: acceptance writes the row, a lane per connected device sends it and records
//! what came of it.

pub mod accept;
mod dispatcher;
mod hand;
mod lane;

pub use dispatcher::run;
