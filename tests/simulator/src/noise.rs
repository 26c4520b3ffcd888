//! The server's half of the Noise transport: XX, IK and XXfallback, and the encrypted frames that follow.

use crate::wa;
use anyhow::{Context, Result, anyhow, bail};
use axum::extract::ws::{Message, WebSocket};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER};
use wacore_binary::{Node, marshal, marshal::unmarshal_ref, util::unpack};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::framing::{FrameDecoder, encode_frame};
use wacore_noise::{NoiseCipher, NoiseHandshake};

/// Bytes of the preamble before the first frame; a longer one is not a client.
const PREAMBLE_BYTES_MAX: usize = 4_096;

pub(crate) fn public_key(pair: &KeyPair) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(pair.public_key.public_key_bytes());
    key
}

pub(crate) fn new_keypair() -> KeyPair {
    KeyPair::generate(&mut rand::rng())
}

/// The simulator's own certificate authority and static key. The chain is really signed (root, intermediate, leaf), so
/// that a client which pins `root` can verify it.
pub(crate) struct ServerIdentity {
    pub(crate) root: KeyPair,
    key: KeyPair,
    chain: Vec<u8>,
}

impl ServerIdentity {
    pub(crate) fn generate() -> Result<Self> {
        let (root, intermediate, key) = (new_keypair(), new_keypair(), new_keypair());
        let chain = wa::CertChain {
            intermediate: Some(certificate(1, 0, &intermediate, &root)?),
            leaf: Some(certificate(2, 1, &key, &intermediate)?),
        };
        Ok(Self { root, key, chain: chain.encode_to_vec() })
    }
}

fn certificate(serial: u32, issuer: u32, subject: &KeyPair, signer: &KeyPair) -> Result<wa::NoiseCertificate> {
    let details = wa::CertificateDetails {
        serial: Some(serial),
        issuer_serial: Some(issuer),
        key: Some(public_key(subject).to_vec()),
        not_before: Some(1_600_000_000),
        not_after: Some(4_000_000_000),
    }
    .encode_to_vec();
    let signature = signer.private_key.calculate_signature(&details, &mut rand::rng())?.to_vec();
    Ok(wa::NoiseCertificate { details: Some(details), signature: Some(signature) })
}

pub(crate) struct FrameReader {
    socket: SplitStream<WebSocket>,
    frames: FrameDecoder,
    /// What came before the first frame, until it is complete.
    preamble: Option<Vec<u8>>,
    /// The client's four header bytes are the Noise prologue; the last differs between clients (dictionary version).
    prologue: [u8; 4],
    decrypt: Option<NoiseCipher>,
    counter: u32,
}

pub(crate) struct FrameWriter {
    socket: SplitSink<WebSocket, Message>,
    encrypt: Option<NoiseCipher>,
    counter: u32,
}

impl FrameReader {
    async fn frame(&mut self) -> Result<Option<BytesMut>> {
        loop {
            if self.preamble.is_none()
                && let Some(frame) = self.frames.decode_frame()
            {
                return Ok(Some(frame));
            }
            let Some(message) = self.socket.next().await else { return Ok(None) };
            let data = match message? {
                Message::Binary(data) => data,
                Message::Close(_) => return Ok(None),
                _ => continue,
            };
            match self.preamble.take() {
                None => self.frames.feed(&data),
                Some(mut preamble) => {
                    preamble.extend_from_slice(&data);
                    self.on_preamble(preamble)?;
                }
            }
        }
    }

    /// An optional "ED" block with routing information, then "WA", 6, and the dictionary version.
    fn on_preamble(&mut self, preamble: Vec<u8>) -> Result<()> {
        let mut at = 0;
        if preamble.starts_with(b"ED") && preamble.len() >= 7 {
            at = 7 + usize::try_from(crate::node::uint(&preamble[4..7]))?;
        }
        let short = preamble.len() < at + 4 || (preamble.starts_with(b"ED") && preamble.len() < 7);
        if short && preamble.len() <= PREAMBLE_BYTES_MAX {
            self.preamble = Some(preamble);
            return Ok(());
        }
        if short || preamble[at..at + 3] != WA_CONN_HEADER[..3] {
            bail!("not a client's preamble");
        }
        self.prologue.copy_from_slice(&preamble[at..at + 4]);
        self.frames.feed(&preamble[at + 4..]);
        Ok(())
    }

    /// The next stanza; `None` when the client closed the connection.
    pub(crate) async fn node(&mut self) -> Result<Option<Node>> {
        let Some(mut frame) = self.frame().await? else { return Ok(None) };
        let decrypt = self.decrypt.as_ref().context("no handshake yet")?;
        decrypt.decrypt_in_place_with_counter(self.counter, &mut frame)?;
        self.counter += 1;
        let plain = unpack(&frame)?;
        Ok(Some(unmarshal_ref(&plain)?.to_owned()))
    }
}

impl FrameWriter {
    async fn frame(&mut self, payload: &[u8]) -> Result<()> {
        let framed = encode_frame(payload, None)?;
        self.socket.send(Message::Binary(Bytes::from(framed))).await?;
        Ok(())
    }

    pub(crate) async fn node(&mut self, node: &Node) -> Result<()> {
        let plain = marshal(node)?;
        let encrypt = self.encrypt.as_ref().context("no handshake yet")?;
        let sealed = encrypt.encrypt_with_counter(self.counter, &plain)?;
        self.counter += 1;
        self.frame(&sealed).await
    }

    pub(crate) async fn close(&mut self) {
        // A client that is gone already needs no goodbye.
        let _ = self.socket.close().await;
    }
}

/// A client whose handshake is done.
pub(crate) struct Accepted {
    pub(crate) reader: FrameReader,
    pub(crate) writer: FrameWriter,
    pub(crate) client_key: [u8; 32],
    pub(crate) payload: wa::ClientPayload,
}

fn key(bytes: Option<Vec<u8>>) -> Result<[u8; 32]> {
    bytes.context("a key is missing")?.try_into().map_err(|_| anyhow!("a key is not 32 bytes"))
}

/// Answers the handshake. `refuse_ik` makes a client with a cached certificate fall back to XX.
pub(crate) async fn accept(socket: WebSocket, identity: &ServerIdentity, refuse_ik: bool) -> Result<Accepted> {
    let (sink, stream) = socket.split();
    let mut reader = FrameReader {
        socket: stream,
        frames: FrameDecoder::new(),
        preamble: Some(Vec::new()),
        prologue: WA_CONN_HEADER,
        decrypt: None,
        counter: 0,
    };
    let mut writer = FrameWriter { socket: sink, encrypt: None, counter: 0 };
    let first = reader.frame().await?.context("closed before hello")?;
    let hello = wa::HandshakeMessage::decode(&first[..])?.client_hello.context("no client hello")?;
    let client_ephemeral = key(hello.ephemeral.clone())?;
    if !refuse_ik
        && let Some((client_key, payload)) = ik(&mut reader, &mut writer, identity, &hello, &client_ephemeral).await?
    {
        return Ok(Accepted { reader, writer, client_key, payload });
    }

    // XX, or XXfallback when the hello was an IK one: the same transcript under another name.
    let pattern = if hello.r#static.is_some() { NOISE_PATTERN_XXFALLBACK } else { NOISE_PATTERN_XX };
    let ephemeral = new_keypair();
    let mut noise = NoiseHandshake::new(pattern, &reader.prologue)?;
    noise.authenticate(&client_ephemeral);
    noise.authenticate(&public_key(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_ephemeral)?;
    let sealed_key = noise.encrypt(&public_key(&identity.key))?;
    noise.mix_shared_secret(identity.key.private_key.serialize(), &client_ephemeral)?;
    let sealed_chain = noise.encrypt(&identity.chain)?;
    writer.frame(&server_hello(&ephemeral, Some(sealed_key), sealed_chain)).await?;

    let last = reader.frame().await?.context("closed before finish")?;
    let finish = wa::HandshakeMessage::decode(&last[..])?.client_finish.context("no client finish")?;
    let client_key = key(Some(noise.decrypt(&finish.r#static.context("no client key")?)?))?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_key)?;
    let payload = noise.decrypt(&finish.payload.context("no client payload")?)?;
    let (client_writes, client_reads) = noise.finish()?;
    (reader.decrypt, writer.encrypt) = (Some(client_writes), Some(client_reads));
    Ok(Accepted { reader, writer, client_key, payload: wa::ClientPayload::decode(&payload[..])? })
}

/// IK: the hello already carries the client's key and payload, sealed to a server key it knew. `None` when it does not,
/// or was sealed to another key.
async fn ik(
    reader: &mut FrameReader,
    writer: &mut FrameWriter,
    identity: &ServerIdentity,
    hello: &wa::ClientHello,
    client_ephemeral: &[u8; 32],
) -> Result<Option<([u8; 32], wa::ClientPayload)>> {
    let (Some(sealed_key), Some(sealed_payload)) = (&hello.r#static, &hello.payload) else { return Ok(None) };
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &reader.prologue)?;
    noise.authenticate(&public_key(&identity.key));
    noise.authenticate(client_ephemeral);
    noise.mix_shared_secret(identity.key.private_key.serialize(), client_ephemeral)?;
    let Ok(client_key) = noise.decrypt(sealed_key) else { return Ok(None) };
    let client_key = key(Some(client_key))?;
    noise.mix_shared_secret(identity.key.private_key.serialize(), &client_key)?;
    let payload = noise.decrypt(sealed_payload)?;
    let ephemeral = new_keypair();
    noise.authenticate(&public_key(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_key)?;
    let sealed_chain = noise.encrypt(&identity.chain)?;
    writer.frame(&server_hello(&ephemeral, None, sealed_chain)).await?;
    let (client_writes, client_reads) = noise.finish()?;
    (reader.decrypt, writer.encrypt) = (Some(client_writes), Some(client_reads));
    Ok(Some((client_key, wa::ClientPayload::decode(&payload[..])?)))
}

fn server_hello(ephemeral: &KeyPair, sealed_key: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    let hello = wa::ServerHello {
        ephemeral: Some(public_key(ephemeral).to_vec()),
        r#static: sealed_key,
        payload: Some(payload),
    };
    wa::HandshakeMessage { server_hello: Some(hello), ..Default::default() }.encode_to_vec()
}
