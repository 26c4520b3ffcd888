//! Linked devices: one task per device, speaking to WhatsApp through whatsapp-rust. The only module that names it.
//!
//! Callers: `api` starts, stops and pairs through the [`Directory`]; `outbound` sends through a [`Connected`] device,
//! `api` asks through an [`Account`];
//! `inbound` asks [`incoming::describe`] what a stored message says. Promises: an inbound message is in the store before
//! WhatsApp hears that we have it; a send reports what WhatsApp's server said of it, not that bytes left; what the owner
//! wants survives a restart; connected means that the server answered a ping lately.
//!
//! A connection is used once. When it ends, for whatever reason, its client is dropped and `domain::device` decides
//! what follows; the next connection starts from the store alone.

mod account;
mod backend;
mod chats;
mod client;
mod connection;
mod device;
mod directory;
mod events;
mod historian;
mod history;
mod http;
pub mod incoming;
mod interactive;
mod linking;
mod media;
mod missing;
mod news;
pub mod outgoing;
mod over;
mod poll;
mod posts;
mod queue;
mod ratchet;
pub mod raw;
mod tap;
mod unwritten;
mod viewers;
mod wrappers;
mod writes;

pub use account::{
    Account, AccountError, BusinessProfile, Catalog, Checked, Community, ContactProfile, DefaultTimer, Group,
    JoinRequest, Joined, LinkResult, Member, MemberResult, Named, NewCommunity, Newest, Newsletter, Person,
    PictureLink, Post, Profile, Role, SubGroup, SubGroupSize,
};
pub use directory::{Connected, Directory, DirectoryError};
pub use media::DownloadError;
pub use outgoing::Along;
pub use tap::Tapped;

use crate::domain::clock::UnixMs;
use std::time::Duration;

/// The name and version of the client library, for /health.
pub const ENGINE_VERSION: &str = "whatsapp-rust 0.7.0";

/// How devices connect.
#[derive(Debug, Clone)]
pub struct WhatsappSettings {
    /// The web client's version that is presented to WhatsApp.
    pub version: (u32, u32, u32),
    /// How often the server is asked for a sign of life, and how long it may take.
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
    /// How long a sent message waits for the server's acknowledgement, and a live request for its answer.
    pub ack_timeout: Duration,
    /// Unstable connections in a row before a device is failed; 0 never gives up.
    pub connect_attempts_max: u32,
    /// Pause between two devices when a gateway starts many.
    pub start_stagger: Duration,
    /// Whether the latest stanzas of each device are kept in memory, without their contents.
    pub protocol_tap: bool,
    /// Base address of a simulator to use in WhatsApp's place. Works only in a build with the feature `sandbox`.
    pub simulator: Option<url::Url>,
}

/// A code to scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrCode {
    pub text: String,
    pub expires_at: UnixMs,
}

/// A code to type into the phone, as `ABCD-EFGH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingCode {
    pub code: String,
    pub expires_at: UnixMs,
}

/// What is known of a running device beyond its row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    pub connected: bool,
    pub connected_since: Option<UnixMs>,
    pub last_server_ping_at: Option<UnixMs>,
    pub last_decrypted_event_at: Option<UnixMs>,
}
