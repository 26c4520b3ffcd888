//! The HTTP front, as a client meets it.

mod account;
mod changes;
mod chats;
mod deliveries;
mod documentation;
mod errors;
mod event_schemas;
mod foreign;
mod groups;
mod keys;
mod kinds;
mod limits;
mod media;
mod messages;
mod more_kinds;
mod operator;
mod polls;
mod sockets;
mod streams;
mod webhooks;
