//! What a phone writes into the app state: one setting, as a patch of its collection, sealed with the account's own key.
//!
//! Layout as the official clients have it: the key is expanded with HKDF ("WhatsApp Mutation Keys") into five keys; a value
//! is iv, AES-256-CBC ciphertext and HMAC-SHA512 (cut to 32 bytes); a collection's hash sums its value MACs, expanded with
//! HKDF ("WhatsApp Patch Integrity"), as 64 little-endian 16-bit numbers.

use crate::snapshot::{self, Records};
use crate::wa;
use aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use prost::Message as _;
use sha2::{Sha256, Sha512};

/// Operation SET; the MAC counts operations from one.
const SET: i32 = 0;
const SET_IN_MAC: u8 = 1;

/// One setting, by the place of it.
pub(crate) struct Setting<'a> {
    pub(crate) collection: &'a str,
    /// A JSON array of texts.
    pub(crate) index: &'a [u8],
    /// Of this kind of setting, as the official clients number it.
    pub(crate) action_version: i32,
    pub(crate) value: wa::SyncActionValue,
}

impl Setting<'_> {
    /// The patch that makes this version of the collection, which had these records before.
    pub(crate) fn patch(self, version: u64, mut records: Records, key_id: &[u8], key: &[u8]) -> Vec<u8> {
        let expanded = expand::<160>(key, b"WhatsApp Mutation Keys");
        let part = |index: usize| &expanded[index * 32..(index + 1) * 32];
        let (index_key, value_key, value_mac_key, snapshot_key, patch_key) =
            (part(0), part(1), part(2), part(3), part(4));

        let action = wa::SyncActionData {
            index: Some(self.index.to_vec()),
            value: Some(self.value),
            padding: Some(Vec::new()),
            version: Some(self.action_version),
        };
        let iv: [u8; 16] = rand::random();
        let mut cipher_key = [0; 32];
        cipher_key.copy_from_slice(value_key);
        let cipher = cbc::Encryptor::<Aes256>::new(&cipher_key.into(), &iv.into());
        let content = [&iv[..], &cipher.encrypt_padded_vec::<Pkcs7>(&action.encode_to_vec())].concat();
        let associated_length = u64::try_from(key_id.len() + 1).unwrap_or(0).to_be_bytes();
        let mut value_mac = mac512(value_mac_key, &[&[SET_IN_MAC], key_id, &content, &associated_length]);
        value_mac.truncate(32);

        let id = || Some(wa::KeyId { id: Some(key_id.to_vec()) });
        let index_mac = mac256(index_key, &[self.index]);
        let record = wa::SyncdRecord {
            index: Some(wa::Blob { blob: Some(index_mac.clone()) }),
            value: Some(wa::Blob { blob: Some([content, value_mac.clone()].concat()) }),
            key_id: id(),
        };
        records.insert(index_mac, record.clone());
        let (hash, number) = (snapshot::sum(records.values()), version.to_be_bytes());
        let snapshot_mac = mac256(snapshot_key, &[&hash, &number, self.collection.as_bytes()]);
        let patch_mac = mac256(patch_key, &[&snapshot_mac, &value_mac, &number, self.collection.as_bytes()]);
        wa::SyncdPatch {
            version: Some(wa::SyncdVersion { version: Some(version) }),
            mutations: vec![wa::SyncdMutation { operation: Some(SET), record: Some(record) }],
            snapshot_mac: Some(snapshot_mac),
            patch_mac: Some(patch_mac),
            key_id: id(),
            external_mutations: None,
        }
        .encode_to_vec()
    }
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
