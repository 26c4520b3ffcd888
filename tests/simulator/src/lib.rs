//! A WhatsApp server and the phones of its accounts, on loopback, for tests and for trying things out without a phone.
//!
//! It speaks the real protocol: Noise over WebSocket, binary stanzas, Signal encryption. It imports nothing of the
//! gateway and decodes messages with protobufs of its own. What it does not do: check anybody's identity, persist
//! anything, or pretend to be complete; a stanza it has no handler for is listed under `GET /unanswered`.
//!
//! - [`Simulator`]: starts it; [`Clock`]: its time; [`control`]: its HTTP API, documented in README.md.
//! - `noise`, `node`, `signal`, `message`, `attachment`, `poll`: the layers of the protocol.
//! - `world`: everything there is, and its locks; `account`, `companion`, `group`, `newsletter`: its parts; `phone`, `push_name`, `patch`: what a simulated person's phone does;
//!   `compose`, `display`, `book`: what it writes, shows and remembers; `snapshot`: its app state in one file.
//! - `connection`: one client's connection; `handlers`: one file per stanza family; `faults`: what goes wrong on purpose.

mod account;
mod attachment;
mod book;
mod clock;
mod companion;
mod compose;
mod connection;
pub mod control;
mod display;
mod faults;
mod group;
mod handlers;
mod line;
mod media;
mod message;
mod newsletter;
mod node;
mod noise;
mod pairing;
mod patch;
mod phone;
mod poll;
mod push_name;
mod signal;
mod simulator;
mod snapshot;
mod world;

pub use clock::{ADVANCE_MS_MAX, Clock, Unmoved};
pub use simulator::Simulator;

/// The protobufs of `proto/wa.proto`.
#[allow(clippy::all, reason = "generated code")]
pub(crate) mod wa {
    include!(concat!(env!("OUT_DIR"), "/wa.rs"));
}
