//! A message that was decrypted and never stored: its sender is asked to send it again.
//!
//! The client library keeps Signal sessions in memory and writes all of them at once, also the step of a message that is
//! decrypted and whose row is still on its way. A process that is killed between the two is delivered the message again
//! after its start, cannot decrypt it a second time, and would acknowledge it as seen. What our inbox lacks was not seen.

use super::events::Signal;
use super::queue::SignalQueue;
use crate::domain::ids::TenantId;
use crate::store::{Lease, Store, StoreError, Word};
use std::sync::Arc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node, Server};
use whatsapp_rust::client::Client;
use whatsapp_rust::features::{RetryRequestError, RetryRequestOptions, RetryRequestOutcome};

/// A received message that our inbox lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) chat: Jid,
    /// With the device that wrote it.
    pub(super) sender: Jid,
    pub(super) id: String,
    /// It is between the account's devices, and no message of anybody.
    pub(super) between_devices: bool,
}

impl Missing {
    /// Asks for it as one asks for a message that does not decrypt; its own phone is asked too.
    pub(super) async fn ask_again(&self, client: &Arc<Client>) -> Result<RetryRequestOutcome, RetryRequestError> {
        let own = [client.pn(), client.lid()];
        let is_own = own.iter().flatten().any(|own| own.is_same_user_as(&self.sender));
        client.request_message_retry(&self.stanza(is_own).as_node_ref(), RetryRequestOptions::new()).await
    }

    /// The envelope in which it came, as far as a request to send it again reads it.
    fn stanza(&self, is_own: bool) -> Node {
        let message = NodeBuilder::new("message").attr("id", self.id.clone()).attr("t", wacore::time::now_secs());
        let (chat, sender) = (self.chat.clone(), self.sender.clone());
        if self.chat.is_group() || self.chat.server == Server::Broadcast {
            message.attr("from", chat).attr("participant", sender).build()
        } else if self.between_devices {
            message.attr("from", sender).attr("category", "peer").build()
        } else if is_own {
            message.attr("from", sender).attr("recipient", chat).build()
        } else {
            message.attr("from", sender).build()
        }
    }
}

/// Asks the phone for files of history that earlier connections were told of and did not read to their end: WhatsApp may have
/// heard that they came, and delivers them no more.
pub(super) async fn ask_for_history(client: Arc<Client>, store: Store, lease: Lease, words: Vec<Word>) {
    for word in words {
        let (Ok(chat), Ok(sender)) = (word.chat.parse(), word.sender.parse()) else { continue };
        let missing = Missing { chat, sender, id: word.wa_id.clone(), between_devices: true };
        let asked = missing.ask_again(&client).await;
        let (device, id) = (&lease.device, &missing.id);
        match asked {
            Ok(_) => {
                if let Err(error) = store.asked_history(&lease, word).await {
                    tracing::error!(%device, id, %error, "that the phone was asked for history could not be written");
                }
            }
            Err(error) => tracing::warn!(%device, id, %error, "the phone was not asked for history"),
        }
    }
}

/// Knows what the inbox has, and tells the connection what it lacks.
pub(super) struct Received {
    pub(super) store: Store,
    pub(super) tenant: TenantId,
    pub(super) lease: Lease,
    pub(super) signals: SignalQueue,
}

impl Received {
    /// Whether a message that was decrypted before is done with: it is in the inbox, or was asked for as often as it may
    /// be. Another one is asked for.
    pub(super) async fn has(&self, chat: &str, sender: &str, id: &str) -> Result<bool, StoreError> {
        // An address that does not parse never reached the inbox either, and nobody can be asked.
        let (Ok(chat), Ok(sender)) = (chat.parse::<Jid>(), sender.parse::<Jid>()) else { return Ok(true) };
        let (in_chat, by) = (chat.to_non_ad().to_string(), sender.to_non_ad().to_string());
        let asks = self.store.miss_inbound(&self.tenant, &self.lease, in_chat, by, id.to_owned()).await?;
        if asks {
            let missing = Missing { chat, sender, id: id.to_owned(), between_devices: false };
            self.signals.put(Signal::Missing(missing));
        }
        Ok(!asks)
    }

    /// Notes words of files of history before the files are read.
    pub(super) async fn expect(&self, words: impl Iterator<Item = (&str, &str, &str)>) -> Result<(), StoreError> {
        let without_device = |jid: &str| jid.parse::<Jid>().map_or(jid.to_owned(), |jid| jid.to_non_ad().to_string());
        let words = words.map(|(chat, sender, id)| Word {
            chat: without_device(chat),
            sender: without_device(sender),
            wa_id: id.to_owned(),
        });
        self.store.expect_history(&self.tenant, &self.lease, words.collect()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(chat: &str, sender: &str, is_own: bool) -> Vec<(String, String)> {
        let (chat, sender) = (chat.parse().unwrap(), sender.parse().unwrap());
        let missing = Missing { chat, sender, id: "3EB0".into(), between_devices: false };
        let node = missing.stanza(is_own);
        ["from", "participant", "recipient"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), node.attrs.get(name)?.to_string())))
            .collect()
    }

    #[test]
    fn who_wrote_it_is_asked_and_where_it_was_written_is_named() {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Vec<_>>();
        let (ana, me, group) = ("6281:3@s.whatsapp.net", "6280@s.whatsapp.net", "120363@g.us");

        assert_eq!(stanza("6281@s.whatsapp.net", ana, false), pairs(&[("from", ana)]));
        assert_eq!(stanza(group, ana, false), pairs(&[("from", group), ("participant", ana)]));
        assert_eq!(
            stanza("6281@s.whatsapp.net", me, true),
            pairs(&[("from", me), ("recipient", "6281@s.whatsapp.net")])
        );
    }
}
