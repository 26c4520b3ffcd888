//! A collection of the app state in one file, for a device that has nothing of it yet: the phone makes it of all patches
//! and seals it; the collection's answer refers to it.

use crate::attachment::{self, Kind, Sealed};
use crate::patch::{expand, mac256};
use crate::wa;
use anyhow::Result;
use prost::Message as _;
use std::collections::BTreeMap;

/// Fewer patches than this are given one by one.
pub(crate) const SNAPSHOT_PATCHES_MIN: usize = 10;
/// Operation REMOVE.
const REMOVE: i32 = 1;
const VALUE_MAC_BYTES: usize = 32;

/// The records of a collection, by index.
pub(crate) type Records = BTreeMap<Vec<u8>, wa::SyncdRecord>;

/// What the patches come to. Nothing when they cannot be put together: some of them are in files of their own.
pub(crate) fn records(patches: &[Vec<u8>]) -> Result<Option<Records>> {
    let mut records = Records::new();
    for patch in patches {
        let patch = wa::SyncdPatch::decode(&patch[..])?;
        if patch.external_mutations.is_some() {
            return Ok(None);
        }
        for mutation in patch.mutations {
            let Some(record) = mutation.record else { continue };
            let index = record.index.as_ref().map(|index| index.blob().to_vec()).unwrap_or_default();
            if mutation.operation == Some(REMOVE) {
                records.remove(&index);
            } else {
                records.insert(index, record);
            }
        }
    }
    Ok(Some(records))
}

/// Nothing when there are no [`records`].
pub(crate) fn of(name: &str, version: u64, patches: &[Vec<u8>], key_id: &[u8], key: &[u8]) -> Result<Option<Sealed>> {
    let Some(records) = records(patches)? else { return Ok(None) };
    let keys = expand::<160>(key, b"WhatsApp Mutation Keys");
    let hash = sum(records.values());
    let snapshot = wa::SyncdSnapshot {
        version: Some(wa::SyncdVersion { version: Some(version) }),
        mac: Some(mac256(&keys[96..128], &[&hash, &version.to_be_bytes(), name.as_bytes()])),
        records: records.into_values().collect(),
        key_id: Some(wa::KeyId { id: Some(key_id.to_vec()) }),
    };
    attachment::seal(Kind::AppState, &snapshot.encode_to_vec()).map(Some)
}

/// What refers to the file.
pub(crate) fn reference(sealed: &Sealed) -> Vec<u8> {
    wa::ExternalBlobReference {
        media_key: Some(sealed.key.to_vec()),
        direct_path: Some(sealed.path.clone()),
        file_size_bytes: Some(sealed.length),
        file_sha256: Some(sealed.sha256.to_vec()),
        file_enc_sha256: Some(sealed.sealed_sha256.to_vec()),
    }
    .encode_to_vec()
}

/// The value MACs, each expanded to 64 little-endian 16-bit numbers, summed number by number.
pub(crate) fn sum<'a>(records: impl Iterator<Item = &'a wa::SyncdRecord>) -> [u8; 128] {
    let mut hash = [0_u8; 128];
    for record in records {
        let value = record.value.as_ref().map(wa::Blob::blob).unwrap_or_default();
        let mac = &value[value.len().saturating_sub(VALUE_MAC_BYTES)..];
        let expanded = expand::<128>(mac, b"WhatsApp Patch Integrity");
        for (sum, add) in hash.chunks_exact_mut(2).zip(expanded.chunks_exact(2)) {
            let total = u16::from_le_bytes([sum[0], sum[1]]).wrapping_add(u16::from_le_bytes([add[0], add[1]]));
            sum.copy_from_slice(&total.to_le_bytes());
        }
    }
    hash
}
