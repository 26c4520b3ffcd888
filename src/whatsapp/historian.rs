//! From the phone's word that there is a file of history to the end of that file in the store: beside the connection, one
//! file at a time.
//!
//! The client library hands each word over as a task when it has decrypted it; the word's message goes the way of every
//! message, and is noted there as missing (`store::Word`). The task waits until that is so: with it the library tells WhatsApp
//! that the file came, and fetches it. The transaction of the file's last part marks the word. Whatever ends before that (a
//! kill, a stop, a failing download, a full queue, a full disk) leaves it missing, and the phone is asked for it on a later
//! connection. Nobody waits for a file here.

use super::history::{Reading, take_in};
use crate::domain::ids::TenantId;
use crate::store::{Lease, Store};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use wacore::runtime::wait_for_shutdown;
use wacore::types::events::Event;
use whatsapp_rust::client::Client;
use whatsapp_rust::sync_task::MajorSyncTask;

/// Words that wait to be noted, and as many that wait for their file to be read; the phone is asked for more later.
const WORDS_QUEUED_MAX: usize = 256;
/// Of files that are part of their word, in all of those.
const INLINE_KIB_MAX: usize = 64 << 10;

/// Where a connection's words meet: as tasks of the client, as messages that are noted, and as the files themselves.
pub(super) struct Historian {
    words: Mutex<Words<Queued>>,
    ready: mpsc::Sender<(String, Queued)>,
    room: Arc<Semaphore>,
    /// What the client made of the task that it has in hand.
    file: Mutex<Option<Arc<Event>>>,
}

/// Whose history it is, and where it goes.
pub(super) struct Keeper {
    pub(super) store: Store,
    pub(super) tenant: TenantId,
    pub(super) lease: Lease,
}

/// Words that are noted, for `Historian::start`.
pub(super) type Ready = mpsc::Receiver<(String, Queued)>;

pub(super) struct Queued {
    task: MajorSyncTask,
    _room: OwnedSemaphorePermit,
}

impl Historian {
    pub(super) fn new() -> (Arc<Self>, Ready) {
        let (ready, queue) = mpsc::channel(WORDS_QUEUED_MAX);
        let room = Arc::new(Semaphore::new(INLINE_KIB_MAX));
        (Arc::new(Self { words: Mutex::default(), ready, room, file: Mutex::default() }), queue)
    }

    /// Does what the client hands over, until the client is gone.
    pub(super) fn start(
        self: Arc<Self>,
        client: &Arc<Client>,
        tasks: async_channel::Receiver<MajorSyncTask>,
        mut ready: Ready,
        keeper: Keeper,
    ) {
        let (historian, served) = (Arc::downgrade(&self), Arc::downgrade(client));
        tokio::spawn(async move {
            while let Some((word, queued)) = ready.recv().await {
                let (Some(historian), Some(client)) = (historian.upgrade(), served.upgrade()) else { return };
                historian.fetch(client, &keeper, &word, queued).await;
            }
        });
        let served = Arc::downgrade(client);
        tokio::spawn(async move {
            // The client waits when its queue is full, with messages behind it: so it is emptied at once.
            while let Ok(task) = tasks.recv().await {
                self.came(task, &served).await;
            }
        });
    }

    /// The messages with these ids are words, and noted.
    pub(super) fn noted<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        for id in ids {
            let met = locked(&self.words).noted(id);
            if let Some(queued) = met {
                self.read_later(id.to_owned(), queued);
            }
        }
    }

    /// The client has fetched a file.
    pub(super) fn put(&self, file: Arc<Event>) {
        *locked(&self.file) = Some(file);
    }

    async fn came(&self, task: MajorSyncTask, client: &Weak<Client>) {
        let MajorSyncTask::HistorySync { message_id, notification, .. } = &task else {
            if let Some(client) = client.upgrade() {
                client.process_sync_task(task).await;
            }
            return;
        };
        let word = message_id.clone();
        let inline = notification.inline_payload.as_ref().map_or(0, |payload| payload.len().div_ceil(1 << 10));
        let room = u32::try_from(inline).ok().and_then(|kib| self.room.clone().try_acquire_many_owned(kib).ok());
        let Some(room) = room else { return left_out(&word) };
        let met = locked(&self.words).came(&word, Queued { task, _room: room });
        match met {
            Met::Both(queued) => self.read_later(word, queued),
            Met::NotYet => {}
            Met::NoRoom => left_out(&word),
        }
    }

    fn read_later(&self, word: String, queued: Queued) {
        if let Err(error) = self.ready.try_send((word, queued)) {
            left_out(&error.into_inner().0);
        }
    }

    /// Fetches a file and takes it in, to its end.
    async fn fetch(&self, client: Arc<Client>, keeper: &Keeper, word: &str, queued: Queued) {
        let Keeper { store, tenant, lease } = keeper;
        locked(&self.file).take();
        let ended = client.shutdown_signal();
        tokio::select! {
            biased;
            () = client.process_sync_task(queued.task) => {}
            () = wait_for_shutdown(&ended) => {}
        }
        let is_cut_off = !client.is_connected() || ended.is_fired();
        drop(client);
        let file = locked(&self.file).take();
        let reading = match file {
            Some(file) => take_in(store, tenant, lease, word, file).await,
            None if is_cut_off => Reading::CutOff,
            None => Reading::Failed,
        };
        if reading == Reading::Done {
            return;
        }
        let device = &lease.device;
        tracing::warn!(%device, word, ?reading, "a file of history was not read to its end; the phone is asked for it later");
        if reading == Reading::Failed
            && let Err(error) = store.failed_history(lease, word).await
        {
            tracing::error!(%device, word, %error, "that a file of history failed could not be written");
        }
    }
}

fn left_out(word: &str) {
    tracing::warn!(word, "the phone gives more history than may wait; it is asked for this file later");
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Words of which one half is here.
struct Words<T> {
    came: HashMap<String, T>,
    noted: HashSet<String>,
}

/// The other half of a word that came.
#[derive(Debug, PartialEq, Eq)]
enum Met<T> {
    Both(T),
    NotYet,
    NoRoom,
}

impl<T> Default for Words<T> {
    fn default() -> Self {
        Self { came: HashMap::new(), noted: HashSet::new() }
    }
}

impl<T> Words<T> {
    fn came(&mut self, word: &str, task: T) -> Met<T> {
        if self.noted.remove(word) {
            return Met::Both(task);
        }
        if self.came.len() >= WORDS_QUEUED_MAX {
            return Met::NoRoom;
        }
        self.came.insert(word.to_owned(), task);
        Met::NotYet
    }

    /// One that is noted twice stays behind here; its like are forgotten at the limit, and cost at worst that a file is asked
    /// for.
    fn noted(&mut self, word: &str) -> Option<T> {
        let task = self.came.remove(word);
        if task.is_none() {
            if self.noted.len() >= WORDS_QUEUED_MAX {
                self.noted.clear();
            }
            self.noted.insert(word.to_owned());
        }
        task
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_fetched_when_its_word_has_come_and_is_noted_in_whichever_order() {
        let mut words = Words::default();
        assert_eq!(words.came("A", 1), Met::NotYet);
        assert_eq!(words.noted("A"), Some(1));

        assert_eq!(words.noted("B"), None);
        assert_eq!(words.came("B", 2), Met::Both(2));

        assert_eq!(words.came("A", 3), Met::NotYet, "each time that it comes it is noted");
    }

    #[test]
    fn what_waits_is_bounded_on_both_sides() {
        let mut words = Words::default();
        for number in 0..WORDS_QUEUED_MAX {
            assert_eq!(words.came(&number.to_string(), number), Met::NotYet);
        }
        assert_eq!(words.came("more", 0), Met::NoRoom);
        assert_eq!(words.noted("0"), Some(0), "those before are still there");

        for number in 0..=WORDS_QUEUED_MAX {
            words.noted(&format!("noted {number}"));
        }
        assert_eq!(words.noted.len(), 1);
    }
}
