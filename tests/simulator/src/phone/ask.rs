//! What a linked device asks of its own phone: older history, and messages that it could not read.

use super::history::give_older;
use super::sync::to_own_device;
use crate::account::Account;
use crate::wa;
use crate::world::World;
use anyhow::Result;
use prost::Message as _;
use wacore_binary::{Jid, Server};

/// `request` is the id of the message that asks.
pub(super) async fn answer(
    world: &World,
    account: &Account,
    device: u16,
    request: &str,
    asked: &wa::PeerDataOperationRequestMessage,
) -> Result<()> {
    match asked.peer_data_operation_request_type() {
        wa::PeerDataOperationRequestType::HistorySyncOnDemand => {
            let wanted = asked.history_sync_on_demand_request.clone().unwrap_or_default();
            give_older(world, account, device, request, &wanted).await
        }
        wa::PeerDataOperationRequestType::PlaceholderMessageResend => {
            let keys = asked.placeholder_message_resend_request.iter().filter_map(|one| one.message_key.as_ref());
            let found = keys.map(|key| wa::PeerDataOperationResult {
                placeholder_message_resend_response: Some(wa::PlaceholderMessageResendResponse {
                    web_message_info_bytes: Some(known(world, account, key).encode_to_vec()),
                }),
            });
            let answer = wa::PeerDataOperationRequestResponseMessage {
                peer_data_operation_request_type: asked.peer_data_operation_request_type,
                stanza_id: Some(request.to_owned()),
                peer_data_operation_result: found.collect(),
            };
            let protocol = wa::ProtocolMessage {
                r#type: Some(wa::protocol_message::Type::PeerDataOperationRequestResponseMessage as i32),
                peer_data_operation_request_response_message: Some(answer),
                ..Default::default()
            };
            to_own_device(world, account, device, protocol).await
        }
        wa::PeerDataOperationRequestType::UploadSticker => Ok(()),
    }
}

/// The message as the phone has it, with people named by phone number; without content when it has none of that id.
fn known(world: &World, account: &Account, key: &wa::MessageKey) -> wa::WebMessageInfo {
    let by_phone = |jid: &str| match jid.parse::<Jid>() {
        Ok(jid) if jid.server == Server::Lid => {
            world.resolve(&jid).map_or(jid.to_string(), |(person, _)| person.phone_jid(0).to_string())
        }
        _ => jid.to_owned(),
    };
    let known = account.state().book.get(key.id()).filter(|known| !known.between_devices);
    let author = known.as_ref().and_then(|known| world.account(&known.author));
    wa::WebMessageInfo {
        key: wa::MessageKey {
            remote_jid: key.remote_jid.as_deref().map(by_phone),
            participant: key.participant.as_deref().map(by_phone),
            ..key.clone()
        },
        message: known.map(|known| known.message.clone()),
        message_timestamp: Some(world.now()),
        push_name: author.map(|author| author.name.clone()),
    }
}
