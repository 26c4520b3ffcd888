//! The hook that stores inbound messages before they are acknowledged.
//!
//! What is stored is the decrypted protobuf without its key material (a sender key distribution and a message secret
//! are session secrets; they are in the vault already, and what opens a file goes there too) and what the stanza said.

use super::about::is_protocols_own;
use super::{contact_id, line_of};
use crate::domain::chat::is_group;
use crate::domain::clock::Clock;
use crate::domain::ids::{DeviceId, TenantId};
use crate::domain::poll::Poll;
use crate::store::{Lease, NewInboxRow, NewPoll, NewVote, OpenPoll, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::whatsapp::media::{Origin, take_file};
use crate::whatsapp::wrappers::inside;
use crate::whatsapp::{Vitals, poll};
use async_trait::async_trait;
use buffa::Message as _;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::watch;
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use whatsapp_rust::client::Client;
use whatsapp_rust::types::durability_hook::{InboundDurabilityHook, InboundMessage};

/// Commits what a device received. One per connection.
#[derive(Clone)]
pub(in crate::whatsapp) struct Hook {
    pub(in crate::whatsapp) store: Store,
    pub(in crate::whatsapp) tenant: TenantId,
    pub(in crate::whatsapp) lease: Lease,
    pub(in crate::whatsapp) vitals: watch::Sender<Vitals>,
    pub(in crate::whatsapp) metrics: Arc<Metrics>,
    pub(in crate::whatsapp) clock: Clock,
    /// Whether received files are fetched without being asked for, where the tenant's file does not say.
    pub(in crate::whatsapp) eager: bool,
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        Ok(self.record(&client, batch).await?)
    }
}

impl Hook {
    /// What the account's phone sent again. It may name people by phone number where the message named them by lid.
    pub(in crate::whatsapp) async fn recovered(
        &self,
        client: &Client,
        mut batch: Vec<InboundMessage>,
    ) -> Result<(), StoreError> {
        for message in &mut batch {
            let source = &message.info.source;
            if source.sender_alt.is_some() {
                continue;
            }
            let Ok(Some(entry)) = client.get_lid_pn_entry(&source.sender.to_non_ad()).await else { continue };
            let other = if source.sender.is_lid() {
                Jid::pn(entry.phone_number.to_string())
            } else {
                Jid::lid(entry.lid.to_string())
            };
            Arc::make_mut(&mut message.info).source.sender_alt = Some(other);
        }
        self.record(client, &batch).await
    }

    /// What came from newsletters, as `posts` reads it.
    pub(in crate::whatsapp) async fn posted(
        &self,
        client: &Client,
        posts: &[InboundMessage],
    ) -> Result<(), StoreError> {
        self.record(client, posts).await
    }

    async fn record(&self, client: &Client, batch: &[InboundMessage]) -> Result<(), StoreError> {
        let mut rows: Vec<NewInboxRow> = Vec::with_capacity(batch.len());
        for inbound in batch {
            let mut row = row(inbound, &self.lease.device);
            if row.message.is_some() {
                row.poll = asked(inbound);
                row.vote = self.vote(client, inbound, &rows).await?;
            }
            rows.push(row);
        }
        self.vitals.send_modify(|v| v.last_decrypted_event_at = Some(self.clock.now_ms()));
        let new = self.store.record_inbound(&self.tenant, &self.lease, rows, self.eager).await?;
        self.metrics.messages_received(new);
        Ok(())
    }
}

impl Hook {
    /// The vote that a message casts, when it is one that opens. `before` came in the same batch.
    async fn vote(
        &self,
        client: &Client,
        inbound: &InboundMessage,
        before: &[NewInboxRow],
    ) -> Result<Option<NewVote>, StoreError> {
        let Some((id, sealed)) = poll::vote(inside(&inbound.message)) else { return Ok(None) };
        let earlier = before.iter().find(|row| row.wa_id == id).and_then(|row| row.poll.as_ref());
        let known = match earlier {
            Some(new) => {
                let new = new.clone();
                Some(OpenPoll { poll: new.poll, authors: new.authors, secret: new.secret })
            }
            // A poll that does not read costs its votes, and no message.
            None => match self.store.open_poll(&self.lease.device, id).await {
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(device = %self.lease.device, poll = id, %error, "a vote is not opened");
                    return Ok(None);
                }
                known => known?,
            },
        };
        let Some(known) = known else {
            tracing::info!(device = %self.lease.device, poll = id, "a vote on a poll that is not known");
            return Ok(None);
        };
        let own: Vec<String> =
            [client.pn(), client.lid()].into_iter().flatten().map(|jid| jid.to_non_ad().to_string()).collect();
        let from_me = inbound.info.source.is_from_me;
        let authors = if known.authors.is_empty() { &own } else { &known.authors };
        let theirs = addresses(inbound);
        let voters = if from_me { &own } else { &theirs };
        let Some(chosen) = poll::open(id, &known, sealed, authors, voters) else {
            tracing::warn!(device = %self.lease.device, poll = id, "a vote does not open");
            return Ok(None);
        };
        let voter = contact_id(voters.iter().map(String::as_str)).unwrap_or_default().to_owned();
        Ok(Some(NewVote { poll: id.to_owned(), voter, chosen }))
    }
}

/// Of who sent it: the one it came with, and the other one where the stanza says it.
fn addresses(inbound: &InboundMessage) -> Vec<String> {
    let source = &inbound.info.source;
    let both = [Some(&source.sender), source.sender_alt.as_ref()];
    both.into_iter().flatten().map(|jid| jid.to_non_ad().to_string()).collect()
}

/// What a message asks, when it is a poll whose votes can be opened and are counted.
fn asked(inbound: &InboundMessage) -> Option<NewPoll> {
    let poll = poll::asked(inside(&inbound.message)).filter(Poll::is_countable)?;
    let secret = poll::secret(&inbound.message)?;
    let authors = if inbound.info.source.is_from_me { Vec::new() } else { addresses(inbound) };
    Some(NewPoll { poll, authors, secret })
}

fn row(inbound: &InboundMessage, device: &DeviceId) -> NewInboxRow {
    let mut message = without_keys(&inbound.message).or_else(|| nameless(&inbound.message));
    let line = message.as_ref().and_then(line_of);
    let info = &inbound.info;
    let source = &info.source;
    let sender = source.sender.to_non_ad().to_string();
    let alternative = source.sender_alt.as_ref().map(|jid| jid.to_non_ad().to_string());
    let media = message.as_mut().and_then(|message| {
        take_file(message, || Origin {
            chat: source.chat.to_non_ad().to_string(),
            sender: sender.clone(),
            wa_id: info.id.to_string(),
            from_me: source.is_from_me,
            is_group: source.is_group,
        })
    });
    let media_id = media.as_ref().map(|media| media.id.clone());
    NewInboxRow {
        chat: source.chat.to_non_ad().to_string(),
        sender: sender.clone(),
        wa_id: info.id.to_string(),
        envelope: json!({
            "id": info.id.to_string(),
            "chat": source.chat.to_non_ad().to_string(),
            "sender": sender,
            "senderAlternative": alternative,
            "recipientAlternative": source.recipient_alt.as_ref().map(|jid| jid.to_non_ad().to_string()),
            "fromMe": source.is_from_me,
            // The library takes status posts for those of a group.
            "isGroup": source.is_group && is_group(&source.chat.to_string()),
            "pushName": info.push_name,
            "timestamp": info.timestamp.timestamp(),
            "offline": info.is_offline,
            // By which a newsletter counts its posts; messages have none.
            "serverId": (info.server_id > 0).then_some(info.server_id),
            "mediaId": media_id,
            "mediaUrl": media_id.as_ref().map(|id| format!("/v1/devices/{device}/media/{id}")),
        }),
        message: message.map(|message| message.encode_to_vec()),
        line,
        poll: None,
        vote: None,
        media,
    }
}

/// The message as it may be stored, or `None` when nothing is left that a person would call a message.
pub(super) fn without_keys(message: &wa::Message) -> Option<wa::Message> {
    if is_protocols_own(inside(message)) {
        return None;
    }
    let mut message = message.clone();
    message.sender_key_distribution_message = Default::default();
    message.fast_ratchet_key_sender_key_distribution_message = Default::default();
    message.message_context_info = Default::default();
    if let Some(call) = message.call.as_option_mut() {
        call.call_key = None;
    }
    (!is_empty(&message)).then_some(message)
}

/// What the library has no field for leaves nothing, and is a message all the same; one that brings keys is none.
pub(super) fn nameless(message: &wa::Message) -> Option<wa::Message> {
    let mut rest = message.clone();
    rest.message_context_info = Default::default();
    is_empty(&rest).then_some(rest)
}

/// Whether no field is set. One that is set and has nothing in it says which kind it is; comparing would take it for unset.
pub(super) fn is_empty(message: &wa::Message) -> bool {
    message.encoded_len() == 0
}
