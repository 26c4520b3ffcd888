//! Opening the store: lock, pragmas, schema, root key, instance id. Every refusal is one line that says what to do.

use super::Store;
use super::database::{BUSY_TIMEOUT, Batching, Database};
use super::migrations::{self, MigrationError};
use crate::domain::clock::Clock;
use crate::domain::secret::Secret;
use crate::telemetry::metrics::Metrics;
use crate::vault::{Vault, WrappedRoot};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The SQLite file; its folder is created when missing.
    pub path: PathBuf,
    pub readers: usize,
    pub batch_time_max: Duration,
    pub batch_requests_max: usize,
    /// A fixed name for this process among several gateways; by default one is made and persisted.
    pub instance_id: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot write to the data folder {folder}: {source}; make it writable or set DATABASE_PATH")]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("another process uses the database {path}: stop it, or set DATABASE_PATH to another file")]
    InUse { path: PathBuf },
    #[error("the database {path}: {reason}")]
    Schema { path: PathBuf, reason: String },
    #[error(
        "{path} is not a usable database ({source}): restore it from a backup, or set DATABASE_PATH to another file"
    )]
    Unusable { path: PathBuf, source: rusqlite::Error },
    #[error(
        "the master key does not open the database {path}: set MASTER_KEY to the one it was created with, \
         or restore the database that belongs to this key"
    )]
    WrongMasterKey { path: PathBuf },
    #[error("the root key in {path} is damaged: restore the database from a backup")]
    DamagedRoot { path: PathBuf },
    #[error("cannot start the store's threads: {0}")]
    Threads(std::io::Error),
}

const ROOT_KEY: &str = "root_key";
const INSTANCE_ID: &str = "instance_id";

impl Store {
    /// Opens or creates the store. `master_key` is the hash the vault derives its wrapping key from.
    pub fn open(
        settings: &StoreSettings,
        master_key: &Secret,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let path = &settings.path;
        let unusable = |source| OpenError::Unusable { path: path.clone(), source };
        let lock = lock(path)?;

        let mut writer = connect(path).map_err(unusable)?;
        migrations::apply(&mut writer, clock.now_ms()).map_err(|error| match error {
            MigrationError::Newer(_) => OpenError::Schema { path: path.clone(), reason: error.to_string() },
            MigrationError::Database(source) => unusable(source),
        })?;
        let vault = open_vault(&mut writer, path, master_key)?;
        let instance = match &settings.instance_id {
            Some(id) => id.clone(),
            None => {
                let fresh = format!("instance_{}", uuid::Uuid::now_v7().simple());
                let id = fact(&writer, INSTANCE_ID, fresh.as_bytes()).map_err(unusable)?;
                String::from_utf8_lossy(&id).into_owned()
            }
        };

        let readers = (0..settings.readers.max(1))
            .map(|_| connect(path).and_then(|conn| conn.execute_batch("PRAGMA query_only = ON").map(|()| conn)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unusable)?;
        let batching = Batching { time_max: settings.batch_time_max, requests_max: settings.batch_requests_max.max(1) };
        let db = Database::start(writer, readers, batching, metrics).map_err(OpenError::Threads)?;
        Ok(Self { db, vault: Arc::new(vault), clock, instance: instance.into(), _lock: Arc::new(lock) })
    }
}

/// Holds the folder for this process: two gateways on one file would knock each other's devices off.
fn lock(path: &Path) -> Result<File, OpenError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| OpenError::Folder { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let lock_path = path.with_extension("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = ON;
         PRAGMA cache_size = -16384;",
    )?;
    Ok(conn)
}

fn open_vault(conn: &mut Connection, path: &Path, master_key: &Secret) -> Result<Vault, OpenError> {
    let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
    let stored: Option<Vec<u8>> = conn
        .query_row("SELECT value FROM store_facts WHERE name = ?1", [ROOT_KEY], |row| row.get(0))
        .optional()
        .map_err(unusable)?;
    match stored {
        Some(bytes) => {
            let wrapped =
                WrappedRoot::from_bytes(&bytes).map_err(|_| OpenError::DamagedRoot { path: path.to_owned() })?;
            Vault::open(master_key, &wrapped).map_err(|_| OpenError::WrongMasterKey { path: path.to_owned() })
        }
        None => {
            let (vault, wrapped) = Vault::create(master_key);
            conn.execute(
                "INSERT INTO store_facts (name, value) VALUES (?1, ?2)",
                params![ROOT_KEY, wrapped.to_bytes()],
            )
            .map_err(unusable)?;
            Ok(vault)
        }
    }
}

/// Reads a fact, writing `fresh` first when there is none.
fn fact(conn: &Connection, name: &str, fresh: &[u8]) -> rusqlite::Result<Vec<u8>> {
    conn.execute(
        "INSERT INTO store_facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
        params![name, fresh],
    )?;
    conn.query_row("SELECT value FROM store_facts WHERE name = ?1", [name], |row| row.get(0))
}
