//! A simulated Signal device: its keys, its in-memory stores, encrypt and decrypt.

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use std::collections::HashMap;
use wacore_libsignal::protocol::*;
use wacore_libsignal::store::sender_key_name::SenderKeyName;

pub(crate) type SResult<T> = std::result::Result<T, SignalProtocolError>;

/// Send-able generator, for the calls that hold it across an await.
fn rng() -> rand::rngs::StdRng {
    rand::make_rng()
}

fn addr(key: &str) -> ProtocolAddress {
    ProtocolAddress::new(key, DeviceId::new(0))
}

#[derive(Default)]
pub(crate) struct Sessions(pub(crate) HashMap<String, SessionRecord>);
pub(crate) struct Identity {
    pub(crate) pair: IdentityKeyPair,
    pub(crate) reg_id: u32,
    pub(crate) seen: HashMap<String, IdentityKey>,
}
#[derive(Default)]
pub(crate) struct PreKeys(pub(crate) HashMap<u32, PreKeyRecord>);
pub(crate) struct SignedPreKeys(pub(crate) HashMap<u32, SignedPreKeyRecord>);
#[derive(Default)]
pub(crate) struct SenderKeys(pub(crate) HashMap<String, SenderKeyRecord>);

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, a: &ProtocolAddress) -> SResult<Option<SessionRecord>> {
        Ok(self.0.get(a.name()).cloned())
    }
    async fn has_session(&self, a: &ProtocolAddress) -> SResult<bool> {
        Ok(self.0.contains_key(a.name()))
    }
    async fn store_session(&mut self, a: &ProtocolAddress, r: SessionRecord) -> SResult<()> {
        self.0.insert(a.name().to_string(), r);
        Ok(())
    }
}

#[async_trait]
impl IdentityKeyStore for Identity {
    async fn get_identity_key_pair(&self) -> SResult<IdentityKeyPair> {
        Ok(self.pair.clone())
    }
    async fn get_local_registration_id(&self) -> SResult<u32> {
        Ok(self.reg_id)
    }
    async fn save_identity(&mut self, a: &ProtocolAddress, k: &IdentityKey) -> SResult<IdentityChange> {
        Ok(match self.seen.insert(a.name().to_string(), *k) {
            Some(old) if old != *k => IdentityChange::ReplacedExisting,
            _ => IdentityChange::NewOrUnchanged,
        })
    }
    async fn is_trusted_identity(&self, _: &ProtocolAddress, _: &IdentityKey, _: Direction) -> SResult<bool> {
        Ok(true)
    }
    async fn get_identity(&self, a: &ProtocolAddress) -> SResult<Option<IdentityKey>> {
        Ok(self.seen.get(a.name()).copied())
    }
}

#[async_trait]
impl PreKeyStore for PreKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> SResult<PreKeyRecord> {
        self.0.get(&id.into()).cloned().ok_or(SignalProtocolError::InvalidPreKeyId)
    }
    async fn save_pre_key(&mut self, id: PreKeyId, r: &PreKeyRecord) -> SResult<()> {
        self.0.insert(id.into(), r.clone());
        Ok(())
    }
    async fn remove_pre_key(&mut self, id: PreKeyId) -> SResult<()> {
        self.0.remove(&u32::from(id));
        Ok(())
    }
}

#[async_trait]
impl SignedPreKeyStore for SignedPreKeys {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> SResult<SignedPreKeyRecord> {
        self.0.get(&id.into()).cloned().ok_or(SignalProtocolError::InvalidSignedPreKeyId)
    }
    async fn save_signed_pre_key(&mut self, id: SignedPreKeyId, r: &SignedPreKeyRecord) -> SResult<()> {
        self.0.insert(id.into(), r.clone());
        Ok(())
    }
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(&mut self, n: &SenderKeyName, r: SenderKeyRecord) -> SResult<()> {
        self.0.insert(n.cache_key().to_string(), r);
        Ok(())
    }
    async fn load_sender_key(&self, n: &SenderKeyName) -> SResult<Option<SenderKeyRecord>> {
        Ok(self.0.get(n.cache_key()).cloned())
    }
}

/// Public half of a device's key bundle, as the server hands it out.
#[derive(Clone)]
pub(crate) struct Bundle {
    pub(crate) reg_id: u32,
    pub(crate) identity: [u8; 32],
    pub(crate) skey: (u32, [u8; 32], Vec<u8>),
    pub(crate) prekey: Option<(u32, [u8; 32])>,
}

pub(crate) struct SignalDevice {
    pub(crate) sessions: Sessions,
    pub(crate) identity: Identity,
    pub(crate) prekeys: PreKeys,
    pub(crate) skeys: SignedPreKeys,
    pub(crate) sender_keys: SenderKeys,
    skey: (u32, [u8; 32], Vec<u8>),
    next_prekey: u32,
}

impl SignalDevice {
    pub(crate) fn generate() -> Self {
        let mut rng = rand::rng();
        let pair = IdentityKeyPair::generate(&mut rng);
        let sk = KeyPair::generate(&mut rng);
        let sig = pair.private_key().calculate_signature(&sk.public_key.serialize(), &mut rng).expect("sign");
        let rec = SignedPreKeyRecord::new(1.into(), Timestamp::from_epoch_millis(1), &sk, &sig);
        Self {
            sessions: Default::default(),
            identity: Identity { pair, reg_id: 4242, seen: HashMap::new() },
            prekeys: Default::default(),
            skeys: SignedPreKeys(HashMap::from([(1, rec)])),
            sender_keys: Default::default(),
            skey: (1, crate::noise::public_key(&sk), sig.to_vec()),
            next_prekey: 1,
        }
    }

    pub(crate) fn identity_pub(&self) -> [u8; 32] {
        self.identity.pair.public_key().public_key_bytes().try_into().expect("32")
    }

    /// Bundle with a freshly minted one-time prekey.
    pub(crate) fn bundle(&mut self) -> Bundle {
        let id = self.next_prekey;
        self.next_prekey += 1;
        let kp = crate::noise::new_keypair();
        self.prekeys.0.insert(id, PreKeyRecord::new(id.into(), &kp));
        Bundle {
            reg_id: self.identity.reg_id,
            identity: self.identity_pub(),
            skey: self.skey.clone(),
            prekey: Some((id, crate::noise::public_key(&kp))),
        }
    }

    pub(crate) fn has_session(&self, peer: &str) -> bool {
        self.sessions.0.contains_key(peer)
    }

    pub(crate) fn forget_session(&mut self, peer: &str) {
        self.sessions.0.remove(peer);
    }

    pub(crate) async fn start_session(&mut self, peer: &str, b: &Bundle) -> Result<()> {
        let bundle = PreKeyBundle::new(
            b.reg_id,
            DeviceId::new(0),
            match b.prekey {
                Some((id, k)) => Some((id.into(), PublicKey::from_djb_public_key_bytes(&k)?)),
                None => None,
            },
            b.skey.0.into(),
            PublicKey::from_djb_public_key_bytes(&b.skey.1)?,
            b.skey.2.clone(),
            IdentityKey::new(PublicKey::from_djb_public_key_bytes(&b.identity)?),
        )?;
        process_prekey_bundle(
            &addr(peer),
            &mut self.sessions,
            &mut self.identity,
            &bundle,
            &mut rng(),
            UsePQRatchet::No,
        )
        .await?;
        Ok(())
    }

    /// Returns (enc type, ciphertext).
    pub(crate) async fn encrypt(&mut self, peer: &str, padded: &[u8]) -> Result<(&'static str, Vec<u8>)> {
        let m = message_encrypt(padded, &addr(peer), &mut self.sessions, &mut self.identity).await?;
        let kind = match m.message_type() {
            CiphertextMessageType::PreKey => "pkmsg",
            CiphertextMessageType::Whisper => "msg",
            other => return Err(anyhow!("unexpected {other:?}")),
        };
        Ok((kind, m.serialize().to_vec()))
    }

    pub(crate) async fn decrypt(&mut self, peer: &str, kind: &str, data: &[u8]) -> Result<Vec<u8>> {
        let msg = match kind {
            "pkmsg" => CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(data)?),
            "msg" => CiphertextMessage::SignalMessage(SignalMessage::try_from(data)?),
            k => return Err(anyhow!("cannot pairwise-decrypt {k}")),
        };
        let r = message_decrypt(
            &msg,
            &addr(peer),
            &mut self.sessions,
            &mut self.identity,
            &mut self.prekeys,
            &self.skeys,
            &mut rng(),
            UsePQRatchet::No,
        )
        .await?;
        if let Some(id) = r.consumed_prekey_id {
            self.prekeys.0.remove(&u32::from(id));
        }
        Ok(r.plaintext)
    }

    pub(crate) async fn learn_sender_key(&mut self, group: &str, peer: &str, skdm: &[u8]) -> Result<()> {
        let m = SenderKeyDistributionMessage::try_from(skdm)?;
        process_sender_key_distribution_message(&SenderKeyName::from_parts(group, peer), &m, &mut self.sender_keys)
            .await?;
        Ok(())
    }

    pub(crate) async fn group_decrypt(&mut self, group: &str, peer: &str, data: &[u8]) -> Result<Vec<u8>> {
        Ok(group_decrypt(data, &mut self.sender_keys, &SenderKeyName::from_parts(group, peer)).await?)
    }

    pub(crate) async fn own_skdm(&mut self, group: &str) -> Result<Vec<u8>> {
        let m = create_sender_key_distribution_message(
            &SenderKeyName::from_parts(group, "self"),
            &mut self.sender_keys,
            &mut rng(),
        )
        .await?;
        Ok(m.serialized().to_vec())
    }

    pub(crate) async fn group_encrypt(&mut self, group: &str, padded: &[u8]) -> Result<Vec<u8>> {
        let m =
            group_encrypt(&mut self.sender_keys, &SenderKeyName::from_parts(group, "self"), padded, &mut rng()).await?;
        Ok(m.serialized().to_vec())
    }
}
