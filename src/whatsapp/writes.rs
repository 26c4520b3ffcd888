//! What a connection writes of what WhatsApp told, beside messages: a run of one kind is one transaction.

use super::connection::Connection;
use super::events::Signal;
use super::news;
use crate::domain::chat::ChatChange;
use crate::domain::clock::UnixMs;
use crate::domain::device::Ended;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::EventId;
use crate::domain::label::LabelChange;
use crate::store::{ReceiptNews, StoreError};
use std::sync::Arc;
use wacore::types::events::Event as Told;
use whatsapp_rust::types::durability_hook::InboundMessage;

/// Receipts taken from the queue for one transaction.
const RECEIPTS_PER_WRITE_MAX: usize = 256;
/// Events of one transaction, of what is news and no message.
const NEWS_PER_WRITE_MAX: usize = 256;
/// Changes of chats, or of labels, of one transaction.
const CHANGES_PER_WRITE_MAX: usize = 256;

impl Connection<'_> {
    /// Writes what a signal tells, with what waits behind it of the same kind. Gives back one that tells nothing to write.
    pub(super) async fn write(&mut self, signal: Signal) -> Result<Option<Ended>, Signal> {
        Ok(match signal {
            Signal::News(first) => self.write_news(first).await,
            Signal::Chat(first) => self.write_chats(first).await,
            Signal::Label(first) => self.write_labels(first).await,
            Signal::TakenIn { collection, version } => {
                self.write_taken_in(&collection, version).await;
                None
            }
            Signal::Receipt(first) => {
                self.write_receipts(first).await;
                None
            }
            Signal::Undecryptable { chat, sender, id, at } => self.write_undecryptable(chat, sender, id, at).await,
            // These do not pass the hook.
            Signal::Recovered(messages) => self.write_recovered(messages).await,
            Signal::Posts(posts) => self.write_posts(&posts).await,
            other => return Err(other),
        })
    }

    /// News comes in runs, as when a phone that was away sees its groups again.
    async fn write_news(&mut self, first: Arc<Told>) -> Option<Ended> {
        let run = self.signals.run_of(first, NEWS_PER_WRITE_MAX, |signal| match signal {
            Signal::News(next) => Ok(next),
            other => Err(other),
        });
        let reporter = news::Reporter {
            client: &self.client,
            memory: &self.control.memory,
            tenant: &self.env.tenant,
            device: &self.env.device,
            now: self.env.store.clock().now_ms(),
        };
        let (mut events, mut told): (Vec<Event>, u64) = (Vec::new(), 0);
        for one in &run {
            told += u64::from(news::must_last(one));
            events.extend(reporter.events(one).await);
        }
        let written = match events.is_empty() {
            true => Ok(()),
            false => self.env.store.append_events_once(events).await,
        };
        self.kept(told, written)
    }

    /// What must last is written. If it is not, the connection ends before WhatsApp hears that we have it, and it comes again.
    fn kept(&self, told: u64, written: Result<(), StoreError>) -> Option<Ended> {
        match written {
            Ok(()) => {
                self.unwritten.written(told);
                None
            }
            Err(error) => {
                tracing::error!(device = %self.env.device, %error, "what whatsapp told could not be written");
                self.unwritten.give_up();
                Some(Ended::Lost { detail: "what whatsapp told could not be written".into() })
            }
        }
    }

    /// What was done on other devices comes in runs: all of it when a device was linked.
    async fn write_chats(&mut self, first: ChatChange) -> Option<Ended> {
        let changes = self.signals.run_of(first, CHANGES_PER_WRITE_MAX, |signal| match signal {
            Signal::Chat(next) => Ok(next),
            other => Err(other),
        });
        let written = self.env.store.change_chats(&self.env.tenant, &self.env.device, changes).await;
        self.changed(written)
    }

    async fn write_labels(&mut self, first: LabelChange) -> Option<Ended> {
        let changes = self.signals.run_of(first, CHANGES_PER_WRITE_MAX, |signal| match signal {
            Signal::Label(next) => Ok(next),
            other => Err(other),
        });
        let written = self.env.store.change_labels(&self.env.tenant, &self.env.device, changes).await;
        self.changed(written)
    }

    /// What could not be written of a collection comes with the next connection, which takes all of it.
    fn changed(&mut self, written: Result<(), StoreError>) -> Option<Ended> {
        self.changes_lost |= written.is_err();
        self.kept(0, written)
    }

    async fn write_taken_in(&self, collection: &str, version: u64) {
        if self.changes_lost {
            return;
        }
        if let Err(error) = self.backend.taken_in(collection, version).await {
            tracing::warn!(device = %self.env.device, collection, %error, "a collection will be taken in again");
        }
    }

    async fn write_receipts(&mut self, first: ReceiptNews) {
        let run = self.signals.run_of(first, RECEIPTS_PER_WRITE_MAX, |signal| match signal {
            Signal::Receipt(next) => Ok(next),
            other => Err(other),
        });
        self.report(self.env.store.apply_receipts(&self.env.tenant, &self.env.device, run).await);
    }

    /// Told once, however often WhatsApp delivers it: its id follows from the message.
    async fn write_undecryptable(&self, chat: String, sender: String, id: String, at: UnixMs) -> Option<Ended> {
        let (tenant, device) = (self.env.tenant.clone(), self.env.device.clone());
        let type_ = EventType::MessageUndecryptable;
        let data = serde_json::json!({ "id": id, "chat": chat, "from": sender, "timestamp": at / 1000 });
        let parts = [type_.as_str(), device.as_str(), &chat, &sender, &id];
        let event =
            Event { id: EventId::derived(at, &parts), ..Event::new(tenant, Some(device.clone()), type_, at, data) };
        self.kept(1, self.env.store.append_events_once(vec![event]).await)
    }

    async fn write_recovered(&self, messages: Vec<InboundMessage>) -> Option<Ended> {
        self.kept(1, self.hook.recovered(&self.client, messages).await)
    }

    /// Each was counted when its stanza came.
    async fn write_posts(&self, posts: &[InboundMessage]) -> Option<Ended> {
        self.kept(1, self.hook.posted(&self.client, posts).await)
    }
}
