//! Attachments as phones seal them: a random key per file, expanded with HKDF under a name per kind into iv, cipher key
//! and MAC key; AES-256-CBC; ten bytes of HMAC-SHA256 over iv and ciphertext behind it.

use aes::Aes256;
use anyhow::{Context, Result, anyhow, ensure};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};

const MAC_BYTES: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    #[serde(skip)]
    History,
    #[serde(skip)]
    AppState,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
            Self::History => "history",
            Self::AppState => "app-state",
        }
    }

    /// The part of the media host it is kept in.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Image | Self::Sticker => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::History => "md-msg-hist",
            Self::AppState => "md-app-state",
        }
    }

    pub(crate) fn usual_mime(self) -> &'static str {
        match self {
            Self::Image => "image/jpeg",
            Self::Video => "video/mp4",
            Self::Audio => "audio/ogg; codecs=opus",
            Self::Sticker => "image/webp",
            Self::Document | Self::History | Self::AppState => "application/octet-stream",
        }
    }

    fn key_name(self) -> &'static [u8] {
        match self {
            Self::Image | Self::Sticker => b"WhatsApp Image Keys",
            Self::Video => b"WhatsApp Video Keys",
            Self::Audio => b"WhatsApp Audio Keys",
            Self::Document => b"WhatsApp Document Keys",
            Self::History => b"WhatsApp History Keys",
            Self::AppState => b"WhatsApp App State Keys",
        }
    }
}

/// A sealed file, and what its message says about it.
pub(crate) struct Sealed {
    pub(crate) key: [u8; 32],
    pub(crate) sha256: [u8; 32],
    pub(crate) sealed_sha256: [u8; 32],
    pub(crate) length: u64,
    /// Where the media host keeps it.
    pub(crate) path: String,
    pub(crate) blob: Vec<u8>,
}

pub(crate) fn seal(kind: Kind, file: &[u8]) -> Result<Sealed> {
    let key: [u8; 32] = rand::random();
    let keys = Keys::of(kind, &key)?;
    let cipher = cbc::Encryptor::<Aes256>::new(&keys.cipher.into(), &keys.iv.into());
    let mut blob = cipher.encrypt_padded_vec::<Pkcs7>(file);
    let mac = keys.mac(&blob)?;
    blob.extend_from_slice(&mac);
    let sealed_sha256: [u8; 32] = Sha256::digest(&blob).into();
    Ok(Sealed {
        key,
        sha256: Sha256::digest(file).into(),
        sealed_sha256,
        length: u64::try_from(file.len())?,
        path: format!("/v/{}/{}", kind.folder(), hex::encode(sealed_sha256)),
        blob,
    })
}

/// Opens what was downloaded, and checks all that its message says about it.
pub(crate) fn open(kind: Kind, key: &[u8], sha256: &[u8], sealed_sha256: &[u8], blob: &[u8]) -> Result<Vec<u8>> {
    ensure!(Sha256::digest(blob)[..] == *sealed_sha256, "the sealed file has another hash than the message says");
    let keys = Keys::of(kind, key)?;
    let sealed = blob.len().checked_sub(MAC_BYTES).context("the sealed file is too short")?;
    let (sealed, mac) = blob.split_at(sealed);
    ensure!(keys.mac(sealed)? == mac, "the sealed file was changed");
    let cipher = cbc::Decryptor::<Aes256>::new(&keys.cipher.into(), &keys.iv.into());
    let file = cipher.decrypt_padded_vec::<Pkcs7>(sealed).map_err(|_| anyhow!("the file does not open"))?;
    ensure!(Sha256::digest(&file)[..] == *sha256, "the file has another hash than the message says");
    Ok(file)
}

struct Keys {
    iv: [u8; 16],
    cipher: [u8; 32],
    mac: [u8; 32],
}

impl Keys {
    fn of(kind: Kind, key: &[u8]) -> Result<Self> {
        ensure!(key.len() == 32, "the media key is not 32 bytes");
        let mut all = [0; 112];
        hkdf::Hkdf::<Sha256>::new(None, key)
            .expand(kind.key_name(), &mut all)
            .map_err(|_| anyhow!("key derivation"))?;
        Ok(Self { iv: all[..16].try_into()?, cipher: all[16..48].try_into()?, mac: all[48..80].try_into()? })
    }

    fn mac(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.mac).map_err(|_| anyhow!("bad MAC key"))?;
        mac.update(&self.iv);
        mac.update(sealed);
        Ok(mac.finalize().into_bytes()[..MAC_BYTES].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_opens_with_its_own_keys_and_not_when_a_byte_was_changed() {
        let sealed = seal(Kind::Video, b"moving pictures").expect("seals");
        let open = |kind, blob: &[u8]| open(kind, &sealed.key, &sealed.sha256, &Sha256::digest(blob), blob).ok();

        assert_eq!(open(Kind::Video, &sealed.blob).as_deref(), Some(&b"moving pictures"[..]));
        assert_eq!(open(Kind::Image, &sealed.blob), None);
        let mut changed = sealed.blob.clone();
        changed[3] ^= 1;
        assert_eq!(open(Kind::Video, &changed), None);
    }
}
