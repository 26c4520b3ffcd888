//! What a plugin costs, per language: a call on a reused and on a fresh instance, calls a second on two threads, memory of an
//! instance, compiling, loading, reloading; and beside it, in the same run, the same decision in native Rust and an HTTP
//! request to a service on this machine. Prints tables, asserts nothing. docs/benchmarks.md says what each row means.
//!
//! Everything goes through the pipeline as the inbox calls it: conversion of the event, grants, trace.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on should say where")]

use rijan::domain::clock::Clock;
use rijan::domain::event::{Event, EventType};
use rijan::domain::ids::{DeviceId, TenantId};
use rijan::domain::secret::Secret;
use rijan::egress::{AllowList, Egress, EgressSettings};
use rijan::plugins::pipeline::{Passed, Pipeline};
use rijan::plugins::settings::PluginSettings;
use rijan::plugins::{EngineSettings, Plugins, ReloadOutcome, Wanted};
use rijan::store::{NewKey, Store, StoreSettings};
use rijan::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CALLS: usize = 10_000;
const FRESH_CALLS: usize = 300;
const HOPS: usize = 2_000;
const TENANTS: usize = 1_000;
const PLUGINS_EACH: usize = 3;
const LANGUAGES: [&str; 4] = ["rust", "go", "js", "python"];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(measure());
}

async fn measure() {
    let build = if cfg!(debug_assertions) { "a debug build" } else { "a release build" };
    println!("\n{CALLS} calls on a reused instance, {FRESH_CALLS} on fresh ones; {build}\n");
    println!(
        "{:<12} {:>11} {:>11} {:>11} {:>11} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "reused p50", "reused p99", "fresh p50", "fresh p99", "calls/s", "memory", "compile", "load", "component"
    );
    println!(
        "{:<12} {:>11} {:>11} {:>11} {:>11} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "us", "us", "us", "us", "2 threads", "KiB each", "ms", "ms", "KiB"
    );
    native();
    hop().await;
    let mut found = Vec::new();
    for language in LANGUAGES {
        let file = guests().join(format!("{language}.wasm"));
        match std::fs::read(&file) {
            Ok(component) => {
                per_language(language, &component).await;
                found.push((language, component));
            }
            Err(_) => println!("{language:<12} is not built: plugins/build.sh builds it"),
        }
    }
    if let Some((_, component)) = found.iter().find(|(language, _)| *language == "rust") {
        many_tenants(component).await;
    }
}

fn guests() -> PathBuf {
    let beside = || Path::new(env!("CARGO_BIN_EXE_rijan")).ancestors().nth(2).unwrap().join("guests");
    std::env::var_os("RIJAN_GUESTS").map_or_else(beside, PathBuf::from)
}

struct World {
    plugins: Plugins,
    store: Store,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(cache: &Path, pool_instances: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let settings = StoreSettings {
            path: folder.path().join("rijan.db"),
            readers: 2,
            batch_time_max: Duration::from_millis(2),
            batch_requests_max: 64,
            instance_id: None,
        };
        let store = Store::open(&settings, &Secret::new("key"), Clock::system(), metrics.clone()).unwrap();
        let egress = EgressSettings {
            allow: AllowList::new(Vec::new()),
            connect_timeout: Duration::from_secs(1),
            answer_bytes_max: 1 << 16,
        };
        let engine = EngineSettings { cache: Some(cache.to_owned()), pool_instances };
        let plugins = Plugins::start(&engine, store.clone(), Egress::new(egress).unwrap(), metrics).unwrap();
        Self { plugins, store, _folder: folder }
    }

    async fn tenant(&self) -> TenantId {
        let tenant = TenantId::generate();
        let key = NewKey {
            name: "k".into(),
            hash: tenant.to_string(),
            scopes: vec![],
            allowed_ips: vec![],
            expires_at: i64::MAX,
        };
        self.store.create_tenant(tenant.clone(), "T", key).await.unwrap();
        tenant
    }

    async fn put(&self, tenant: &TenantId, name: &str, sha256: &str, fresh: bool) {
        let isolation = if fresh { "fresh" } else { "reused" };
        let settings = json!({
            "isolation": isolation,
            "limits": { "call_ms": 60_000, "instances": 1, "calls_per_instance": 1_000_000 },
            "grants": { "imports": ["secrets", "kv", "http", "media"], "effects": ["reply"] },
        });
        let wanted = Wanted {
            name: name.into(),
            managed_by: "api".into(),
            enabled: true,
            sha256: sha256.into(),
            file: None,
            settings: PluginSettings::from_json(&settings).unwrap(),
            secrets: BTreeMap::new(),
            trial: None,
        };
        assert_eq!(self.plugins.put(tenant, wanted).await.unwrap(), ReloadOutcome::Swapped);
    }

    fn pipeline(&self, tenant: &TenantId) -> Arc<Pipeline> {
        self.plugins.pipeline(tenant).unwrap()
    }
}

async fn per_language(language: &str, component: &[u8]) {
    let cache = tempfile::tempdir().unwrap();
    let world = World::new(cache.path(), 200);
    let (sha256, _) = world.plugins.keep(component.to_vec()).await.unwrap();
    let tenant = world.tenant().await;
    let began = Instant::now();
    world.put(&tenant, "one", &sha256, false).await;
    let compile = began.elapsed();

    let pipeline = world.pipeline(&tenant);
    let reused = calls(&pipeline, &tenant, CALLS).await;
    let throughput = two_threads(&world, &tenant, &sha256).await;
    let fresh_tenant = world.tenant().await;
    world.put(&fresh_tenant, "one", &sha256, true).await;
    let fresh = calls(&world.pipeline(&fresh_tenant), &fresh_tenant, FRESH_CALLS).await;

    let before = rss();
    let kept = 40;
    for _ in 0..kept {
        let tenant = world.tenant().await;
        world.put(&tenant, "one", &sha256, false).await;
        calls(&world.pipeline(&tenant), &tenant, 1).await;
    }
    let memory = rss().saturating_sub(before) / 1024 / kept;

    // The cache's files are written by a thread of its own.
    let again = World::new(cache.path(), 10);
    let (sha256, _) = again.plugins.keep(component.to_vec()).await.unwrap();
    let tenant = again.tenant().await;
    let began = Instant::now();
    again.put(&tenant, "one", &sha256, false).await;
    let load = began.elapsed();
    line(
        language,
        Some((&reused, Some(&fresh))),
        Some(throughput),
        Some(memory),
        Some((compile, load)),
        Some(component.len() / 1024),
    );
}

async fn two_threads(world: &World, first: &TenantId, sha256: &str) -> f64 {
    let second = world.tenant().await;
    world.put(&second, "one", sha256, false).await;
    let began = Instant::now();
    let tasks: Vec<_> = [first.clone(), second]
        .into_iter()
        .map(|tenant| {
            let pipeline = world.pipeline(&tenant);
            tokio::spawn(async move { calls(&pipeline, &tenant, CALLS / 2).await.len() })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    done as f64 / began.elapsed().as_secs_f64()
}

async fn many_tenants(component: &[u8]) {
    let cache = tempfile::tempdir().unwrap();
    let instances = TENANTS * PLUGINS_EACH;
    let world = World::new(cache.path(), u32::try_from(instances + 100).unwrap());
    let (sha256, _) = world.plugins.keep(component.to_vec()).await.unwrap();
    let before = rss();
    let began = Instant::now();
    for _ in 0..TENANTS {
        let tenant = world.tenant().await;
        for number in 0..PLUGINS_EACH {
            world.put(&tenant, &format!("p{number}"), &sha256, false).await;
        }
        calls(&world.pipeline(&tenant), &tenant, 1).await;
    }
    let (took, memory) = (began.elapsed(), rss().saturating_sub(before));
    println!(
        "\n{TENANTS} tenants with {PLUGINS_EACH} plugins in Rust each, one instance kept of every plugin: {} MiB, {:.1} KiB \
         each; installed in {:.1} s",
        memory >> 20,
        memory as f64 / 1024.0 / instances as f64,
        took.as_secs_f64()
    );
}

/// Times of single calls, in order.
async fn calls(pipeline: &Pipeline, tenant: &TenantId, count: usize) -> Vec<Duration> {
    let event = event(tenant);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let event = event.clone();
        let began = Instant::now();
        let passed = pipeline.on_event(event, true).await;
        times.push(began.elapsed());
        let Passed::Decided(decided) = passed else { continue };
        assert_ne!(decided.aftermath.traces[0].decision, "error", "{:?}", decided.aftermath.traces);
    }
    times.sort();
    times
}

fn event(tenant: &TenantId) -> Event {
    let data = json!({
        "id": "3EB0", "chat": "6281100000002@s.whatsapp.net", "from": "6281100000002@s.whatsapp.net", "fromMe": false,
        "isGroup": false, "type": "text", "text": "hi there, is anybody in?", "timestamp": 1_700_000_000,
        "sender": { "contactId": "6281100000002@s.whatsapp.net", "jid": "6281100000002@s.whatsapp.net",
            "phone": "6281100000002", "lid": null, "name": "Budi" },
    });
    Event::new(tenant.clone(), Some(DeviceId::generate()), EventType::MessageReceived, 1_700_000_000_000, data)
}

/// The decision of the example on the same event, as a function.
fn native() {
    let event = event(&TenantId::generate());
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        let text = black_box(&event).data["text"].as_str().unwrap_or_default();
        let blocked = text.to_lowercase().contains("spam");
        black_box((blocked, text.split_once(' ').map(|(word, _)| word.to_lowercase())));
        times.push(began.elapsed());
    }
    times.sort();
    line("native", Some((&times, None)), None, None, None, None);
}

/// The same by a service: the event as JSON to a server on this machine, and its answer.
async fn hop() {
    let decide = axum::routing::post(|axum::Json(event): axum::Json<Value>| async move {
        let blocked = event["text"].as_str().unwrap_or_default().to_lowercase().contains("spam");
        axum::Json(json!({ "verdict": if blocked { "drop" } else { "pass" } }))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/", decide)).await });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let data = event(&TenantId::generate()).data;
    let mut times = Vec::with_capacity(HOPS);
    for _ in 0..HOPS {
        let began = Instant::now();
        let answer: Value = client.post(&url).json(&data).send().await.unwrap().json().await.unwrap();
        times.push(began.elapsed());
        assert_eq!(answer["verdict"], "pass");
    }
    times.sort();
    line("http hop", Some((&times, None)), None, None, None, None);
}

type Times<'a> = (&'a [Duration], Option<&'a Vec<Duration>>);

fn line(
    name: &str,
    times: Option<Times<'_>>,
    throughput: Option<f64>,
    memory_kib: Option<usize>,
    made: Option<(Duration, Duration)>,
    component_kib: Option<usize>,
) {
    let at = |times: &[Duration], percent: usize| {
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        format!("{:.1}", times[place].as_secs_f64() * 1e6)
    };
    let or = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let reused = times.map(|(reused, _)| reused);
    let fresh = times.and_then(|(_, fresh)| fresh);
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    println!(
        "{name:<12} {:>11} {:>11} {:>11} {:>11} {:>10} {:>10} {:>10} {:>10} {:>10}",
        or(reused.map(|times| at(times, 50))),
        or(reused.map(|times| at(times, 99))),
        or(fresh.map(|times| at(times, 50))),
        or(fresh.map(|times| at(times, 99))),
        or(throughput.map(|rate| format!("{rate:.0}"))),
        or(memory_kib.map(|kib| kib.to_string())),
        or(made.map(|(compile, _)| ms(compile))),
        or(made.map(|(_, load)| ms(load))),
        or(component_kib.map(|kib| kib.to_string())),
    );
}

/// Resident memory of this process, bytes.
fn rss() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
