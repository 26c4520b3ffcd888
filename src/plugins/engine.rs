//! The one WASM engine of the process: how components are compiled, where their memory comes from, what ticks.
//!
//! Instances come from a pool of fixed slots, which makes starting one cheap. What does not fit the pool any more gets its
//! memory from the system: slower, and bounded all the same by each plugin's own limits.

use super::bindings::FullPlugin;
use super::state::State;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolConcurrencyLimitError};

/// Guests are interrupted this often: a call that computes gives way to others, and its time limit is looked at.
const EPOCH_TICK: Duration = Duration::from_millis(10);
/// Bytes of address space of one memory; its limit may not be larger.
const MEMORY_BYTES_MAX: usize = 256 << 20;
const TABLE_ELEMENTS_MAX: usize = 100_000;
const WASM_STACK_BYTES_MAX: usize = 512 << 10;
const ASYNC_STACK_BYTES: usize = 1 << 20;
/// Python components are made of more than a dozen core instances; others of two to five.
const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 40;
const MEMORIES_PER_COMPONENT_MAX: u32 = 4;
const TABLES_PER_COMPONENT_MAX: u32 = 20;
/// Files of compiled components; the oldest go beyond it.
const CACHE_BYTES_MAX: u64 = 4 << 30;

#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// A folder that only the gateway writes: what lies there is run. None compiles anew at each start.
    pub cache: Option<PathBuf>,
    /// Instances that the pool has room for.
    pub pool_instances: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot start the plugin engine: {0}")]
pub struct EngineError(String);

/// Cheap to clone.
#[derive(Clone)]
pub struct PluginEngine(Arc<Inner>);

struct Inner {
    pooled: Side,
    on_demand: Side,
}

/// An engine and what its components are linked with.
pub(super) struct Side {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
}

impl PluginEngine {
    pub fn start(settings: &EngineSettings) -> Result<Self, EngineError> {
        let failed = |error: wasmtime::Error| EngineError(format!("{error:#}"));
        let cache = settings.cache.as_ref().map(|folder| cache(folder)).transpose().map_err(failed)?;
        let pool = pool(settings.pool_instances);
        let side = |strategy: InstanceAllocationStrategy| -> wasmtime::Result<Side> {
            let engine = Engine::new(&config(strategy, cache.clone()))?;
            let mut linker = Linker::new(&engine);
            // Language runtimes import WASI; without a grant of it there is nothing behind it.
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            FullPlugin::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
            Ok(Side { engine, linker })
        };
        let inner = Inner {
            pooled: side(pool).map_err(failed)?,
            on_demand: side(InstanceAllocationStrategy::OnDemand).map_err(failed)?,
        };
        tick([&inner.pooled.engine, &inner.on_demand.engine]).map_err(|error| EngineError(error.to_string()))?;
        Ok(Self(Arc::new(inner)))
    }

    /// Compiles, or finds what was compiled before. Takes seconds of CPU: never call it on a runtime thread.
    pub(super) fn compile(&self, component: &[u8]) -> wasmtime::Result<Component> {
        Component::from_binary(&self.0.pooled.engine, component)
    }

    /// The same for instances that do not fit the pool.
    pub(super) fn compile_on_demand(&self, component: &[u8]) -> wasmtime::Result<Component> {
        Component::from_binary(&self.0.on_demand.engine, component)
    }

    pub(super) fn pooled(&self) -> &Side {
        &self.0.pooled
    }

    pub(super) fn on_demand(&self) -> &Side {
        &self.0.on_demand
    }
}

/// Whether the pool had no slot left.
pub(super) fn is_pool_full(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<PoolConcurrencyLimitError>().is_some()
}

fn cache(folder: &std::path::Path) -> wasmtime::Result<Cache> {
    let mut config = CacheConfig::new();
    config.with_directory(std::path::absolute(folder)?).with_files_total_size_soft_limit(CACHE_BYTES_MAX);
    Cache::new(config)
}

fn config(strategy: InstanceAllocationStrategy, cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES_MAX)
        .async_stack_size(ASYNC_STACK_BYTES)
        // 4 GiB for each memory would let some dozens of instances take the whole address space.
        .memory_reservation(MEMORY_BYTES_MAX as u64)
        .memory_guard_size(64 << 10)
        .allocation_strategy(strategy)
        .cache(cache);
    config
}

fn pool(instances: u32) -> InstanceAllocationStrategy {
    let mut pool = wasmtime::PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(4).max(CORE_INSTANCES_PER_COMPONENT_MAX))
        .total_memories(instances.saturating_mul(2).max(MEMORIES_PER_COMPONENT_MAX))
        .total_tables(instances.saturating_mul(4).max(TABLES_PER_COMPONENT_MAX))
        .total_stacks(instances)
        .total_gc_heaps(instances)
        .max_memory_size(MEMORY_BYTES_MAX)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_memories_per_component(MEMORIES_PER_COMPONENT_MAX)
        .max_tables_per_component(TABLES_PER_COMPONENT_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_unused_warm_slots(100);
    InstanceAllocationStrategy::Pooling(pool)
}

/// One thread for the process; it ends with the engines.
fn tick(engines: [&Engine; 2]) -> std::io::Result<()> {
    let engines = engines.map(Engine::weak);
    let ticker = move || {
        while let [Some(pooled), Some(on_demand)] = engines.each_ref().map(wasmtime::EngineWeak::upgrade) {
            pooled.increment_epoch();
            on_demand.increment_epoch();
            drop((pooled, on_demand));
            std::thread::sleep(EPOCH_TICK);
        }
    };
    std::thread::Builder::new().name("plugin-epoch".into()).spawn(ticker).map(|_| ())
}
