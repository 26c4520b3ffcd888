//! From the inbox to the event log: everything that came in becomes one event, once, after the tenant's plugins have seen it.

mod lane;
mod processor;
mod reading;

pub use processor::run;
