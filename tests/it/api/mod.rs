//! The HTTP front, as a client meets it.

mod account;
mod changes;
mod chats;
mod documentation;
mod errors;
mod foreign;
mod groups;
mod kinds;
mod limits;
mod messages;
mod more_kinds;
mod polls;
mod webhooks;
