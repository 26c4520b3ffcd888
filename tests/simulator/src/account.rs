//! A simulated account: what stays the same for its life, and what changes, behind its own locks.

use crate::book::Book;
use crate::companion::Companion;
use crate::display::Shown;
use crate::handlers::{Business, Call, Picture, Presence};
use crate::phone::Prepared;
use crate::signal::SignalDevice;
use crate::world::locked;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::watch;
use wacore_binary::Jid;
use wacore_libsignal::protocol::IdentityKeyPair;

/// Entries of one inbox; the oldest go.
pub(crate) const INBOX_ENTRIES_MAX: usize = 200_000;

fn fresh_raw_id() -> u32 {
    rand::random::<u32>() >> 1
}

/// The hidden number that stands for a phone number.
pub(crate) fn lid_of(phone_number: &str) -> String {
    let reversed: String = phone_number.chars().rev().collect();
    format!("1{reversed:0>14}")
}

pub(crate) struct Account {
    pub(crate) number: String,
    pub(crate) lid: String,
    pub(crate) name: String,
    /// Of this installation of the phone, as its identity.
    raw_id: AtomicU32,
    identity: Mutex<IdentityKeyPair>,
    /// Id and key of the app state.
    pub(crate) sync_key: (Vec<u8>, Vec<u8>),
    /// The phone's sessions. Whoever holds it encrypts or decrypts for this phone and hands the result on, so that what
    /// a phone encrypts leaves in the same order. The lock order stands in `world`.
    pub(crate) phone: tokio::sync::Mutex<SignalDevice>,
    state: Mutex<State>,
    /// Counts what was displayed, for who waits for it.
    pub(crate) displayed: watch::Sender<u64>,
}

/// What the server and the phone's screen hold of an account.
pub(crate) struct State {
    pub(crate) companions: BTreeMap<u16, Companion>,
    pub(crate) next_device: u16,
    pub(crate) inbox: VecDeque<Entry>,
    pub(crate) next_entry: u64,
    /// Entry number by sender and id: a repeat is counted, not displayed.
    seen: HashMap<(String, String), u64>,
    pub(crate) book: Book,
    pub(crate) behaviour: Behaviour,
    pub(crate) collections: HashMap<String, Collection>,
    pub(crate) privacy: BTreeMap<String, String>,
    /// Whom a privacy setting excepts, by lid.
    pub(crate) exceptions: BTreeMap<String, Vec<String>>,
    pub(crate) blocked: Vec<String>,
    /// After how many seconds messages of new chats disappear; 0 is never.
    pub(crate) default_timer_s: u32,
    /// Unix seconds; 0 is never.
    pub(crate) default_timer_set_at: u64,
    /// What it shows and sells, when it is one.
    pub(crate) business: Option<Business>,
    pub(crate) presence: Presence,
    /// Devices that asked to be told about presence, by phone number.
    pub(crate) watchers: BTreeSet<(String, u16)>,
    pub(crate) picture: Option<Picture>,
    /// What it says about itself.
    pub(crate) about: String,
    /// Calls that its phone made.
    pub(crate) calls: VecDeque<Call>,
    /// Status posts of its phone that linked devices of others have seen: id and phone number.
    pub(crate) views: BTreeSet<(String, String)>,
    /// Who asked which devices it has, by phone number: told when that changes.
    pub(crate) acquaintances: BTreeSet<String>,
    /// How often its phone asked for a message again.
    pub(crate) asked_again: HashMap<String, u32>,
    /// What its phone gives to devices that are linked from now on.
    pub(crate) history: Prepared,
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
    /// Whether it plays what can be heard or seen in time.
    pub(crate) play: bool,
    /// Writes by its lid alone, as somebody who does not show the number.
    pub(crate) hide_number: bool,
    /// Sent back on every text; `{text}` stands for what was received.
    pub(crate) reply: Option<String>,
}

#[derive(Default)]
pub(crate) struct Collection {
    pub(crate) version: u64,
    pub(crate) patches: Vec<Vec<u8>>,
}

impl Account {
    pub(crate) fn new(number: &str, name: &str, now: u64) -> Self {
        let sync_key = (vec![0, 0, 0, 0, 0, 1], rand::random::<[u8; 32]>().to_vec());
        let named = crate::push_name::patch(name, &sync_key.0, &sync_key.1, now);
        let collection = Collection { version: 1, patches: vec![named] };
        let phone = SignalDevice::generate();
        let state = State {
            companions: BTreeMap::new(),
            next_device: 1,
            inbox: VecDeque::new(),
            next_entry: 1,
            seen: HashMap::new(),
            book: Book::default(),
            behaviour: Behaviour { receipts: true, read: true, play: false, hide_number: false, reply: None },
            collections: HashMap::from([(crate::push_name::COLLECTION.to_owned(), collection)]),
            privacy: BTreeMap::new(),
            exceptions: BTreeMap::new(),
            blocked: Vec::new(),
            default_timer_s: 0,
            default_timer_set_at: 0,
            business: None,
            presence: Presence::default(),
            watchers: BTreeSet::new(),
            picture: None,
            about: "simulated".to_owned(),
            calls: VecDeque::new(),
            views: BTreeSet::new(),
            acquaintances: BTreeSet::new(),
            asked_again: HashMap::new(),
            history: Prepared::default(),
        };
        Self {
            number: number.to_owned(),
            lid: lid_of(number),
            name: name.to_owned(),
            raw_id: AtomicU32::new(fresh_raw_id()),
            identity: Mutex::new(phone.identity.pair.clone()),
            sync_key,
            phone: tokio::sync::Mutex::new(phone),
            state: Mutex::new(state),
            displayed: watch::Sender::new(0),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(crate) fn phone_jid(&self, device: u16) -> Jid {
        Jid::pn_device(self.number.as_str(), device)
    }

    pub(crate) fn lid_jid(&self, device: u16) -> Jid {
        Jid::lid_device(self.lid.as_str(), device)
    }

    pub(crate) fn identity(&self) -> IdentityKeyPair {
        locked(&self.identity).clone()
    }

    pub(crate) fn identity_key(&self) -> Vec<u8> {
        locked(&self.identity).public_key().public_key_bytes().to_vec()
    }

    pub(crate) fn raw_id(&self) -> u32 {
        self.raw_id.load(Ordering::Relaxed)
    }

    /// The phone is installed anew: with keys of its own, without sessions, and with no device linked to it.
    pub(crate) async fn reinstall(&self) {
        let fresh = SignalDevice::generate();
        let mut phone = self.phone.lock().await;
        *locked(&self.identity) = fresh.identity.pair.clone();
        self.raw_id.store(fresh_raw_id(), Ordering::Relaxed);
        *phone = fresh;
    }

    /// Displays a message, or counts a repeat. Returns whether it is new.
    pub(crate) fn display(&self, id: &str, chat: &str, from: &str, shown: Shown, raw: Vec<u8>) -> bool {
        let new = self.state().display(id, chat, from, shown, raw);
        self.displayed.send_modify(|count| *count += 1);
        new
    }
}

impl State {
    /// Whether anybody may add this account to a group. Of contacts the server knows nothing, so that they are nobody here.
    pub(crate) fn joins_when_added(&self) -> bool {
        self.privacy.get("groupadd").is_none_or(|value| value == "all")
    }

    /// Linked devices that were not removed.
    pub(crate) fn live_devices(&self) -> Vec<u16> {
        let live = self.companions.iter().filter(|(_, companion)| !companion.removed);
        live.map(|(device, _)| *device).collect()
    }

    fn display(&mut self, id: &str, chat: &str, from: &str, shown: Shown, raw: Vec<u8>) -> bool {
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
