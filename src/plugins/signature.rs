//! Who vouches for a component: Ed25519 signatures in custom sections behind everything else.
//!
//! What is signed is the SHA-256 of the component without its signature sections, under a text of its own, so that a
//! signature serves for nothing else. Signing changes the component's hash and nothing of what it does; several people may
//! sign one component. Whether a signature is asked for, and whose, is the tenant's to say (`signed_by` in its settings).

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use std::fmt;
use wasm_encoder::{CustomSection, Encode};

/// The custom section that holds one signature: 32 bytes of public key, 64 of signature.
pub const SECTION: &str = "rijan-signature";
/// Signatures of one component; one more is refused.
const SIGNATURES_MAX: usize = 16;
const CONTEXT: &[u8] = b"rijan plugin component, version 1\0";
const HEADER_BYTES: usize = 8;
const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
/// Bytes of a number of 32 bits in LEB128.
const LEB_BYTES_MAX: usize = 5;

/// The public half of a key, as 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer([u8; KEY_BYTES]);

impl Signer {
    pub fn parse(text: &str) -> Option<Self> {
        let mut key = [0; KEY_BYTES];
        hex::decode_to_slice(text, &mut key).ok().map(|()| Self(key))
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("its sections do not read")]
    Unreadable,
    #[error("a signature section is not {} bytes", KEY_BYTES + SIGNATURE_BYTES)]
    Length,
    #[error("the signature by {0} is not of this component: it was changed after it was signed")]
    Wrong(String),
    #[error("it has more than {SIGNATURES_MAX} signatures")]
    TooMany,
}

/// Everybody whose signature holds. One that does not hold refuses the component: it says that somebody changed it.
pub fn signers(component: &[u8]) -> Result<Vec<Signer>, BadSignature> {
    let parts = Parts::of(component)?;
    if parts.signatures.len() > SIGNATURES_MAX {
        return Err(BadSignature::TooMany);
    }
    let message = parts.message();
    let mut signers = Vec::new();
    for section in &parts.signatures {
        let (key, signature) = section.split_at_checked(KEY_BYTES).ok_or(BadSignature::Length)?;
        if signature.len() != SIGNATURE_BYTES {
            return Err(BadSignature::Length);
        }
        let signer = Signer(key.try_into().map_err(|_| BadSignature::Length)?);
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&message, signature)
            .map_err(|_| BadSignature::Wrong(signer.to_string()))?;
        if !signers.contains(&signer) {
            signers.push(signer);
        }
    }
    Ok(signers)
}

/// A key to sign with. The seed is the secret.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// `None` when these are not 64 hex digits.
    pub fn parse(seed: &str) -> Option<Self> {
        let mut bytes = zeroize::Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(seed.trim(), bytes.as_mut_slice()).ok()?;
        Ed25519KeyPair::from_seed_unchecked(bytes.as_slice()).ok().map(Self)
    }

    pub fn signer(&self) -> Signer {
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(self.0.public_key().as_ref());
        Signer(key)
    }

    /// The component with this signature added; signing it again by the same key changes nothing.
    pub fn sign(&self, component: &[u8]) -> Result<Vec<u8>, BadSignature> {
        if signers(component)?.contains(&self.signer()) {
            return Ok(component.to_vec());
        }
        let signature = self.0.sign(&Parts::of(component)?.message());
        let data = [&self.signer().0, signature.as_ref()].concat();
        let mut signed = component.to_vec();
        signed.push(0);
        CustomSection { name: SECTION.into(), data: data.into() }.encode(&mut signed);
        Ok(signed)
    }
}

/// A component taken apart at its outermost sections.
struct Parts<'a> {
    rest: Vec<&'a [u8]>,
    signatures: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(component: &'a [u8]) -> Result<Self, BadSignature> {
        let (header, mut left) = component.split_at_checked(HEADER_BYTES).ok_or(BadSignature::Unreadable)?;
        let mut parts = Self { rest: vec![header], signatures: Vec::new() };
        while let Some((id, behind)) = left.split_first() {
            let (size, content) = number(behind)?;
            let (content, next) = content.split_at_checked(size).ok_or(BadSignature::Unreadable)?;
            match (*id == 0).then(|| named(content)).transpose()? {
                Some((name, data)) if name == SECTION.as_bytes() => parts.signatures.push(data),
                _ => parts.rest.push(&left[..left.len() - next.len()]),
            }
            left = next;
        }
        Ok(parts)
    }

    fn message(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        self.rest.iter().for_each(|part| hash.update(part));
        [CONTEXT, hash.finalize().as_slice()].concat()
    }
}

/// Name and data of a custom section.
fn named(content: &[u8]) -> Result<(&[u8], &[u8]), BadSignature> {
    let (length, behind) = number(content)?;
    behind.split_at_checked(length).ok_or(BadSignature::Unreadable)
}

/// An unsigned LEB128 number of 32 bits, and what is behind it.
fn number(bytes: &[u8]) -> Result<(usize, &[u8]), BadSignature> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().take(LEB_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| BadSignature::Unreadable)?;
            return Ok((value as usize, &bytes[place + 1..]));
        }
    }
    Err(BadSignature::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component() -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.push(0);
        CustomSection { name: "rijan-manifest".into(), data: b"{}".as_slice().into() }.encode(&mut bytes);
        bytes
    }

    fn key(digit: char) -> SigningKey {
        SigningKey::parse(&digit.to_string().repeat(64)).expect("a key")
    }

    #[test]
    fn several_may_sign_and_each_is_known_again() {
        let (ana, budi) = (key('1'), key('2'));
        assert_eq!(signers(&component()), Ok(vec![]));

        let signed = budi.sign(&ana.sign(&component()).expect("signs")).expect("signs");

        assert_eq!(signers(&signed), Ok(vec![ana.signer(), budi.signer()]));
        assert_eq!(ana.sign(&signed).as_ref(), Ok(&signed), "once is enough");
        assert_eq!(Signer::parse(&ana.signer().to_string()), Some(ana.signer()));
    }

    #[test]
    fn a_change_after_signing_shows() {
        let mut signed = key('1').sign(&component()).expect("signs");
        let place = signed.windows(2).position(|two| two == b"{}").expect("the manifest");
        signed[place] = b'[';

        assert!(matches!(signers(&signed), Err(BadSignature::Wrong(_))));
        let mut longer = key('1').sign(&component()).expect("signs");
        longer.push(0);
        CustomSection { name: "more".into(), data: b"x".as_slice().into() }.encode(&mut longer);
        assert!(matches!(signers(&longer), Err(BadSignature::Wrong(_))));
    }

    #[test]
    fn what_does_not_read_is_refused_and_never_panics() {
        let signed = key('1').sign(&component()).expect("signs");
        for end in 0..signed.len() {
            let _ = signers(&signed[..end]);
        }
        for size in [[0xff, 0xff, 0xff, 0xff, 0x0f], [0x80, 0x80, 0x80, 0x80, 0x80]] {
            let bytes = [b"\0asm\x0d\0\x01\0".as_slice(), &[0], &size].concat();
            assert_eq!(signers(&bytes), Err(BadSignature::Unreadable));
        }
    }
}
