//! Linking a device: what the phone does when a person scans a QR code or types a code.

use crate::account::Account;
use crate::companion::Companion;
use crate::line::Line;
use crate::node::{key32, leaf, message_id, server_jid, uint};
use crate::noise::{new_keypair, public_key};
use crate::wa;
use crate::world::World;
use aes::Aes256;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, Mac};
use prost::Message as _;
use sha2::Sha256;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::{KeyPair, PublicKey};

/// Rounds of the code's key derivation, as the official clients use them.
const CODE_ROUNDS: u32 = 131_072;

/// A client that waits to be paired.
pub(crate) struct PendingPair {
    pub(crate) line: Line,
    pub(crate) noise_key: [u8; 32],
    pub(crate) registration: wa::DevicePairingRegistrationData,
    pub(crate) refs: Vec<String>,
    /// Phone number, pairing reference and wrapped ephemeral key, once a code was asked for.
    pub(crate) code: Option<(String, Vec<u8>, Vec<u8>)>,
    /// Wrapped key bundle and identity, once the code was answered.
    pub(crate) finish: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) done: Option<(String, u16)>,
}

/// A reference that stands in one QR code.
pub(crate) fn fresh_ref() -> String {
    format!("2@{}", BASE64.encode(public_key(&new_keypair())))
}

/// What a QR code carries: reference, noise key, identity key, secret.
pub(crate) struct Scanned {
    reference: String,
    noise_key: [u8; 32],
    identity: [u8; 32],
    secret: Vec<u8>,
}

pub(crate) fn read_qr(text: &str) -> Result<Scanned> {
    let fields: Vec<&str> = text.rsplit('#').next().unwrap_or(text).split(',').collect();
    let [reference, noise_key, identity, secret, ..] = fields.as_slice() else {
        return Err(anyhow!("qr has fewer than four parts"));
    };
    Ok(Scanned {
        reference: (*reference).to_owned(),
        noise_key: key32(BASE64.decode(noise_key)?)?,
        identity: key32(BASE64.decode(identity)?)?,
        secret: BASE64.decode(secret)?,
    })
}

/// The account's phone scans a code; returns the number of the new device.
pub(crate) fn scan(world: &World, account: &Account, scanned: &Scanned) -> Result<u16> {
    let connection = {
        let pending = world.pending();
        let waits = |pair: &PendingPair| pair.refs.contains(&scanned.reference);
        let (connection, pair) =
            pending.iter().find(|(_, pair)| waits(pair)).context("qr is not of a client that waits")?;
        ensure!(pair.noise_key == scanned.noise_key, "qr names another noise key than the client's");
        *connection
    };
    finish(world, account, connection, scanned.identity, &scanned.secret)
}

/// The phone answers a client that asked for a code; returns its connection and ephemeral key, and the phone's own.
pub(crate) fn answer_code(world: &World, account: &Account, code: &str) -> Result<(u64, [u8; 32], KeyPair)> {
    let ephemeral = new_keypair();
    let (connection, line, reference, wrapped) = world
        .pending()
        .iter()
        .find_map(|(id, pair)| {
            let (phone, reference, wrapped) = pair.code.as_ref()?;
            (*phone == account.number).then(|| (*id, pair.line.clone(), reference.clone(), wrapped.clone()))
        })
        .context("no client waits with a code for this phone")?;
    let theirs = unwrap_ephemeral(&wrapped, code)?;
    let hello = NodeBuilder::new("link_code_companion_reg").attr("stage", "primary_hello").children([
        leaf("link_code_pairing_wrapped_primary_ephemeral_pub", wrap_ephemeral(&public_key(&ephemeral), code)),
        leaf("primary_identity_pub", account.identity_key()),
        leaf("link_code_pairing_ref", reference),
    ]);
    let notification = NodeBuilder::new("notification")
        .attr("from", server_jid())
        .attr("type", "link_code_companion_reg")
        .attr("id", message_id())
        .attr("t", world.now())
        .children([hello.build()])
        .build();
    line.send(notification);
    Ok((connection, theirs, ephemeral))
}

/// The client's key bundle has come: open it, derive the secret, link.
pub(crate) fn finish_code(
    world: &World,
    account: &Account,
    connection: u64,
    theirs: &[u8; 32],
    ephemeral: &KeyPair,
    bundle: &[u8],
    identity: Vec<u8>,
) -> Result<u16> {
    let identity = key32(identity)?;
    let shared = agree(ephemeral, theirs)?;
    ensure!(bundle.len() > 44, "key bundle is too short");
    let key = hkdf(Some(&bundle[..32]), &shared, b"link_code_pairing_key_bundle_encryption_key")?;
    let nonce: [u8; 12] = bundle[32..44].try_into()?;
    let plain = Aes256Gcm::new(&key.into())
        .decrypt(&Nonce::from(nonce), Payload { msg: &bundle[44..], aad: b"" })
        .map_err(|_| anyhow!("key bundle does not open: wrong code"))?;
    ensure!(plain.len() == 96 && plain[..32] == identity, "key bundle names another identity");
    let own = account.identity();
    let own = own.private_key();
    let identity_shared = own.calculate_agreement(&PublicKey::from_djb_public_key_bytes(&identity)?)?;
    let secret = hkdf(None, &[&shared[..], &identity_shared[..], &plain[64..96]].concat(), b"adv_secret")?;
    finish(world, account, connection, identity, &secret)
}

fn finish(world: &World, account: &Account, connection: u64, identity: [u8; 32], secret: &[u8]) -> Result<u16> {
    let (registration, noise_key, line) = {
        let pending = world.pending();
        let pair = pending.get(&connection).context("the client is gone")?;
        ensure!(pair.registration.e_ident.as_deref() == Some(&identity[..]), "identity is not the client's");
        (pair.registration.clone(), pair.noise_key, pair.line.clone())
    };
    let now = world.now();
    let (device, identity_blob) = link(account, noise_key, identity, &registration, secret, now)?;
    if let Some(pair) = world.pending().get_mut(&connection) {
        pair.done = Some((account.number.clone(), device));
    }
    let props = wa::ClientPairingProps { is_chat_db_lid_migrated: Some(false) }.encode_to_vec();
    let success = NodeBuilder::new("pair-success")
        .children([
            leaf("client-props", props),
            leaf("device-identity", identity_blob),
            NodeBuilder::new("platform").attr("name", "android").build(),
            NodeBuilder::new("device")
                .attr("jid", account.phone_jid(device))
                .attr("lid", account.lid_jid(device))
                .build(),
        ])
        .build();
    let iq = NodeBuilder::new("iq")
        .attr("from", server_jid())
        .attr("type", "set")
        .attr("id", message_id())
        .attr("xmlns", "md")
        .attr("t", now)
        .children([success])
        .build();
    line.send(iq);
    Ok(device)
}

/// Registers the device; returns its number and the account-signed identity that pair-success carries.
fn link(
    account: &Account,
    noise_key: [u8; 32],
    identity: [u8; 32],
    registration: &wa::DevicePairingRegistrationData,
    secret: &[u8],
    now: u64,
) -> Result<(u16, Vec<u8>)> {
    let signed_prekey = (
        uint(registration.e_skey_id()),
        key32(registration.e_skey_val().to_vec())?,
        registration.e_skey_sig().to_vec(),
    );
    let device = {
        let mut state = account.state();
        let device = state.next_device;
        state.next_device += 1;
        let mut companion = Companion::new(noise_key, identity, uint(registration.e_regid()), u32::from(device));
        companion.signed_prekey = Some(signed_prekey);
        state.companions.insert(device, companion);
        device
    };
    let details = wa::AdvDeviceIdentity {
        raw_id: Some(account.raw_id()),
        timestamp: Some(now),
        key_index: Some(u32::from(device)),
    }
    .encode_to_vec();
    let signature = sign(account, &[&[6, 0][..], &details, &identity].concat())?;
    let container = wa::AdvSignedDeviceIdentity {
        details: Some(details),
        account_signature_key: Some(account.identity_key()),
        account_signature: Some(signature),
        device_signature: None,
    }
    .encode_to_vec();
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(secret).map_err(|_| anyhow!("bad secret"))?;
    mac.update(&container);
    let wrapped =
        wa::AdvSignedDeviceIdentityHmac { hmac: Some(mac.finalize().into_bytes().to_vec()), details: Some(container) };
    Ok((device, wrapped.encode_to_vec()))
}

/// The signed list of an account's valid devices, part of every device list.
pub(crate) fn key_index_list(account: &Account, now: u64) -> Result<Vec<u8>> {
    let (current, valid_indexes) = {
        let state = account.state();
        let valid = state.companions.values().filter(|companion| !companion.removed);
        (u32::from(state.next_device) - 1, valid.map(|companion| companion.key_index).collect())
    };
    let details = wa::AdvKeyIndexList {
        raw_id: Some(account.raw_id()),
        timestamp: Some(now),
        current_index: Some(current),
        valid_indexes,
    }
    .encode_to_vec();
    let signature = sign(account, &[&[6, 2][..], &details].concat())?;
    Ok(wa::AdvSignedKeyIndexList {
        details: Some(details),
        account_signature: Some(signature),
        account_signature_key: Some(account.identity_key()),
    }
    .encode_to_vec())
}

fn sign(account: &Account, message: &[u8]) -> Result<Vec<u8>> {
    Ok(account.identity().private_key().calculate_signature(message, &mut rand::rng())?.to_vec())
}

fn agree(pair: &KeyPair, theirs: &[u8; 32]) -> Result<Vec<u8>> {
    Ok(pair.private_key.calculate_agreement(&PublicKey::from_djb_public_key_bytes(theirs)?)?.to_vec())
}

fn hkdf(salt: Option<&[u8]>, input: &[u8], info: &[u8]) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    hkdf::Hkdf::<Sha256>::new(salt, input).expand(info, &mut key).map_err(|_| anyhow!("key derivation"))?;
    Ok(key)
}

/// AES-256-CTR under a key from the code: salt (32), iv (16), ciphertext (32).
fn code_cipher(salt: &[u8], iv: &[u8; 16], code: &str) -> ctr::Ctr128BE<Aes256> {
    let mut key = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(code.as_bytes(), salt, CODE_ROUNDS, &mut key);
    ctr::Ctr128BE::<Aes256>::new(&key.into(), &(*iv).into())
}

fn wrap_ephemeral(key: &[u8; 32], code: &str) -> Vec<u8> {
    let (salt, iv): ([u8; 32], [u8; 16]) = (rand::random(), rand::random());
    let mut sealed = *key;
    code_cipher(&salt, &iv, code).apply_keystream(&mut sealed);
    [&salt[..], &iv, &sealed].concat()
}

fn unwrap_ephemeral(wrapped: &[u8], code: &str) -> Result<[u8; 32]> {
    ensure!(wrapped.len() == 80, "wrapped key is not 80 bytes");
    let iv: [u8; 16] = wrapped[32..48].try_into()?;
    let mut key: [u8; 32] = wrapped[48..].try_into()?;
    code_cipher(&wrapped[..32], &iv, code).apply_keystream(&mut key);
    Ok(key)
}

/// The answer to a code as the client sees it, for `handlers::pairing`.
pub(crate) fn code_reference(request: &Node, reference: Vec<u8>) -> Node {
    let hello = NodeBuilder::new("link_code_companion_reg")
        .attr("stage", "companion_hello")
        .children([leaf("link_code_pairing_ref", reference)])
        .build();
    crate::node::result(request, vec![hello])
}
