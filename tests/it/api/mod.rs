//! The HTTP front, as a client meets it.

mod account;
mod documentation;
mod errors;
mod foreign;
mod groups;
mod limits;
mod messages;
mod webhooks;
