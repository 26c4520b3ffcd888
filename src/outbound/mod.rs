//! From an accepted request to WhatsApp: acceptance writes the row, the dispatcher sends it and records what came of it.

pub mod accept;
mod dispatcher;

pub use dispatcher::run;
