//! A linked device: a real client. Of its keys the server holds the public halves only.

use crate::line::Line;
use crate::signal::Bundle;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use wacore_binary::Node;

/// Stanzas that wait for one device, sent or not. At the limit the oldest goes, and `dropped` counts it.
pub(crate) const WAITING_STANZAS_MAX: usize = 100_000;

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
    /// For its next login.
    pub(crate) offline: VecDeque<Arc<Node>>,
    /// Sent but not acknowledged; back to `offline` when the connection goes.
    pub(crate) unacknowledged: Unacknowledged,
    pub(crate) dropped: u64,
    pub(crate) has_sync_keys: bool,
    pub(crate) has_history: bool,
    /// Told that its one-time keys run out, and has not sent more yet.
    pub(crate) asked_for_prekeys: bool,
    pub(crate) removed: bool,
    /// Whose presence it asked for on this connection, by phone number.
    pub(crate) watching: BTreeSet<String>,
    /// Stanzas that faults hold back until the next one has passed them.
    pub(crate) held_back: Vec<Node>,
}

impl Companion {
    pub(crate) fn new(noise_key: [u8; 32], identity: [u8; 32], registration: u32, key_index: u32) -> Self {
        Self {
            noise_key,
            identity,
            registration,
            key_index,
            signed_identity: Vec::new(),
            signed_prekey: None,
            prekeys: VecDeque::new(),
            line: None,
            active: false,
            offline: VecDeque::new(),
            unacknowledged: Unacknowledged::default(),
            dropped: 0,
            has_sync_keys: false,
            has_history: false,
            asked_for_prekeys: false,
            removed: false,
            watching: BTreeSet::new(),
            held_back: Vec::new(),
        }
    }

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
        let node = Arc::new(node);
        match &self.line {
            Some(line) if self.active => {
                line.send(node.clone());
                self.unacknowledged.add(node);
            }
            _ => self.offline.push_back(node),
        }
        while self.waiting() > WAITING_STANZAS_MAX {
            self.dropped += 1;
            if self.unacknowledged.forget_oldest().is_none() {
                self.offline.pop_front();
            }
        }
    }

    /// Live when the client is there, else never.
    pub(crate) fn flash(&self, node: Node) {
        if let Some(line) = self.line.as_ref().filter(|_| self.active) {
            line.send(node);
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.offline.len() + self.unacknowledged.len()
    }

    /// What was not acknowledged comes first at the next login.
    pub(crate) fn went_offline(&mut self) {
        self.active = false;
        for node in self.unacknowledged.take_all().into_iter().rev() {
            self.offline.push_front(node);
        }
    }
}

/// Stanzas in the order they were sent, to be confirmed by their id.
#[derive(Default)]
pub(crate) struct Unacknowledged {
    nodes: BTreeMap<u64, Arc<Node>>,
    by_id: HashMap<String, Vec<u64>>,
    next: u64,
}

impl Unacknowledged {
    pub(crate) fn add(&mut self, node: Arc<Node>) {
        if let Some(id) = node.attrs.get("id") {
            self.by_id.entry(id.as_str().to_string()).or_default().push(self.next);
        }
        self.nodes.insert(self.next, node);
        self.next += 1;
    }

    /// The oldest stanza with this id and its repeats. One that was sealed anew for who could not read the first is
    /// another stanza, and waits for a confirmation of its own.
    pub(crate) fn confirm(&mut self, id: &str) {
        let Some(places) = self.by_id.get_mut(id) else { return };
        let Some(oldest) = places.first().and_then(|place| self.nodes.get(place)).cloned() else { return };
        places.retain(|place| {
            let repeat = self.nodes.get(place).is_none_or(|node| *node == oldest);
            if repeat {
                self.nodes.remove(place);
            }
            !repeat
        });
        if places.is_empty() {
            self.by_id.remove(id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn forget_oldest(&mut self) -> Option<Arc<Node>> {
        let (place, node) = self.nodes.pop_first()?;
        if let Some(id) = node.attrs.get("id").map(|id| id.as_str().to_string())
            && let Some(places) = self.by_id.get_mut(&id)
        {
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.by_id.remove(&id);
            }
        }
        Some(node)
    }

    fn take_all(&mut self) -> Vec<Arc<Node>> {
        self.by_id.clear();
        std::mem::take(&mut self.nodes).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    fn node(id: usize) -> Node {
        NodeBuilder::new("message").attr("id", id.to_string()).build()
    }

    fn companion() -> Companion {
        Companion::new([0; 32], [0; 32], 1, 1)
    }

    #[test]
    fn a_confirmation_takes_every_copy_and_the_rest_waits_in_order() {
        let mut unacknowledged = Unacknowledged::default();
        for id in [1, 2, 1, 3] {
            unacknowledged.add(Arc::new(node(id)));
        }

        unacknowledged.confirm("1");

        let left: Vec<Node> = unacknowledged.take_all().iter().map(|node| (**node).clone()).collect();
        assert_eq!(left, [node(2), node(3)]);
    }

    #[test]
    fn what_was_sealed_anew_waits_for_a_confirmation_of_its_own() {
        let anew = NodeBuilder::new("message").attr("id", "1").attr("sealed", "anew").build();
        let mut unacknowledged = Unacknowledged::default();
        for node in [node(1), anew.clone()] {
            unacknowledged.add(Arc::new(node));
        }

        unacknowledged.confirm("1");
        assert_eq!(unacknowledged.nodes.values().map(|node| (**node).clone()).collect::<Vec<_>>(), [anew]);
        unacknowledged.confirm("1");
        assert_eq!((unacknowledged.len(), unacknowledged.by_id.len()), (0, 0));
    }

    #[test]
    fn at_the_limit_the_oldest_goes_and_is_counted() {
        let mut companion = companion();

        for id in 0..WAITING_STANZAS_MAX + 3 {
            companion.push(node(id));
        }

        assert_eq!((companion.waiting(), companion.dropped), (WAITING_STANZAS_MAX, 3));
        assert_eq!(companion.offline.front().map(|first| (**first).clone()), Some(node(3)));
    }
}
