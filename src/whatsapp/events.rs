//! What the client library reports, reduced to what a connection acts on.

use super::chats;
use super::historian::Historian;
use super::missing::Missing;
use super::news;
use super::outgoing::Acks;
use super::posts;
use super::queue::SignalQueue;
use super::ratchet::Ratchet;
use super::tap::Tap;
use super::unwritten::Unwritten;
use super::viewers;
use crate::domain::chat::{Change, ChatChange};
use crate::domain::clock::{Clock, UnixMs};
use crate::domain::label::LabelChange;
use crate::domain::outgoing::Status;
use crate::store::ReceiptNews;
use std::sync::Arc;
use wacore::types::events::{Event, EventHandler, InboundMessage};
use wacore::types::presence::ReceiptType;
use wacore_binary::{JidExt as _, NodeRef};

#[derive(Debug)]
pub(super) enum Signal {
    Qr {
        code: String,
        valid_ms: i64,
    },
    QrExhausted,
    Code {
        code: String,
        valid_ms: i64,
    },
    CodeRefused {
        error: String,
    },
    Paired {
        jid: String,
        lid: String,
        name: String,
    },
    PairFailed {
        error: String,
    },
    Connected,
    Lost {
        detail: String,
    },
    LoggedOut {
        detail: String,
    },
    Replaced,
    Banned {
        detail: String,
    },
    Outdated,
    Receipt(ReceiptNews),
    Undecryptable {
        chat: String,
        sender: String,
        id: String,
        /// When it was written.
        at: UnixMs,
    },
    /// What could not be read, or was never stored, as the account's own phone sent it again. Other messages pass the hook.
    Recovered(Vec<InboundMessage>),
    /// What was posted in newsletters, or became of a post. These pass no hook.
    Posts(Vec<InboundMessage>),
    /// It was decrypted before, so it cannot be again, and our inbox lacks it.
    Missing(Missing),
    /// Something around messages; `news` reads it.
    News(Arc<Event>),
    /// What became of a chat on another device of the account.
    Chat(ChatChange),
    /// The same of one of its labels.
    Label(LabelChange),
    /// All changes of a collection of the app state, up to this version, were put before.
    TakenIn {
        collection: String,
        version: u64,
    },
    /// Something found no place: the connection ends.
    Flooded,
}

/// Hears what the library reports, and hands it on.
pub(super) struct Listener {
    pub(super) signals: SignalQueue,
    /// Acknowledgements go straight to who waits: a send must not wait behind what the loop is writing.
    pub(super) acks: Arc<Acks>,
    pub(super) ratchet: Arc<Ratchet>,
    pub(super) unwritten: Arc<Unwritten>,
    pub(super) historian: Arc<Historian>,
    /// With the clock its stanzas are dated by; none when it is switched off.
    pub(super) tap: Option<(Arc<Tap>, Clock)>,
    /// Something of the app state may be missing since then: it is news, also when it comes with a whole collection.
    pub(super) missing_since: Option<UnixMs>,
}

impl Listener {
    /// The client reports a stanza before it acts on it.
    fn stanza(&self, stanza: &NodeRef<'_>) {
        if let Some((tap, clock)) = &self.tap {
            tap.arrived(stanza, clock.now_ms());
        }
        if let Some(news) = viewers::told(stanza) {
            self.signals.put(Signal::Receipt(news));
        }
        // Its acknowledgement goes out beside the reading of it, so this is counted before both, and not in `put`.
        if posts::tells_of_a_post(stanza) {
            self.unwritten.told();
        }
        if is_sealed(stanza)
            && let Some(id) = stanza.get_attr("id")
        {
            self.ratchet.arrived(&id.as_str());
        }
    }
}

/// Whether something in it is about to be decrypted: what was sealed for everybody, or for this device.
fn is_sealed(stanza: &NodeRef<'_>) -> bool {
    let each = |stanza: &NodeRef<'_>| stanza.get_children_by_tag("to").any(|to| to.get_optional_child("enc").is_some());
    matches!(stanza.tag.as_ref(), "message" | "status")
        && (stanza.get_optional_child("enc").is_some() || stanza.get_optional_child("participants").is_some_and(each))
}

impl EventHandler for Listener {
    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::ServerAck(ack) if ack.class.as_deref().is_none_or(|class| class == "message") => {
                self.acks.arrived(&ack.id, ack.error.clone());
            }
            Event::RawNode(stanza) => return self.stanza(stanza.get()),
            Event::UndecryptableMessage(message) => self.ratchet.read(&message.info.id),
            Event::OfflineSyncCompleted(_) => self.ratchet.live(),
            Event::HistorySync(_) => return self.historian.put(event),
            _ => {}
        }
        let signal = match &*event {
            told if news::is_news(told) => Some(Signal::News(event)),
            told => chats::change(told, self.missing_since)
                .map(Signal::Chat)
                .or_else(|| chats::label(told).map(Signal::Label))
                .or_else(|| signal(told)),
        };
        if let Some(signal) = signal {
            self.signals.put(signal);
        }
    }
}

/// Whether it is acknowledged to WhatsApp only when it is written. So are posts, which are counted when their stanza comes.
pub(super) fn must_last(signal: &Signal) -> bool {
    match signal {
        Signal::News(told) => news::must_last(told),
        Signal::Recovered(_) | Signal::Undecryptable { .. } => true,
        _ => false,
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Of what has no module of its own.
fn signal(event: &Event) -> Option<Signal> {
    Some(match event {
        Event::PairingQrCode(qr) => Signal::Qr { code: qr.code.clone(), valid_ms: millis(qr.timeout) },
        Event::PairingQrCodesExhausted(_) => Signal::QrExhausted,
        Event::PairingCode(code) => Signal::Code { code: code.code.clone(), valid_ms: millis(code.timeout) },
        Event::PairingCodeError(refused) => Signal::CodeRefused { error: refused.error.clone() },
        Event::PairSuccess(pair) => {
            Signal::Paired { jid: pair.id.to_string(), lid: pair.lid.to_string(), name: pair.business_name.clone() }
        }
        Event::PairError(failed) => Signal::PairFailed { error: failed.error.clone() },
        Event::Connected(_) => Signal::Connected,
        Event::Disconnected(ended) => Signal::Lost { detail: format!("{:?}", ended.reason) },
        Event::LoggedOut(out) => Signal::LoggedOut { detail: format!("{:?}", out.reason) },
        Event::StreamReplaced(_) => Signal::Replaced,
        Event::TemporaryBan(ban) => Signal::Banned { detail: format!("{:?}", ban.code) },
        Event::ClientOutdated(_) => Signal::Outdated,
        Event::ConnectFailure(failure) => Signal::Lost { detail: format!("connect failure {:?}", failure.reason) },
        Event::Receipt(receipt)
            if receipt.r#type == ReceiptType::ReadSelf
                || (receipt.r#type == ReceiptType::Read && receipt.source.is_from_me) =>
        {
            let ids = receipt.message_ids.iter().map(ToString::to_string).collect();
            Signal::Chat(ChatChange {
                address: receipt.source.chat.to_non_ad().to_string(),
                change: Change::ReadUpTo(ids),
                at: receipt.timestamp.timestamp_millis(),
                is_news: true,
            })
        }
        // `viewers` has read who it is from.
        Event::Receipt(receipt) if receipt.source.sender.is_status_broadcast() => return None,
        Event::Receipt(receipt) => {
            let status = match receipt.r#type {
                ReceiptType::Delivered => Status::Delivered,
                ReceiptType::Read => Status::Read,
                ReceiptType::Played => Status::Played,
                _ => return None,
            };
            Signal::Receipt(ReceiptNews {
                wa_ids: receipt.message_ids.iter().map(ToString::to_string).collect(),
                status,
                at: receipt.timestamp.timestamp_millis(),
                by: receipt.source.sender.to_non_ad().to_string(),
            })
        }
        Event::UndecryptableMessage(message) => Signal::Undecryptable {
            chat: message.info.source.chat.to_string(),
            sender: message.info.source.sender.to_string(),
            id: message.info.id.to_string(),
            at: message.info.timestamp.timestamp_millis(),
        },
        Event::Messages(batch) if batch.messages.iter().any(posts::is_post) => {
            let posts = batch.messages.iter().filter(|message| posts::is_post(message));
            Signal::Posts(posts.cloned().map(posts::read).collect())
        }
        Event::Messages(batch) => {
            let recovered = batch.messages.iter().filter(|message| message.info.unavailable_request_id.is_some());
            let recovered: Vec<InboundMessage> = recovered.cloned().collect();
            if recovered.is_empty() {
                return None;
            }
            Signal::Recovered(recovered)
        }
        _ => return None,
    })
}
