//! What the client library reports, reduced to what a connection acts on, and the bounded way from there to here.
//!
//! The library calls its handlers synchronously, so a full queue cannot make it wait. A queue that is full means that
//! we are thousands of events behind: the connection is ended then, which stops the flood; messages are not lost by
//! that, because they pass the durability hook and not this queue.

use super::chats;
use super::historian::Historian;
use super::missing::Missing;
use super::news;
use super::outgoing::Acks;
use super::posts;
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
use tokio::sync::mpsc;
use wacore::types::events::{Event, EventHandler, InboundMessage};
use wacore::types::presence::ReceiptType;
use wacore_binary::{JidExt as _, NodeRef};

/// Events waiting for a connection's loop; the connection ends when there are more.
const EVENTS_QUEUED_MAX: usize = 16_384;

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
    Flooded,
}

#[derive(Clone)]
pub(super) struct SignalQueue {
    queue: mpsc::Sender<Signal>,
    /// Acknowledgements go straight to who waits: a send must not wait behind what the loop is writing.
    acks: Arc<Acks>,
    ratchet: Arc<Ratchet>,
    unwritten: Arc<Unwritten>,
    historian: Arc<Historian>,
    /// With the clock its stanzas are dated by; none when it is switched off.
    tap: Option<(Arc<Tap>, Clock)>,
}

impl SignalQueue {
    pub(super) fn new(
        acks: Arc<Acks>,
        ratchet: Arc<Ratchet>,
        unwritten: Arc<Unwritten>,
        historian: Arc<Historian>,
        tap: Option<(Arc<Tap>, Clock)>,
    ) -> (Self, mpsc::Receiver<Signal>) {
        // One place is kept for the word that the queue is full.
        let (queue, receiver) = mpsc::channel(EVENTS_QUEUED_MAX + 1);
        (Self { queue, acks, ratchet, unwritten, historian, tap }, receiver)
    }

    /// The client reports a stanza before it acts on it.
    fn stanza(&self, stanza: &NodeRef<'_>) {
        if let Some((tap, clock)) = &self.tap {
            tap.arrived(stanza, clock.now_ms());
        }
        if let Some(news) = viewers::told(stanza) {
            self.put(Signal::Receipt(news));
        }
        if stanza.tag.as_ref() == "message"
            && stanza.get_optional_child("enc").is_some()
            && let Some(id) = stanza.get_attr("id")
        {
            self.ratchet.arrived(&id.as_str());
        }
    }

    pub(super) fn put(&self, signal: Signal) {
        let last_place = self.queue.capacity() <= 1;
        let signal = if last_place { Signal::Flooded } else { signal };
        if must_last(&signal) {
            self.unwritten.told();
        }
        // Fails when the connection has ended or the word is already out.
        let _ = self.queue.try_send(signal);
    }
}

impl EventHandler for SignalQueue {
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
            told => chats::change(told)
                .map(Signal::Chat)
                .or_else(|| chats::label(told).map(Signal::Label))
                .or_else(|| signal(told)),
        };
        if let Some(signal) = signal {
            self.put(signal);
        }
    }
}

/// Whether it is acknowledged to WhatsApp only when it is written.
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
