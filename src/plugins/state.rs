//! What an instance holds on the host's side: where it belongs, and what the call in hand may see and has written.

use super::grants::Granted;
use super::settings::Limits;
use crate::domain::aftermath::{KvEntry, KvWrite, PluginLine};
use crate::domain::clock::UnixMs;
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use crate::egress::Egress;
use crate::store::Store;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;
use wasmtime::{StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Handles a guest may hold: streams of an inert WASI, no more.
const HANDLES_MAX: usize = 256;
const TABLE_ELEMENTS_MAX: usize = 100_000;
const INSTANCES_MAX: usize = 60;
const MEMORIES_MAX: usize = 6;
const TABLES_MAX: usize = 40;
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// Bytes of media by handle.
pub type Media = BTreeMap<String, Vec<u8>>;

/// One tenant's plugin in one version: what all its instances share. Never shared between tenants.
pub(super) struct Home {
    pub(super) tenant: TenantId,
    pub(super) plugin: String,
    pub(super) sha256: String,
    pub(super) granted: Granted,
    pub(super) limits: Limits,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) store: Store,
    pub(super) egress: Egress,
    /// What a rehearsal has laid out.
    pub(super) media: Option<Arc<Media>>,
    /// The gateway's own files; in a rehearsal there are none.
    pub(super) library: Option<crate::media::Media>,
    pub(super) fetches: Window,
    pub(super) sends: Window,
}

/// At most so many in the last minute.
pub(super) struct Window {
    max: usize,
    times: Mutex<VecDeque<UnixMs>>,
}

impl Window {
    const MINUTE_MS: UnixMs = 60_000;

    pub(super) fn new(max: u32) -> Self {
        Self { max: max as usize, times: Mutex::default() }
    }

    /// Takes `count` places, all or none.
    pub(super) fn take(&self, count: usize, now: UnixMs) -> bool {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        while times.front().is_some_and(|at| *at <= now - Self::MINUTE_MS) {
            times.pop_front();
        }
        let fits = times.len() + count <= self.max;
        if fits {
            times.extend(std::iter::repeat_n(now, count));
        }
        fits
    }
}

/// The JSON document of an event, written and parsed once however many plugins ask.
pub(super) struct Document {
    value: serde_json::Value,
    text: OnceLock<String>,
}

impl Document {
    pub(super) fn new(value: serde_json::Value) -> Arc<Self> {
        Arc::new(Self { value, text: OnceLock::new() })
    }

    pub(super) fn text(&self) -> &str {
        self.text.get_or_init(|| self.value.to_string())
    }

    pub(super) fn value(&self) -> &serde_json::Value {
        &self.value
    }
}

/// What a call logs.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<PluginLine>>>);

impl Lines {
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }

    pub(super) fn push(&self, line: PluginLine) {
        self.all().push(line);
    }

    pub(super) fn take(&self) -> Vec<PluginLine> {
        std::mem::take(&mut *self.all())
    }

    fn all(&self) -> MutexGuard<'_, Vec<PluginLine>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Values as calls of the serving version read them, so that its shadow sees the same although they have changed since.
pub(super) type Reads = BTreeMap<String, Option<KvEntry>>;

/// Values that are kept for a shadow of one call; further ones it reads as they are by then.
const READS_MAX: usize = 1_000;
const READS_BYTES_MAX: usize = 1 << 20;
/// Fetches of one call that are told.
const FETCHES_TOLD_MAX: usize = 100;

/// What a call read, kept for a shadow.
#[derive(Default)]
pub(super) struct Recorder(Mutex<(Reads, usize)>);

impl Recorder {
    fn read(&self, key: &str, entry: Option<&KvEntry>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (reads, bytes) = &mut *kept;
        let size = key.len() + entry.map_or(0, |entry| entry.value.bytes().len());
        if reads.len() < READS_MAX && *bytes + size <= READS_BYTES_MAX && !reads.contains_key(key) {
            reads.insert(key.to_owned(), entry.cloned());
            *bytes += size;
        }
    }

    pub(super) fn into_reads(self) -> Reads {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).0
    }
}

/// One call of a hook.
pub(super) struct Call {
    /// The event, message or tick.
    pub(super) subject: String,
    pub(super) document: Arc<Document>,
    /// What earlier calls of this plugin wrote in the same run: seen, and committed with this one's.
    pub(super) earlier: Vec<KvWrite>,
    pub(super) writes: Vec<KvWrite>,
    /// Shared, so that they remain when the call is ended from outside.
    pub(super) lines: Lines,
    pub(super) fetches: u32,
    /// Method and address of what it fetched, or asked for.
    pub(super) fetched: Vec<String>,
    /// What it reads is kept, for a shadow.
    pub(super) recorder: Option<Recorder>,
    /// Of a shadow: values as the call beside it read them.
    pub(super) given: Arc<Reads>,
    /// Secrets it has read, to be blanked in what it logs.
    pub(super) revealed: Vec<Secret>,
    /// In `init` there is neither kv nor http.
    pub(super) in_init: bool,
    /// A shadow's effects reach nothing, so it has no http.
    pub(super) shadow: bool,
}

impl Call {
    pub(super) fn new(subject: impl Into<String>, document: Arc<Document>) -> Self {
        Self {
            subject: subject.into(),
            document,
            earlier: Vec::new(),
            writes: Vec::new(),
            lines: Lines::default(),
            fetches: 0,
            fetched: Vec::new(),
            recorder: None,
            given: Arc::default(),
            revealed: Vec::new(),
            in_init: false,
            shadow: false,
        }
    }

    pub(super) fn init() -> Self {
        Self { in_init: true, ..Self::new("init", Document::new(serde_json::Value::Null)) }
    }

    /// A value as this call sees it: what is committed, then what was written before in this run.
    pub(super) async fn seen(&self, home: &Home, key: &str) -> Result<Option<KvEntry>, crate::store::StoreError> {
        let mut entry = match self.given.get(key) {
            Some(given) => given.clone(),
            None => home.store.kv_entry(&home.tenant, &home.plugin, key).await?,
        };
        if let Some(recorder) = &self.recorder {
            recorder.read(key, entry.as_ref());
        }
        for write in self.earlier.iter().chain(&self.writes).filter(|write| write.key() == key) {
            // What moved meanwhile shows at the commit, and the call is run again.
            if let Ok(after) = write.apply(entry.clone()) {
                entry = after;
            }
        }
        Ok(entry)
    }
}

impl Call {
    /// Tells that it fetches. Without the query, which may hold what is secret.
    pub(super) fn tell_fetch(&mut self, method: &str, url: &url::Url) {
        if self.fetched.len() < FETCHES_TOLD_MAX {
            let host = url.host_str().unwrap_or_default();
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            self.fetched.push(format!("{method} {}://{host}{port}{}", url.scheme(), url.path()));
        }
    }
}

pub(super) struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) limits: StoreLimits,
    pub(super) home: Arc<Home>,
    pub(super) call: Call,
    pub(super) started: Instant,
}

impl State {
    pub(super) fn new(home: Arc<Home>) -> Self {
        // No files, sockets, environment, arguments; standard output goes nowhere.
        let mut wasi = WasiCtxBuilder::new();
        wasi.max_random_size(RANDOM_BYTES_MAX).allow_blocking_current_thread(false);
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let limits = StoreLimitsBuilder::new()
            .memory_size((home.limits.memory_mib as usize) << 20)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(INSTANCES_MAX)
            .memories(MEMORIES_MAX)
            .tables(TABLES_MAX)
            .build();
        Self { wasi: wasi.build(), table, limits, home, call: Call::init(), started: Instant::now() }
    }

    pub(super) fn call_time(&self) -> Duration {
        Duration::from_millis(u64::from(self.home.limits.call_ms))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
