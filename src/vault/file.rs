//! Sealing a file in pieces, so that any of them opens by itself: AES-256-GCM under a key of the file's own.
//!
//! The nonce is the number of the piece and whether it is the last one (the STREAM construction of Hoang, Reyhanitabar,
//! Rogaway and Vizár): pieces cannot change places, a file cannot be cut short, and a piece of one file opens in no other.

use super::{Corrupt, Vault};
use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What sealing adds to a piece.
pub const TAG_BYTES: usize = 16;
pub const SALT_BYTES: usize = 32;

pub struct FileCipher(Aes256Gcm);

impl Vault {
    /// The key of one file of one owner. `salt` is random and new whenever the file is written anew, and stands in front of it.
    pub fn file_cipher(&self, owner: &str, file: &str, salt: &[u8; SALT_BYTES]) -> FileCipher {
        let kdf = Hkdf::<Sha256>::new(Some(salt), self.root.as_slice());
        let mut key = Zeroizing::new([0_u8; 32]);
        // HKDF refuses only outputs beyond 8,160 bytes.
        let info: [&[u8]; 4] = [b"rijan file ", owner.as_bytes(), b" ", file.as_bytes()];
        let _ = kdf.expand_multi_info(&info, key.as_mut_slice());
        FileCipher(Aes256Gcm::new((&*key).into()))
    }
}

impl FileCipher {
    pub fn seal(&self, number: u32, last: bool, plain: &[u8]) -> Vec<u8> {
        // AES-GCM refuses only plaintexts beyond 64 GiB; an empty ciphertext would not open again.
        self.0.encrypt(&nonce(number, last), plain).unwrap_or_default()
    }

    pub fn open(&self, number: u32, last: bool, sealed: &[u8]) -> Result<Vec<u8>, Corrupt> {
        self.0.decrypt(&nonce(number, last), sealed).map_err(|_| Corrupt)
    }
}

fn nonce(number: u32, last: bool) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    nonce[7..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::from(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    #[test]
    fn a_piece_opens_in_its_place_and_file_only() {
        let (vault, _) = Vault::create(&Secret::new("master"));
        let cipher = vault.file_cipher("tenant_1", "media_1", &[1; SALT_BYTES]);
        let sealed = cipher.seal(3, false, b"a piece");

        assert_eq!(cipher.open(3, false, &sealed).as_deref(), Ok(&b"a piece"[..]));
        assert_eq!(cipher.open(4, false, &sealed), Err(Corrupt));
        assert_eq!(cipher.open(3, true, &sealed), Err(Corrupt));
        for (owner, file, salt) in [("tenant_2", "media_1", 1), ("tenant_1", "media_2", 1), ("tenant_1", "media_1", 2)]
        {
            let other = vault.file_cipher(owner, file, &[salt; SALT_BYTES]);
            assert_eq!(other.open(3, false, &sealed), Err(Corrupt), "{owner} {file} {salt}");
        }
    }
}
