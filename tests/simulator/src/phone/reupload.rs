//! A file that the media host has no more: a linked device asks, and its phone puts the file there again, under another path.
//! Request and answer are sealed under a key that comes from the file's own (HKDF-SHA256, AES-256-GCM, bound to the message's id).

use crate::connection::Session;
use crate::display::File;
use crate::message::content;
use crate::node::{attr, child, child_body, leaf};
use crate::wa;
use crate::world::World;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use anyhow::{Context, Result, anyhow, ensure};
use prost::Message as _;
use sha2::Sha256;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

/// What an error says of a file that the phone has no more either.
const NOT_FOUND: &str = "2";

pub(crate) fn upload_again(world: &World, session: &Session, receipt: &Node) -> Result<()> {
    let id = attr(receipt, "id");
    let known = session.account.state().book.get(&id).with_context(|| format!("this phone knows no {id}"))?;
    let file = File::of(content(&known.message)).with_context(|| format!("{id} has no file"))?;
    let asked = child(receipt, "encrypt").context("a request without what is sealed")?;
    let part = |name: &str| child_body(asked, name).with_context(|| format!("a request without {name}"));
    let cipher = cipher(file.key)?;
    let iv: [u8; 12] = part("enc_iv")?.as_slice().try_into()?;
    let sealed = part("enc_p")?;
    let plain = cipher
        .decrypt(&Nonce::from(iv), Payload { msg: &sealed, aad: id.as_bytes() })
        .map_err(|_| anyhow!("a request that does not open"))?;
    let named = wa::ServerErrorReceipt::decode(&plain[..])?;
    ensure!(named.stanza_id() == id, "a request for another message");
    let rmr = child(receipt, "rmr").context("a request that names no chat")?;
    let answer = NodeBuilder::new("notification")
        .attr("type", "mediaretry")
        .attr("id", id.clone())
        .attr("from", session.account.phone_jid(0))
        .attr("t", world.now());
    let answer = match world.revive_file(file.path) {
        None => answer.children([NodeBuilder::new("error").attr("code", NOT_FOUND).build(), rmr.clone()]),
        Some(path) => {
            let news = wa::MediaRetryNotification {
                stanza_id: Some(id.clone()),
                direct_path: Some(path),
                result: Some(wa::media_retry_notification::ResultType::Success.into()),
            };
            let iv: [u8; 12] = rand::random();
            let sealed = cipher
                .encrypt(&Nonce::from(iv), Payload { msg: &news.encode_to_vec(), aad: id.as_bytes() })
                .map_err(|_| anyhow!("the answer does not seal"))?;
            let parts = [leaf("enc_p", sealed), leaf("enc_iv", iv.to_vec())];
            answer.children([NodeBuilder::new("encrypt").children(parts).build(), rmr.clone()])
        }
    };
    world.deliver(&session.account, session.device, answer.build());
    Ok(())
}

fn cipher(key: &[u8]) -> Result<Aes256Gcm> {
    let mut derived = [0; 32];
    hkdf::Hkdf::<Sha256>::new(None, key)
        .expand(b"WhatsApp Media Retry Notification", &mut derived)
        .map_err(|_| anyhow!("key derivation"))?;
    Ok(Aes256Gcm::new(&derived.into()))
}
