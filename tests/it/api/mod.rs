//! The HTTP front, as a client meets it.

mod account;
mod changes;
mod documentation;
mod errors;
mod event_schemas;
mod foreign;
mod groups;
mod kinds;
mod limits;
mod media;
mod messages;
mod more_kinds;
mod polls;
mod sockets;
mod streams;
mod webhooks;
