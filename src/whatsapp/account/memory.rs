//! What a device's live requests remember while its task lives, across its connections: who it watches, who is on
//! WhatsApp, which calls came in, and how many requests are under way. All of it is bounded and may be forgotten.

use super::{Checked, REQUESTS_AT_ONCE_MAX};
use crate::domain::clock::UnixMs;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use wacore_binary::Jid;

/// How long an answer to "is on WhatsApp" is believed.
const CHECKED_FOR_MS: i64 = 3_600_000;
/// Answers that are kept; beyond it those that are no longer believed go, and then nothing new is kept.
const CHECKED_MAX: usize = 10_000;
/// Chats whose presence is watched; one more is refused.
const WATCHED_MAX: usize = 1_000;
/// Calls that can be rejected; the oldest goes.
const CALLS_MAX: usize = 64;

/// A call that came in: how to reach who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::whatsapp) struct Call {
    pub(in crate::whatsapp) id: String,
    pub(in crate::whatsapp) from: Jid,
    pub(in crate::whatsapp) creator: Jid,
}

pub(in crate::whatsapp) struct Memory {
    pub(super) places: Semaphore,
    checked: Mutex<HashMap<String, (Checked, UnixMs)>>,
    /// Both addresses of each.
    watched: Mutex<BTreeSet<[String; 2]>>,
    calls: Mutex<VecDeque<Call>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            places: Semaphore::new(REQUESTS_AT_ONCE_MAX),
            checked: Mutex::default(),
            watched: Mutex::default(),
            calls: Mutex::default(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub(in crate::whatsapp) fn checked(&self, address: &str, now: UnixMs) -> Option<Checked> {
        let checked = locked(&self.checked);
        checked.get(address).filter(|(_, at)| now - at < CHECKED_FOR_MS).map(|(answer, _)| answer.clone())
    }

    pub(in crate::whatsapp) fn keep_checked(&self, address: &str, answer: Checked, now: UnixMs) {
        let mut checked = locked(&self.checked);
        if checked.len() >= CHECKED_MAX && !checked.contains_key(address) {
            checked.retain(|_, (_, at)| now - *at < CHECKED_FOR_MS);
            if checked.len() >= CHECKED_MAX {
                return;
            }
        }
        checked.insert(address.to_owned(), (answer, now));
    }

    /// `false` when there is no room.
    pub(super) fn watch(&self, addresses: [String; 2]) -> bool {
        let mut watched = locked(&self.watched);
        if watched.len() >= WATCHED_MAX && !watched.contains(&addresses) {
            return false;
        }
        watched.insert(addresses);
        true
    }

    pub(super) fn unwatch(&self, address: &str) {
        locked(&self.watched).retain(|addresses| !addresses.iter().any(|one| one == address));
    }

    pub(in crate::whatsapp) fn watches(&self, address: &str) -> bool {
        locked(&self.watched).iter().flatten().any(|one| one == address)
    }

    /// One address of each.
    pub(in crate::whatsapp) fn watched(&self) -> Vec<String> {
        locked(&self.watched).iter().map(|[address, _]| address.clone()).collect()
    }

    pub(in crate::whatsapp) fn rang(&self, call: Call) {
        let mut calls = locked(&self.calls);
        calls.retain(|known| known.id != call.id);
        calls.push_back(call);
        if calls.len() > CALLS_MAX {
            calls.pop_front();
        }
    }

    pub(in crate::whatsapp) fn call_ended(&self, id: &str) {
        locked(&self.calls).retain(|known| known.id != id);
    }

    pub(super) fn call(&self, id: &str) -> Option<Call> {
        locked(&self.calls).iter().find(|call| call.id == id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Person;
    use super::*;

    fn somebody() -> Checked {
        let person = Person { jid: "6281@s.whatsapp.net".into(), phone: Some("6281".into()), lid: None };
        Checked { person, is_on_whatsapp: true, is_business: false }
    }

    #[test]
    fn an_answer_is_believed_for_its_time_and_no_longer() {
        let memory = Memory::default();
        memory.keep_checked("6281", somebody(), 1_000);

        assert_eq!(memory.checked("6281", 1_000 + CHECKED_FOR_MS - 1), Some(somebody()));
        assert_eq!(memory.checked("6281", 1_000 + CHECKED_FOR_MS), None);
        assert_eq!(memory.checked("6282", 1_000), None);
    }

    #[test]
    fn answers_are_kept_within_their_bound_and_old_ones_make_room() {
        let memory = Memory::default();
        (0..CHECKED_MAX).for_each(|n| memory.keep_checked(&n.to_string(), somebody(), 0));

        memory.keep_checked("late", somebody(), 1);
        assert_eq!(memory.checked("late", 1), None);

        memory.keep_checked("later", somebody(), CHECKED_FOR_MS);
        assert!(memory.checked("later", CHECKED_FOR_MS).is_some());
    }

    #[test]
    fn a_watched_person_is_known_by_both_addresses_until_one_of_them_is_dropped() {
        let memory = Memory::default();
        assert!(memory.watch(["1@lid".into(), "6281@s.whatsapp.net".into()]));

        assert!(memory.watches("1@lid") && memory.watches("6281@s.whatsapp.net"));
        memory.unwatch("6281@s.whatsapp.net");
        assert!(!memory.watches("1@lid"));
    }

    #[test]
    fn no_more_are_watched_than_there_is_room_for() {
        let memory = Memory::default();
        let pair = |n: usize| [n.to_string(), format!("{n}@lid")];
        assert!((0..WATCHED_MAX).all(|n| memory.watch(pair(n))));
        assert!(memory.watch(pair(0)), "it is watched already");
        assert!(!memory.watch(pair(WATCHED_MAX)));
    }

    #[test]
    fn the_oldest_call_is_forgotten_first() {
        let memory = Memory::default();
        let call = |n: usize| Call { id: n.to_string(), from: Jid::pn("6281"), creator: Jid::pn("6281") };
        (0..=CALLS_MAX).for_each(|n| memory.rang(call(n)));

        assert_eq!(memory.call("0"), None);
        assert_eq!(memory.call("1"), Some(call(1)));
        memory.call_ended("1");
        assert_eq!(memory.call("1"), None);
    }
}
