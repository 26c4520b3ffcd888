//! What a simulated person's phone does: it encrypts, decrypts, displays, confirms, answers.
//!
//! - `receive`: what comes from linked devices; `write`: what its owner writes.
//! - `settings`: what its owner sets for all devices. `sync`, `history`: what it gives to the devices linked to it; `seal`: encryption for one device.
//! - `ask`: what a linked device asks of it.
//! - `again`: what could not be read is asked for and sent again; `reupload`: the same of files.

mod again;
mod ask;
mod history;
mod receive;
mod reupload;
mod seal;
mod settings;
mod sync;
mod write;

pub(crate) use again::{ask_again, send_again};
pub(crate) use history::{CHATS_MAX, FILE_MESSAGES, MESSAGES_MAX, Prepared, give as give_history};
pub(crate) use receive::{Inbound, receive};
pub(crate) use reupload::upload_again;
pub(crate) use settings::{Change, set};
pub(crate) use sync::share_sync_keys;
pub(crate) use write::write;

use crate::account::Account;
use crate::display::{Reader, Shown};
use crate::node::{attr, child_body};
use crate::wa;
use crate::world::World;
use prost::Message as _;
use wacore_binary::Node;

/// A message that came to a phone, in whatever way.
struct Arrived<'a> {
    id: &'a str,
    chat: &'a str,
    /// The author's phone number.
    from: &'a str,
    message: &'a wa::Message,
    raw: Vec<u8>,
}

/// Remembers and displays. Returns whether it is new, and what is seen of it; nothing for what no phone displays.
fn show(world: &World, account: &Account, arrived: Arrived<'_>) -> Option<(bool, Shown)> {
    let known = |id: &str| account.state().book.get(id);
    let file = |path: &str| world.file(path);
    let shown = Reader { known: &known, sender: arrived.from, file: &file }.shown(arrived.message)?;
    account.state().book.remember(arrived.id, arrived.from, arrived.message);
    let new = account.display(arrived.id, arrived.chat, arrived.from, shown.clone(), arrived.raw);
    Some((new, shown))
}

/// What was posted in a newsletter that is followed. An edit or a deletion changes what is there and displays nothing more.
pub(crate) fn see_post(world: &World, account: &Account, stanza: &Node) {
    if !attr(stanza, "edit").is_empty() {
        return;
    }
    let (id, from) = (attr(stanza, "id"), attr(stanza, "from"));
    let raw = child_body(stanza, "plaintext").unwrap_or_default();
    match wa::Message::decode(&raw[..]) {
        Ok(message) => {
            show(world, account, Arrived { id: &id, chat: &from, from: &from, message: &message, raw });
        }
        Err(error) => tracing::warn!(%error, phone = account.number, "a phone could not read a post"),
    }
}
