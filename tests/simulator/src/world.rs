//! Simulated accounts with their linked devices, and groups. State only; what happens to it is in `handlers` and `phone`.

use crate::book::Book;
use crate::display::Shown;
use crate::faults::Faults;
use crate::signal::{Bundle, SignalDevice};
use crate::wa;
use axum::body::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc};
use wacore_binary::{Jid, Node, Server};

/// Stanzas on their way to one client. A client that reads so slowly that it fills up is disconnected, and what it has
/// not acknowledged waits for its next login.
pub(crate) const OUTGOING_STANZAS_MAX: usize = 65_536;
/// Entries of one inbox; the oldest go.
pub(crate) const INBOX_ENTRIES_MAX: usize = 200_000;
/// Stanzas without a handler that are remembered.
pub(crate) const UNANSWERED_MAX: usize = 1_000;

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The hidden number that stands for a phone number.
pub(crate) fn lid_of(phone_number: &str) -> String {
    let reversed: String = phone_number.chars().rev().collect();
    format!("1{reversed:0>14}")
}

pub(crate) enum Out {
    Node(Box<Node>),
    Close,
}

/// The way to one connected client.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) id: u64,
    queue: mpsc::Sender<Out>,
    /// Set by a fault: the connection stays open and nothing passes any more.
    pub(crate) swallowed: Arc<std::sync::atomic::AtomicBool>,
    pub(crate) hang_up: Arc<Notify>,
}

impl Line {
    pub(crate) fn new(id: u64) -> (Self, mpsc::Receiver<Out>) {
        let (queue, outgoing) = mpsc::channel(OUTGOING_STANZAS_MAX);
        (Self { id, queue, swallowed: Arc::default(), hang_up: Arc::default() }, outgoing)
    }

    pub(crate) fn send(&self, node: Node) {
        if self.queue.try_send(Out::Node(Box::new(node))).is_err() {
            self.hang_up.notify_one();
        }
    }

    /// Closes after what is queued has been sent.
    pub(crate) fn close(&self) {
        if self.queue.try_send(Out::Close).is_err() {
            self.hang_up.notify_one();
        }
    }
}

/// A linked device: a real client. Of its keys we hold the public halves only.
pub(crate) struct Companion {
    pub(crate) noise_key: [u8; 32],
    pub(crate) identity: [u8; 32],
    pub(crate) registration: u32,
    pub(crate) key_index: u32,
    pub(crate) signed_identity: Vec<u8>,
    pub(crate) signed_prekey: Option<(u32, [u8; 32], Vec<u8>)>,
    pub(crate) prekeys: VecDeque<(u32, [u8; 32])>,
    pub(crate) line: Option<Line>,
    /// Logged in and past its start-up: live stanzas go out at once.
    pub(crate) active: bool,
    pub(crate) offline: Vec<Node>,
    /// Sent but not acknowledged; back to `offline` when the connection goes.
    pub(crate) unacknowledged: Vec<Node>,
    pub(crate) has_sync_keys: bool,
    pub(crate) removed: bool,
    /// A stanza that a fault holds back until the next one has passed it.
    pub(crate) held_back: Option<Node>,
}

impl Companion {
    pub(crate) fn take_bundle(&mut self) -> Option<Bundle> {
        Some(Bundle {
            reg_id: self.registration,
            identity: self.identity,
            skey: self.signed_prekey.clone()?,
            prekey: self.prekeys.pop_front(),
        })
    }

    /// Live when the client is there, else kept for its next login.
    pub(crate) fn push(&mut self, node: Node) {
        match &self.line {
            Some(line) if self.active => {
                line.send(node.clone());
                self.unacknowledged.push(node);
            }
            _ => self.offline.push(node),
        }
    }

    pub(crate) fn acknowledged(&mut self, id: &str) {
        self.unacknowledged.retain(|node| node.attrs.get("id").is_none_or(|value| value.as_str() != id));
    }

    /// What was not acknowledged comes first at the next login.
    pub(crate) fn went_offline(&mut self) {
        self.active = false;
        let mut waiting = std::mem::take(&mut self.unacknowledged);
        waiting.append(&mut self.offline);
        self.offline = waiting;
    }
}

/// One displayed message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) id: String,
    pub(crate) chat: String,
    pub(crate) from: String,
    pub(crate) shown: Shown,
    /// The protobuf as it was decrypted.
    pub(crate) raw: Vec<u8>,
    /// How often this id came over the wire.
    pub(crate) copies: u32,
}

/// What a contact does by itself.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) receipts: bool,
    pub(crate) read: bool,
    /// Sent back on every text; `{text}` stands for what was received.
    pub(crate) reply: Option<String>,
}

#[derive(Default)]
pub(crate) struct Collection {
    pub(crate) version: u64,
    pub(crate) patches: Vec<Vec<u8>>,
}

pub(crate) struct Account {
    pub(crate) phone_number: String,
    pub(crate) lid: String,
    pub(crate) name: String,
    pub(crate) phone: SignalDevice,
    pub(crate) raw_id: u32,
    pub(crate) companions: BTreeMap<u16, Companion>,
    pub(crate) next_device: u16,
    pub(crate) inbox: VecDeque<Entry>,
    pub(crate) next_entry: u64,
    /// Entry number by sender and id: a repeat is counted, not displayed.
    pub(crate) seen: HashMap<(String, String), u64>,
    pub(crate) book: Book,
    pub(crate) behaviour: Behaviour,
    pub(crate) sync_key: (Vec<u8>, Vec<u8>),
    pub(crate) collections: HashMap<String, Collection>,
    pub(crate) privacy: BTreeMap<String, String>,
    pub(crate) blocked: Vec<String>,
}

impl Account {
    fn new(phone_number: &str, name: &str) -> Self {
        let sync_key = (vec![0, 0, 0, 0, 0, 1], rand::random::<[u8; 32]>().to_vec());
        let named = crate::push_name::patch(name, &sync_key.0, &sync_key.1);
        let collection = Collection { version: 1, patches: vec![named] };
        Self {
            phone_number: phone_number.to_owned(),
            lid: lid_of(phone_number),
            name: name.to_owned(),
            phone: SignalDevice::generate(),
            raw_id: rand::random::<u32>() >> 1,
            companions: BTreeMap::new(),
            next_device: 1,
            inbox: VecDeque::new(),
            next_entry: 1,
            seen: HashMap::new(),
            book: Book::default(),
            behaviour: Behaviour { receipts: true, read: true, reply: None },
            sync_key,
            collections: HashMap::from([(crate::push_name::COLLECTION.to_owned(), collection)]),
            privacy: BTreeMap::new(),
            blocked: Vec::new(),
        }
    }

    pub(crate) fn phone_jid(&self, device: u16) -> Jid {
        Jid::pn_device(self.phone_number.as_str(), device)
    }

    pub(crate) fn lid_jid(&self, device: u16) -> Jid {
        Jid::lid_device(self.lid.as_str(), device)
    }

    /// Displays a message, or counts a repeat. Returns whether it is new.
    pub(crate) fn display(&mut self, id: &str, chat: &str, from: &str, shown: Shown, raw: Vec<u8>) -> bool {
        let key = (from.to_owned(), id.to_owned());
        if let Some(seq) = self.seen.get(&key) {
            let first = self.inbox.front().map_or(0, |entry| entry.seq);
            let index = usize::try_from(seq.saturating_sub(first)).unwrap_or(usize::MAX);
            if let Some(entry) = self.inbox.get_mut(index) {
                entry.copies += 1;
            }
            return false;
        }
        let seq = self.next_entry;
        self.next_entry += 1;
        self.seen.insert(key, seq);
        let (id, chat, from) = (id.to_owned(), chat.to_owned(), from.to_owned());
        self.inbox.push_back(Entry { seq, id, chat, from, shown, raw, copies: 1 });
        if self.inbox.len() > INBOX_ENTRIES_MAX
            && let Some(oldest) = self.inbox.pop_front()
        {
            self.seen.remove(&(oldest.from, oldest.id));
        }
        true
    }
}

pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) description: Option<String>,
    pub(crate) creator: String,
    pub(crate) created: u64,
    /// Phone number, and whether it is an admin.
    pub(crate) members: BTreeMap<String, bool>,
}

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

#[derive(Default)]
pub(crate) struct World {
    pub(crate) accounts: HashMap<String, Account>,
    /// Lid to phone number.
    pub(crate) lids: HashMap<String, String>,
    pub(crate) groups: HashMap<String, Group>,
    pub(crate) pending: HashMap<u64, PendingPair>,
    pub(crate) faults: Faults,
    pub(crate) media: HashMap<String, Bytes>,
    pub(crate) unanswered: Vec<String>,
    pub(crate) messages: u64,
}

impl World {
    /// Adds an account, or leaves the one that is there.
    pub(crate) fn add_account(&mut self, phone_number: &str, name: &str) {
        if !self.accounts.contains_key(phone_number) {
            let account = Account::new(phone_number, name);
            self.lids.insert(account.lid.clone(), phone_number.to_owned());
            self.accounts.insert(phone_number.to_owned(), account);
        }
    }

    /// Any user address, by phone or by lid: the account's number and the device.
    pub(crate) fn resolve(&self, jid: &Jid) -> Option<(String, u16)> {
        let phone_number = match jid.server {
            Server::Pn => jid.user.to_string(),
            Server::Lid => self.lids.get(jid.user.as_str())?.clone(),
            _ => return None,
        };
        self.accounts.contains_key(&phone_number).then_some((phone_number, jid.device))
    }

    pub(crate) fn companion(&mut self, account: &str, device: u16) -> Option<&mut Companion> {
        self.accounts.get_mut(account)?.companions.get_mut(&device)
    }

    /// Sends a stanza to a linked device, past the faults that are set for it.
    pub(crate) fn deliver(&mut self, account: &str, device: u16, node: Node) {
        let nodes = self.faults.outgoing(account, node);
        let Some(companion) = self.companion(account, device) else { return };
        for (node, hold) in nodes {
            if hold {
                companion.held_back = Some(node);
                continue;
            }
            companion.push(node);
            if let Some(held) = companion.held_back.take() {
                companion.push(held);
            }
        }
    }

    pub(crate) fn note_unanswered(&mut self, what: String) {
        if self.unanswered.len() < UNANSWERED_MAX {
            self.unanswered.push(what);
        }
    }
}

impl World {
    /// The server's acknowledgement, past the faults for stanzas to the client.
    pub(crate) fn deliver_ack(&mut self, line: &Line, account: &str, ack: Node) {
        for (node, hold) in self.faults.outgoing(account, ack) {
            if !hold {
                line.send(node);
            }
        }
    }
}
