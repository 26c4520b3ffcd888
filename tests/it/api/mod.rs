//! The HTTP front, as a client meets it.

mod changes;
mod documentation;
mod errors;
mod foreign;
mod kinds;
mod limits;
mod messages;
mod more_kinds;
mod polls;
mod webhooks;
