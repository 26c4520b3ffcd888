//! Everything there is: accounts, groups, clients that wait to be paired, faults, files. State only; what happens to it
//! is in `handlers` and `phone`.
//!
//! Locks. An account has two: `phone` (async; its Signal sessions) and `state` (everything else of it). The rest of the
//! world has one each for the directory, groups, newsletters, pending clients, faults, files, expired files and unanswered stanzas.
//!
//! 1. Only `phone` may be held while another lock is taken, and never two phones at once.
//! 2. Every other lock is a leaf: taken for a moment, nothing else is taken and nothing is awaited with it held. So a
//!    holder of `phone` waits for leaves only, and those wait for nobody.
//! 3. What is awaited with `phone` held is this phone's own encryption. No account waits for another's.

use crate::account::Account;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::group::Group;
use crate::line::Line;
use crate::newsletter::Newsletter;
use crate::pairing::PendingPair;
use axum::body::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::watch;
use wacore_binary::{Jid, Node, Server};

/// Stanzas without a handler that are remembered.
const UNANSWERED_MAX: usize = 1_000;
/// Files that the media host keeps; one more is refused.
pub(crate) const FILES_MAX: usize = 10_000;

/// A panic of another holder leaves state that is good enough to simulate with.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Directory {
    accounts: HashMap<String, Arc<Account>>,
    /// Lid to phone number.
    lids: HashMap<String, String>,
    /// Other ways to write a phone number.
    others: HashMap<String, String>,
}

pub(crate) struct World {
    pub(crate) clock: Clock,
    directory: RwLock<Directory>,
    groups: Mutex<HashMap<String, Group>>,
    newsletters: Mutex<HashMap<String, Newsletter>>,
    pending: Mutex<HashMap<u64, PendingPair>>,
    /// Counts what clients that wait to be paired did.
    pub(crate) pairing: watch::Sender<u64>,
    faults: Mutex<Faults>,
    /// How often.
    pub(crate) faults_cleared: watch::Sender<u64>,
    files: RwLock<HashMap<String, Bytes>>,
    /// What the media host has no more and phones still have.
    expired: Mutex<HashMap<String, Bytes>>,
    unanswered: Mutex<Vec<String>>,
    messages: AtomicU64,
}

impl World {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            directory: RwLock::default(),
            groups: Mutex::default(),
            newsletters: Mutex::default(),
            pending: Mutex::default(),
            pairing: watch::Sender::new(0),
            faults: Mutex::default(),
            faults_cleared: watch::Sender::new(0),
            files: RwLock::default(),
            expired: Mutex::default(),
            unanswered: Mutex::default(),
            messages: AtomicU64::new(0),
        }
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now_ms() / 1_000
    }

    /// Adds an account, or leaves the one that is there.
    pub(crate) fn add_account(&self, number: &str, name: &str) {
        if self.account(number).is_none() {
            // Its keys take a while to make: outside the lock. Who comes second leaves what is there.
            let account = Arc::new(Account::new(number, name, self.now()));
            let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
            if !directory.accounts.contains_key(number) {
                directory.lids.insert(account.lid.clone(), number.to_owned());
                directory.accounts.insert(number.to_owned(), account);
            }
        }
    }

    /// The account is gone: nobody finds it any more.
    pub(crate) fn remove_account(&self, number: &str) {
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = directory.accounts.remove(number) {
            directory.lids.remove(&account.lid);
        }
    }

    pub(crate) fn account(&self, number: &str) -> Option<Arc<Account>> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).accounts.get(number).cloned()
    }

    pub(crate) fn accounts(&self) -> Vec<Arc<Account>> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).accounts.values().cloned().collect()
    }

    /// The account is also found by this number.
    pub(crate) fn also_known_by(&self, number: &str, other: &str) {
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        directory.others.insert(other.to_owned(), number.to_owned());
    }

    /// The number as the server has it.
    pub(crate) fn canonical(&self, number: &str) -> String {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        directory.others.get(number).map_or(number, String::as_str).to_owned()
    }

    /// Any user address, by phone or by lid: the account and the device.
    pub(crate) fn resolve(&self, jid: &Jid) -> Option<(Arc<Account>, u16)> {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        let number = match jid.server {
            Server::Pn => jid.user.as_str(),
            Server::Lid => directory.lids.get(jid.user.as_str())?,
            _ => return None,
        };
        Some((directory.accounts.get(number)?.clone(), jid.device))
    }

    pub(crate) fn groups(&self) -> MutexGuard<'_, HashMap<String, Group>> {
        locked(&self.groups)
    }

    pub(crate) fn newsletters(&self) -> MutexGuard<'_, HashMap<String, Newsletter>> {
        locked(&self.newsletters)
    }

    /// A copy of the group as it is now.
    pub(crate) fn group(&self, id: &str) -> Option<Group> {
        self.groups().get(id).cloned()
    }

    pub(crate) fn pending(&self) -> MutexGuard<'_, HashMap<u64, PendingPair>> {
        locked(&self.pending)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    pub(crate) fn file(&self, path: &str) -> Option<Bytes> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    pub(crate) fn files(&self) -> usize {
        self.files.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns whether there was room.
    pub(crate) fn keep_file(&self, path: String, file: Bytes) -> bool {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let room = files.len() < FILES_MAX;
        if room {
            files.insert(path, file);
        }
        room
    }

    /// The media host forgets every file; so do the phones when it is `lost`. Returns how many.
    pub(crate) fn expire_files(&self, lost: bool) -> usize {
        let gone = std::mem::take(&mut *self.files.write().unwrap_or_else(PoisonError::into_inner));
        let count = gone.len();
        let mut expired = locked(&self.expired);
        if lost {
            expired.clear();
        } else {
            expired.extend(gone);
        }
        count
    }

    /// A phone puts a file there again; where it lies now, or nothing when the phone has it no more.
    pub(crate) fn revive_file(&self, path: &str) -> Option<String> {
        let file = locked(&self.expired).get(path).cloned().or_else(|| self.file(path))?;
        let folder = path.rsplit_once('/').map_or("/v", |(folder, _)| folder);
        let again = format!("{folder}/{}", hex::encode(rand::random::<[u8; 16]>()));
        self.keep_file(again.clone(), file).then_some(again)
    }

    /// Sends a stanza to a linked device, past the faults that are set for it.
    pub(crate) fn deliver(&self, account: &Account, device: u16, node: Node) {
        let nodes = self.faults().outgoing(&account.number, node);
        let mut state = account.state();
        let Some(companion) = state.companions.get_mut(&device) else { return };
        for (node, hold) in nodes {
            if hold {
                companion.held_back.push(node);
                continue;
            }
            companion.push(node);
            for held in std::mem::take(&mut companion.held_back) {
                companion.push(held);
            }
        }
    }

    /// To every linked device of an account but one.
    pub(crate) fn deliver_to_all(&self, account: &Account, but: Option<u16>, node: &Node) {
        let devices = account.state().live_devices();
        for device in devices.into_iter().filter(|device| Some(*device) != but) {
            self.deliver(account, device, node.clone());
        }
    }

    /// To a linked device if it is there now; not kept for later and not confirmed.
    pub(crate) fn flash(&self, account: &Account, device: u16, node: &Node) {
        let nodes = self.faults().outgoing(&account.number, node.clone());
        let state = account.state();
        let Some(companion) = state.companions.get(&device) else { return };
        for (node, _) in nodes.into_iter().filter(|(_, hold)| !hold) {
            companion.flash(node);
        }
    }

    pub(crate) fn flash_to_all(&self, account: &Account, node: &Node) {
        let devices = account.state().live_devices();
        devices.into_iter().for_each(|device| self.flash(account, device, node));
    }

    /// The server's acknowledgement, past the faults for stanzas to the client.
    pub(crate) fn deliver_ack(&self, line: &Line, account: &Account, ack: Node) {
        let nodes = self.faults().outgoing(&account.number, ack);
        for (node, _) in nodes.into_iter().filter(|(_, hold)| !hold) {
            line.send(node);
        }
    }

    pub(crate) fn note_unanswered(&self, what: String) {
        let mut unanswered = locked(&self.unanswered);
        if unanswered.len() < UNANSWERED_MAX {
            unanswered.push(what);
        }
    }

    pub(crate) fn unanswered(&self) -> Vec<String> {
        locked(&self.unanswered).clone()
    }

    pub(crate) fn count_message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }
}
