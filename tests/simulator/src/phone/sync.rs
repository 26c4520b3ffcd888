//! What a phone gives to the devices linked to it.

use super::seal::seal;
use crate::account::Account;
use crate::node::message_id;
use crate::wa;
use crate::world::World;
use anyhow::{Context, Result};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// The phone gives a new device the account's app-state key, as the real one does right after linking.
pub(crate) async fn share_sync_keys(world: &World, account: &Account, device: u16) -> Result<()> {
    let had = {
        let mut state = account.state();
        let companion = state.companions.get_mut(&device).context("no such device")?;
        std::mem::replace(&mut companion.has_sync_keys, true)
    };
    if had {
        return Ok(());
    }
    let (key_id, key) = account.sync_key.clone();
    let share = wa::AppStateSyncKeyShare {
        keys: vec![wa::AppStateSyncKey {
            key_id: Some(wa::AppStateSyncKeyId { key_id: Some(key_id) }),
            key_data: Some(wa::AppStateSyncKeyData {
                key_data: Some(key),
                fingerprint: Some(wa::AppStateSyncKeyFingerprint {
                    raw_id: Some(account.raw_id()),
                    current_index: Some(1),
                    device_indexes: vec![0, 1],
                }),
                timestamp: Some(i64::try_from(world.now())?),
            }),
        }],
    };
    let protocol = wa::ProtocolMessage {
        r#type: Some(wa::protocol_message::Type::AppStateSyncKeyShare as i32),
        app_state_sync_key_share: Some(share),
        ..Default::default()
    };
    to_own_device(world, account, device, protocol).await
}

/// A message that only the account's own device is to read.
pub(super) async fn to_own_device(
    world: &World,
    account: &Account,
    device: u16,
    protocol: wa::ProtocolMessage,
) -> Result<()> {
    let message = wa::Message { protocol_message: Some(Box::new(protocol)), ..Default::default() };
    let id = message_id();
    account.state().book.remember_told(&id, &account.number, &message);
    let mut phone = account.phone.lock().await;
    let enc = seal(world, &mut phone, account, device, &message).await?;
    world.deliver(account, device, told(world, account, &id, enc));
    Ok(())
}

/// The stanza of such a message.
pub(super) fn told(world: &World, account: &Account, id: &str, enc: Node) -> Node {
    NodeBuilder::new("message")
        .attr("from", account.phone_jid(0))
        .attr("id", id.to_owned())
        .attr("t", world.now())
        .attr("type", "text")
        .attr("category", "peer")
        .attr("push_priority", "high")
        .children([enc])
        .build()
}
