//! The HTTP front, as a client meets it.

mod account;
mod changes;
pub mod chats;
mod communities;
mod deliveries;
mod documentation;
mod errors;
mod event_schemas;
mod foreign;
mod groups;
mod keys;
mod kinds;
mod labels;
mod limits;
mod linking;
pub mod media;
mod messages;
mod more_kinds;
mod newsletters;
mod operator;
mod polls;
mod raw;
pub mod sockets;
mod status;
pub mod streams;
mod templates;
mod webhooks;
