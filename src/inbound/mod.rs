//! From the inbox to the event log: everything that came in becomes one event, once, after the tenant's plugins have seen it.

mod download;
mod lane;
mod processor;
mod reading;

pub use download::run_downloads;
pub use processor::run;
