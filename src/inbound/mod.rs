//! From the inbox to the event log: every stored message becomes one event, in the order of arrival, once.

mod processor;

pub use processor::run;
