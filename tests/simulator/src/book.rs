//! The messages a phone remembers: what a reaction, a quote, an edit or a vote refers to.

use crate::wa;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Messages of one phone; the oldest is forgotten.
pub(crate) const BOOK_MESSAGES_MAX: usize = 10_000;

pub(crate) struct Known {
    /// The author's phone number.
    pub(crate) author: String,
    pub(crate) message: wa::Message,
    /// Between the devices of one account, and no message of anybody.
    pub(crate) between_devices: bool,
}

#[derive(Default)]
pub(crate) struct Book {
    known: HashMap<String, Arc<Known>>,
    order: VecDeque<String>,
}

impl Book {
    pub(crate) fn remember(&mut self, id: &str, author: &str, message: &wa::Message) {
        self.note(id, Known { author: author.to_owned(), message: message.clone(), between_devices: false });
    }

    /// What this phone told a device of its own.
    pub(crate) fn remember_told(&mut self, id: &str, author: &str, message: &wa::Message) {
        self.note(id, Known { author: author.to_owned(), message: message.clone(), between_devices: true });
    }

    fn note(&mut self, id: &str, known: Known) {
        if self.known.insert(id.to_owned(), Arc::new(known)).is_none() {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > BOOK_MESSAGES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Known>> {
        self.known.get(id).cloned()
    }
}
