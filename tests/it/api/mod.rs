//! The HTTP front, as a client meets it.

mod errors;
mod foreign;
mod messages;
mod webhooks;
