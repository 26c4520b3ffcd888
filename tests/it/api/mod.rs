//! The HTTP front, as a client meets it.

mod documentation;
mod errors;
mod foreign;
mod limits;
mod media;
mod messages;
mod webhooks;
