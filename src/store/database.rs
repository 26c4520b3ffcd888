//! One SQLite file: a writer thread that commits many requests with one fsync, and a few reader threads.
//!
//! A write runs in a savepoint of the batch's transaction: its failure undoes it alone. Its caller hears back after the
//! commit. A batch closes at `batch_rows_max` requests or `batch_ms_max` of work, whichever is first; nobody waits for
//! a batch to fill. Queues are bounded: a full one makes the caller wait, which is the back-pressure.

use super::wake::{Topic, Touched, Wakes};
use super::{Result, StoreError};
use crate::domain::ids::{DeviceId, TenantId};
use crate::telemetry::metrics::Metrics;
use rusqlite::Connection;
use std::cell::RefCell;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Requests waiting for the writer; more make their callers wait.
const WRITE_QUEUE_MAX: usize = 4_096;
/// Requests waiting for a reader; more make their callers wait.
const READ_QUEUE_MAX: usize = 1_024;
/// How long a connection waits for another one's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements each connection keeps prepared.
const STATEMENTS_CACHED_MAX: usize = 256;

/// How the writer batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batching {
    pub time_max: Duration,
    pub requests_max: usize,
}

/// A write in progress. Derefs to the connection for SQL.
pub struct Tx<'a> {
    conn: &'a Connection,
    touched: RefCell<Touched>,
}

impl Tx<'_> {
    /// Wakes the topic's waiters after the commit.
    pub fn wake(&self, topic: Topic) {
        self.touched.borrow_mut().topic(topic);
    }

    /// Wakes who sends for this device after the commit.
    pub fn wake_outbox(&self, device: &DeviceId) {
        self.touched.borrow_mut().outbox(device);
    }

    /// Wakes who follows this tenant's log after the commit: something was told, or who may hear it has changed.
    pub fn wake_log(&self, tenant: &TenantId) {
        self.touched.borrow_mut().log(tenant);
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.conn
    }
}

/// Told how the commit went; sends the answer to the caller.
type Finish = Box<dyn FnOnce(std::result::Result<(), Arc<rusqlite::Error>>) + Send>;

/// Runs in its savepoint; says whether to keep it.
type Operation = Box<dyn FnOnce(&Tx<'_>) -> (bool, Finish) + Send>;

enum WriteRequest {
    Run(Operation),
    /// Moves what the log holds into the database file, and empties the log.
    Checkpoint(oneshot::Sender<rusqlite::Result<bool>>),
    Stop(oneshot::Sender<()>),
}

type ReadRequest = Box<dyn FnOnce(&mut Connection) + Send>;

#[derive(Clone)]
pub(super) struct Database {
    writer: mpsc::Sender<WriteRequest>,
    readers: mpsc::Sender<ReadRequest>,
    wakes: Arc<Wakes>,
}

impl Database {
    /// Takes over a writer connection and the readers', each already set up.
    pub(super) fn start(
        writer: Connection,
        readers: Vec<Connection>,
        batching: Batching,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let wakes = Arc::new(Wakes::new());
        let (write_queue, requests) = mpsc::channel(WRITE_QUEUE_MAX);
        let writer_loop = Writer { conn: writer, batching, wakes: wakes.clone(), metrics };
        std::thread::Builder::new().name("store-writer".into()).spawn(move || writer_loop.run(requests))?;

        let (read_queue, requests) = mpsc::channel::<ReadRequest>(READ_QUEUE_MAX);
        let requests = Arc::new(Mutex::new(requests));
        for (index, mut conn) in readers.into_iter().enumerate() {
            conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
            let requests = requests.clone();
            std::thread::Builder::new().name(format!("store-reader-{index}")).spawn(move || {
                loop {
                    let next = match requests.lock() {
                        Ok(mut queue) => queue.blocking_recv(),
                        Err(_) => None,
                    };
                    let Some(read) = next else { break };
                    // A panic answers its caller by dropping the channel; the reader goes on.
                    let _ = catch_unwind(AssertUnwindSafe(|| read(&mut conn)));
                }
            })?;
        }
        Ok(Self { writer: write_queue, readers: read_queue, wakes })
    }

    pub(super) fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// Runs `operation` in a transaction and returns once it is on disk.
    pub(super) async fn write<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let run = Box::new(move |tx: &Tx<'_>| {
            let result = catch_unwind(AssertUnwindSafe(|| operation(tx))).unwrap_or(Err(StoreError::Panicked));
            let keep = result.is_ok();
            let finish: Finish = Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result,
                    Err(error) => result.and(Err(StoreError::Commit(error))),
                };
                // A caller that went away does not undo what is committed.
                let _ = answer.send(result);
            });
            (keep, finish)
        });
        self.writer.send(WriteRequest::Run(run)).await.map_err(|_| StoreError::Closed)?;
        // The writer drops a request it could not begin.
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `query` on a reader, which sees everything that was committed when it starts.
    pub(super) async fn read<T, F>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let run: ReadRequest = Box::new(move |conn| {
            let _ = answer.send(query(conn));
        });
        self.readers.send(run).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Panicked)?
    }

    /// Whether what was committed so far is in the database file alone now. It is not while a reader holds on to the log, and
    /// nobody waits for one.
    pub(super) async fn checkpoint(&self) -> Result<bool> {
        let (done, finished) = oneshot::channel();
        self.writer.send(WriteRequest::Checkpoint(done)).await.map_err(|_| StoreError::Closed)?;
        Ok(finished.await.map_err(|_| StoreError::Closed)??)
    }

    pub(super) async fn close(&self) {
        let (done, stopped) = oneshot::channel();
        if self.writer.send(WriteRequest::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

struct Writer {
    conn: Connection,
    batching: Batching,
    wakes: Arc<Wakes>,
    metrics: Arc<Metrics>,
}

impl Writer {
    fn run(self, mut requests: mpsc::Receiver<WriteRequest>) {
        self.conn.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
        while let Some(first) = requests.blocking_recv() {
            let first = match first {
                WriteRequest::Checkpoint(done) => {
                    let _ = done.send(self.checkpoint());
                    continue;
                }
                other => other,
            };
            if let Some(done) = self.batch(first, &mut requests) {
                if let Err(error) = self.truncate_log() {
                    tracing::warn!(%error, "the database's log is left for the next start");
                }
                let _ = done.send(());
                return;
            }
        }
    }

    /// As far as nobody has to be waited for.
    fn checkpoint(&self) -> rusqlite::Result<bool> {
        self.conn.busy_timeout(Duration::ZERO)?;
        let whole = self.truncate_log();
        self.conn.busy_timeout(BUSY_TIMEOUT)?;
        whole
    }

    fn truncate_log(&self) -> rusqlite::Result<bool> {
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
    }

    /// Runs requests until the queue is empty or the batch is full, commits, answers. Returns who asked to stop.
    fn batch(&self, first: WriteRequest, requests: &mut mpsc::Receiver<WriteRequest>) -> Option<oneshot::Sender<()>> {
        let began = Instant::now();
        let mut finishes: Vec<Finish> = Vec::new();
        let mut touched = Touched::default();
        let (mut stop, mut checkpoints) = (None, Vec::new());
        let mut begun = self.conn.execute_batch("BEGIN IMMEDIATE").map_err(Arc::new);
        let mut next = Some(first);
        while let Some(request) = next.take() {
            match request {
                WriteRequest::Stop(done) => {
                    stop = Some(done);
                    break;
                }
                WriteRequest::Checkpoint(done) => {
                    checkpoints.push(done);
                    break;
                }
                WriteRequest::Run(run) => {
                    // Without a transaction nothing may run: the caller hears that the store did not take it.
                    if begun.is_ok() {
                        let (finish, topics) = self.one(run, &mut begun);
                        finishes.push(finish);
                        touched.merge(&topics);
                    }
                }
            }
            if finishes.len() < self.batching.requests_max && began.elapsed() < self.batching.time_max {
                next = requests.try_recv().ok();
            }
        }
        let committed = begun.and_then(|()| self.conn.execute_batch("COMMIT").map_err(Arc::new));
        if let Err(error) = &committed {
            tracing::error!(%error, "a batch of the store was not committed");
            let _ = self.conn.execute_batch("ROLLBACK");
        } else {
            self.wakes.fire(&touched);
        }
        self.metrics.store_commit(began.elapsed(), finishes.len());
        for finish in finishes {
            finish(committed.clone());
        }
        for done in checkpoints {
            let _ = done.send(self.checkpoint());
        }
        stop
    }

    fn one(&self, run: Operation, begun: &mut std::result::Result<(), Arc<rusqlite::Error>>) -> (Finish, Touched) {
        let tx = Tx { conn: &self.conn, touched: RefCell::default() };
        *begun = self.statement("SAVEPOINT request");
        let (keep, finish) = run(&tx);
        if !keep && begun.is_ok() {
            *begun = self.statement("ROLLBACK TO request");
        }
        // A full disk makes SQLite end the whole transaction; what follows would commit one by one.
        if self.conn.is_autocommit() {
            *begun = Err(Arc::new(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
                Some("the transaction was rolled back by the database".into()),
            )));
        } else if begun.is_ok() {
            *begun = self.statement("RELEASE request");
        }
        (finish, if keep { tx.touched.into_inner() } else { Touched::default() })
    }

    fn statement(&self, sql: &str) -> std::result::Result<(), Arc<rusqlite::Error>> {
        let mut statement = self.conn.prepare_cached(sql).map_err(Arc::new)?;
        statement.execute([]).map(|_| ()).map_err(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database whose commit fails when a child without its parent was written, because that is checked only then.
    fn database() -> Database {
        let conn = Connection::open_in_memory().expect("in memory");
        conn.execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE parents (id INTEGER PRIMARY KEY);
             CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);",
        )
        .expect("tables");
        let batching = Batching { time_max: Duration::from_millis(2), requests_max: 16 };
        Database::start(conn, Vec::new(), batching, Arc::new(Metrics::new().expect("metrics"))).expect("starts")
    }

    #[tokio::test]
    async fn who_wrote_in_a_batch_that_was_not_committed_hears_of_it_and_is_not_woken() {
        let database = database();
        let mut inbox = database.wakes().watch(Topic::Inbox);

        let written = database
            .write(|tx| {
                tx.execute("INSERT INTO children VALUES (1)", [])?;
                tx.wake(Topic::Inbox);
                Ok(())
            })
            .await;

        assert!(matches!(written, Err(StoreError::Commit(_))), "{written:?}");
        let children =
            database.write(|tx| Ok(tx.query_row("SELECT count(*) FROM children", [], |row| row.get::<_, i64>(0))?));
        assert_eq!(children.await.expect("the next batch is not held up"), 0);
        assert!(tokio::time::timeout(Duration::ZERO, inbox.changed()).await.is_err(), "nothing changed");
    }

    #[tokio::test]
    async fn a_request_that_fails_undoes_itself_alone() {
        let database = database();
        let failing = database.write(|tx| {
            tx.execute("INSERT INTO parents VALUES (1)", [])?;
            Err::<(), _>(StoreError::NotFound)
        });
        let panicking = database.write(|tx| -> Result<()> {
            tx.execute("INSERT INTO parents VALUES (2)", [])?;
            panic!("asked to")
        });
        let good = database.write(|tx| Ok(tx.execute("INSERT INTO parents VALUES (3)", [])?));

        let (failed, panicked, done) = tokio::join!(failing, panicking, good);

        assert!(matches!(failed, Err(StoreError::NotFound)) && matches!(panicked, Err(StoreError::Panicked)));
        assert_eq!(done.expect("is kept"), 1);
        let kept =
            database.write(|tx| Ok(tx.query_row("SELECT sum(id) FROM parents", [], |row| row.get::<_, i64>(0))?));
        assert_eq!(kept.await.expect("reads"), 3);
    }
}
