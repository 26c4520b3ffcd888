//! The account's name, as its phone writes it into the app state: the first patch of a collection, sealed with the
//! account's own key. A client waits for it after linking, and again at every login until it has it.
//!
//! Layout as the official clients have it: the key is expanded with HKDF ("WhatsApp Mutation Keys") into five keys; a value
//! is iv, AES-256-CBC ciphertext and HMAC-SHA512 (cut to 32 bytes); a collection's hash sums its value MACs, expanded with
//! HKDF ("WhatsApp Patch Integrity"), as 64 little-endian 16-bit numbers.

use crate::wa;
use aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use prost::Message as _;
use sha2::{Sha256, Sha512};

pub(crate) const COLLECTION: &str = "critical_block";
const INDEX: &[u8] = br#"["setting_pushName"]"#;
const ACTION_VERSION: i32 = 1;
/// Operation SET; the MAC counts operations from one.
const SET: i32 = 0;
const SET_IN_MAC: u8 = 1;

/// The patch that makes version 1 of the collection.
pub(crate) fn patch(name: &str, key_id: &[u8], key: &[u8], now: u64) -> Vec<u8> {
    let expanded = expand::<160>(key, b"WhatsApp Mutation Keys");
    let part = |index: usize| &expanded[index * 32..(index + 1) * 32];
    let (index_key, value_key, value_mac_key, snapshot_key, patch_key) = (part(0), part(1), part(2), part(3), part(4));

    let value = wa::SyncActionValue {
        timestamp: Some(i64::try_from(now).unwrap_or(0) * 1_000),
        push_name_setting: Some(wa::PushNameSetting { name: Some(name.to_owned()) }),
    };
    let action = wa::SyncActionData {
        index: Some(INDEX.to_vec()),
        value: Some(value),
        padding: Some(Vec::new()),
        version: Some(ACTION_VERSION),
    };
    let iv: [u8; 16] = rand::random();
    let mut cipher_key = [0; 32];
    cipher_key.copy_from_slice(value_key);
    let cipher = cbc::Encryptor::<Aes256>::new(&cipher_key.into(), &iv.into());
    let content = [&iv[..], &cipher.encrypt_padded_vec::<Pkcs7>(&action.encode_to_vec())].concat();
    let associated_length = u64::try_from(key_id.len() + 1).unwrap_or(0).to_be_bytes();
    let mut value_mac = mac512(value_mac_key, &[&[SET_IN_MAC], key_id, &content, &associated_length]);
    value_mac.truncate(32);

    let version = 1_u64.to_be_bytes();
    // A sum of one MAC is that MAC's own expansion.
    let hash = expand::<128>(&value_mac, b"WhatsApp Patch Integrity");
    let snapshot_mac = mac256(snapshot_key, &[&hash, &version, COLLECTION.as_bytes()]);
    let patch_mac = mac256(patch_key, &[&snapshot_mac, &value_mac, &version, COLLECTION.as_bytes()]);
    let id = || Some(wa::KeyId { id: Some(key_id.to_vec()) });
    let record = wa::SyncdRecord {
        index: Some(wa::Blob { blob: Some(mac256(index_key, &[INDEX])) }),
        value: Some(wa::Blob { blob: Some([content, value_mac].concat()) }),
        key_id: id(),
    };
    wa::SyncdPatch {
        version: Some(wa::SyncdVersion { version: Some(1) }),
        mutations: vec![wa::SyncdMutation { operation: Some(SET), record: Some(record) }],
        snapshot_mac: Some(snapshot_mac),
        patch_mac: Some(patch_mac),
        key_id: id(),
        external_mutations: None,
    }
    .encode_to_vec()
}

pub(crate) fn expand<const N: usize>(key: &[u8], info: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    // HKDF refuses only outputs beyond 8,160 bytes.
    let _ = Hkdf::<Sha256>::new(None, key).expand(info, &mut out);
    out
}

/// HMAC takes keys of any length; the error of the interface does not happen.
pub(crate) fn mac256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn mac512(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = <Hmac<Sha512> as KeyInit>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}
