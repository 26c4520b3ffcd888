//! The figures of the gateway, in Prometheus' text form. Handed around, not global; a scrape reads atomics only.

use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Upper bounds in seconds, from a commit of a millisecond to a webhook of half a minute.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Upper bounds for calls of plugins, from some microseconds to a call's longest time.
const CALL_SECONDS: [f64; 10] = [0.000_005, 0.000_02, 0.000_1, 0.000_5, 0.001, 0.005, 0.02, 0.1, 0.5, 1.0];

/// What a call of a hook may come to: `decided`, or the kind of its failure.
pub const CALL_OUTCOMES: [&str; 10] = [
    "decided",
    "bad_config",
    "temporary",
    "permanent",
    "refused_effect",
    "trap",
    "timeout",
    "busy",
    "tripped",
    "unusable",
];

pub struct Metrics {
    registry: Registry,
    started: Instant,
    pub devices_connected: IntGauge,
    pub devices_total: IntGauge,
    pub tenants_active: IntGauge,
    pub webhooks_registered: IntGauge,
    pub media_stored_bytes: IntGauge,
    media_seconds: HistogramVec,
    messages_sent: IntCounter,
    messages_received: IntCounter,
    webhooks_failed: IntCounter,
    uptime: IntGauge,
    resident_memory: IntGauge,
    commit_seconds: HistogramVec,
    commit_rows: IntCounter,
    http_seconds: HistogramVec,
    send_seconds: HistogramVec,
    inbound_seconds: HistogramVec,
    attempt_seconds: HistogramVec,
    plugin_calls: IntCounterVec,
    plugin_seconds: HistogramVec,
    plugin_errors: IntCounterVec,
    plugin_traps: IntCounterVec,
    plugin_info: IntGaugeVec,
    plugin_candidates: IntGaugeVec,
    plugin_candidate_calls: IntCounterVec,
    plugin_compared: IntCounterVec,
    plugin_shadow_dropped: IntCounterVec,
    plugin_kv_keys: IntGaugeVec,
    plugin_kv_bytes: IntGaugeVec,
    /// The plugins whose values are counted, so that those that are gone leave the figures.
    kv_counted: Mutex<BTreeSet<(String, String)>>,
}

/// What the values of one plugin take.
#[derive(Debug, Clone)]
pub struct PluginKv {
    pub tenant: String,
    pub plugin: String,
    pub keys: u64,
    pub bytes: u64,
}

/// Registers what was built; a name used twice is a mistake of ours that the tests of this file show.
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    built: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let collector = built?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

impl Metrics {
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help));
        let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help));
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            let opts = HistogramOpts { common_opts: Opts::new(name, help), buckets: SECONDS.to_vec() };
            registered(&registry, HistogramVec::new(opts, labels))
        };
        let of_plugin = |name: &str, help: &str| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), &["tenant", "plugin"]))
        };
        let gauge_of_plugin = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        Ok(Self {
            devices_connected: gauge("rijan_devices_connected", "Devices that are connected to WhatsApp now")?,
            devices_total: gauge("rijan_devices_total", "Devices of all tenants")?,
            tenants_active: gauge("rijan_tenants_active", "Tenants that are neither suspended nor deleted")?,
            webhooks_registered: gauge("rijan_webhooks_registered", "Webhooks of all tenants")?,
            media_stored_bytes: gauge("rijan_media_stored_bytes", "Bytes of the media that tenants store")?,
            media_seconds: histogram(
                "rijan_media_transfer_seconds",
                "Time to bring a media file to WhatsApp or from there",
                &["direction", "outcome"],
            )?,
            messages_sent: counter("rijan_messages_sent", "Messages that WhatsApp's server acknowledged")?,
            messages_received: counter("rijan_messages_received", "Messages that came in, without repeats")?,
            webhooks_failed: counter("rijan_webhooks_failed", "Webhook attempts that did not end in 2xx")?,
            uptime: gauge("process_uptime_seconds", "Seconds since the process started")?,
            resident_memory: gauge("process_resident_memory_bytes", "Resident memory of the process")?,
            commit_seconds: histogram("rijan_store_commit_seconds", "Time of one batch of the store's writer", &[])?,
            commit_rows: counter("rijan_store_commit_requests", "Requests committed by the store's writer")?,
            http_seconds: histogram(
                "rijan_http_request_seconds",
                "Time to answer an HTTP request",
                &["route", "method", "status"],
            )?,
            send_seconds: histogram(
                "rijan_send_seconds",
                "Time of one try to send, until WhatsApp's word",
                &["outcome"],
            )?,
            inbound_seconds: histogram("rijan_inbound_seconds", "Time to process one inbound message", &[])?,
            attempt_seconds: histogram("rijan_delivery_attempt_seconds", "Time of one webhook attempt", &["outcome"])?,
            plugin_calls: registered(
                &registry,
                IntCounterVec::new(
                    Opts::new("rijan_plugin_calls", "Calls of plugin hooks"),
                    &["tenant", "plugin", "hook", "outcome"],
                ),
            )?,
            plugin_seconds: registered(
                &registry,
                HistogramVec::new(
                    HistogramOpts {
                        common_opts: Opts::new("rijan_plugin_call_seconds", "Time of one call of a plugin hook"),
                        buckets: CALL_SECONDS.to_vec(),
                    },
                    &["plugin", "hook"],
                ),
            )?,
            plugin_errors: of_plugin(
                "rijan_plugin_errors",
                "Calls of plugin hooks that did not decide, or whose decision was refused",
            )?,
            plugin_traps: of_plugin("rijan_plugin_traps", "Calls of plugin hooks that trapped or took too long")?,
            plugin_info: gauge_of_plugin(
                "rijan_plugin_info",
                "1 for the version of a plugin that serves",
                &["tenant", "plugin", "version", "sha256"],
            )?,
            plugin_candidates: gauge_of_plugin(
                "rijan_plugin_candidate_weight",
                "Percent of the chats that a version on trial has; a shadow has none",
                &["tenant", "plugin", "version", "sha256", "mode"],
            )?,
            plugin_candidate_calls: registered(
                &registry,
                IntCounterVec::new(
                    Opts::new("rijan_plugin_candidate_calls", "Calls of hooks of versions on trial"),
                    &["tenant", "plugin", "sha256", "mode", "outcome"],
                ),
            )?,
            plugin_compared: registered(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "rijan_plugin_shadow_compared",
                        "Calls of shadows, by what they came to beside what serves",
                    ),
                    &["tenant", "plugin", "comparison"],
                ),
            )?,
            plugin_shadow_dropped: of_plugin(
                "rijan_plugin_shadow_dropped",
                "Calls that did not fit the queue of a shadow and were dropped",
            )?,
            plugin_kv_keys: gauge_of_plugin("rijan_plugin_kv_keys", "Keys that a plugin keeps", &["tenant", "plugin"])?,
            plugin_kv_bytes: gauge_of_plugin(
                "rijan_plugin_kv_bytes",
                "Bytes of the keys and values that a plugin keeps",
                &["tenant", "plugin"],
            )?,
            kv_counted: Mutex::default(),
            started: Instant::now(),
            registry,
        })
    }

    pub fn store_commit(&self, took: Duration, requests: usize) {
        self.commit_seconds.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
        self.commit_rows.inc_by(requests as u64);
    }

    pub fn messages_received(&self, new: usize) {
        self.messages_received.inc_by(new as u64);
    }

    /// One try at sending; `outcome` is acked, nacked, unknown or impossible.
    pub fn send_attempt(&self, outcome: &str, took: Duration) {
        self.send_seconds.with_label_values(&[outcome]).observe(took.as_secs_f64());
        if outcome == "acked" {
            self.messages_sent.inc();
        }
    }

    /// One file to WhatsApp (`upload`) or from there (`download`); `outcome` is done, or why not.
    pub fn media_transfer(&self, direction: &str, outcome: &str, took: Duration) {
        self.media_seconds.with_label_values(&[direction, outcome]).observe(took.as_secs_f64());
    }

    pub fn inbound_processed(&self, took: Duration) {
        self.inbound_seconds.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
    }

    /// One webhook attempt; `delivered` when the receiver answered 2xx.
    pub fn delivery_attempt(&self, delivered: bool, took: Duration) {
        let outcome = if delivered { "delivered" } else { "failed" };
        self.attempt_seconds.with_label_values(&[outcome]).observe(took.as_secs_f64());
        if !delivered {
            self.webhooks_failed.inc();
        }
    }

    /// One call of a hook; `outcome` is decided, or the kind of the failure.
    pub fn plugin_call(&self, tenant: &str, plugin: &str, hook: &str, outcome: &str, seconds: f64) {
        self.plugin_calls.with_label_values(&[tenant, plugin, hook, outcome]).inc();
        self.plugin_seconds.with_label_values(&[plugin, hook]).observe(seconds);
        if outcome != "decided" {
            self.plugin_errors.with_label_values(&[tenant, plugin]).inc();
        }
        if ["trap", "timeout"].contains(&outcome) {
            self.plugin_traps.with_label_values(&[tenant, plugin]).inc();
        }
    }

    /// A call that decided and whose decision was refused.
    pub fn plugin_refused(&self, tenant: &str, plugin: &str) {
        self.plugin_errors.with_label_values(&[tenant, plugin]).inc();
    }

    /// From now on this version of the plugin serves; or, with `false`, not any more.
    pub fn plugin_serves(&self, tenant: &str, plugin: &str, version: &str, sha256: &str, serves: bool) {
        let labels = [tenant, plugin, version, sha256];
        if serves {
            self.plugin_info.with_label_values(&labels).set(1);
        } else {
            // One that was never shown is not there to be taken away.
            let _ = self.plugin_info.remove_label_values(&labels);
        }
    }

    /// A version on trial and its percent of the chats.
    pub fn plugin_candidate(&self, tenant: &str, plugin: &str, version: &str, sha256: &str, mode: &str, weight: u8) {
        let labels = [tenant, plugin, version, sha256, mode];
        self.plugin_candidates.with_label_values(&labels).set(weight.into());
    }

    /// It is on trial no more, and leaves the figures.
    pub fn plugin_candidate_gone(&self, tenant: &str, plugin: &str, version: &str, sha256: &str, mode: &str) {
        // What was never shown is not there to be taken away.
        let _ = self.plugin_candidates.remove_label_values(&[tenant, plugin, version, sha256, mode]);
        for outcome in CALL_OUTCOMES {
            let _ = self.plugin_candidate_calls.remove_label_values(&[tenant, plugin, sha256, mode, outcome]);
        }
    }

    /// One call of a hook of a version on trial. Those of a canary are counted among the plugin's calls too.
    pub fn plugin_candidate_call(&self, tenant: &str, plugin: &str, sha256: &str, mode: &str, outcome: &str) {
        self.plugin_candidate_calls.with_label_values(&[tenant, plugin, sha256, mode, outcome]).inc();
    }

    /// One call of a shadow; `comparison` is agree, differ or failed.
    pub fn plugin_compared(&self, tenant: &str, plugin: &str, comparison: &str) {
        self.plugin_compared.with_label_values(&[tenant, plugin, comparison]).inc();
    }

    /// A call that a shadow was not given.
    pub fn plugin_shadow_dropped(&self, tenant: &str, plugin: &str) {
        self.plugin_shadow_dropped.with_label_values(&[tenant, plugin]).inc();
    }

    /// What the values of all plugins take now.
    pub fn plugin_kv(&self, uses: &[PluginKv]) {
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let now: BTreeSet<(String, String)> = uses.iter().map(|one| (one.tenant.clone(), one.plugin.clone())).collect();
        let mut counted = self.kv_counted.lock().unwrap_or_else(PoisonError::into_inner);
        for (tenant, plugin) in counted.difference(&now) {
            let _ = self.plugin_kv_keys.remove_label_values(&[tenant, plugin]);
            let _ = self.plugin_kv_bytes.remove_label_values(&[tenant, plugin]);
        }
        for one in uses {
            let labels = [one.tenant.as_str(), one.plugin.as_str()];
            self.plugin_kv_keys.with_label_values(&labels).set(gauge(one.keys));
            self.plugin_kv_bytes.with_label_values(&labels).set(gauge(one.bytes));
        }
        *counted = now;
    }

    /// `route` is the pattern, not the path: a path would make a series per id.
    pub fn http_request(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.http_seconds.with_label_values(&[route, method, &status.to_string()]).observe(took.as_secs_f64());
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The same as [`Metrics::render`], to be read by programs that know no Prometheus.
    pub fn families(&self) -> Vec<Family> {
        self.note_process();
        self.registry.gather().iter().map(Family::from).collect()
    }

    fn note_process(&self) {
        self.uptime.set(i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX));
        self.resident_memory.set(resident_bytes().unwrap_or(0));
    }

    /// Prometheus' text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        self.note_process();
        let mut text = Vec::new();
        // Writing to memory does not fail, and the encoder writes UTF-8.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

/// A figure with its series, for JSON.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Metric)]
pub struct Family {
    pub name: String,
    pub help: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub series: Vec<Series>,
}

/// One combination of labels.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = MetricSeries)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// Of a counter or a gauge; of a histogram, the sum of what was observed.
    pub value: f64,
    /// Of a histogram: how many were observed.
    pub count: Option<u64>,
}

/// `VmRSS` of /proc/self/status counts kibibytes (proc(5)); elsewhere it is not known.
pub fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<i64>().ok().map(|kibibytes| kibibytes * 1_024)
}

impl From<&MetricFamily> for Family {
    fn from(family: &MetricFamily) -> Self {
        let series = |metric: &prometheus::proto::Metric| {
            let (value, count) = match family.get_field_type() {
                MetricType::COUNTER => (metric.get_counter().get_value(), None),
                MetricType::HISTOGRAM => {
                    let histogram = metric.get_histogram();
                    (histogram.get_sample_sum(), Some(histogram.get_sample_count()))
                }
                _ => (metric.get_gauge().get_value(), None),
            };
            let labels = metric.get_label().iter();
            let labels = labels.map(|label| (label.name().to_owned(), label.value().to_owned())).collect();
            Series { labels, value, count }
        };
        Self {
            name: family.name().to_owned(),
            help: family.help().to_owned(),
            kind: match family.get_field_type() {
                MetricType::COUNTER => "counter",
                MetricType::HISTOGRAM => "histogram",
                _ => "gauge",
            },
            series: family.get_metric().iter().map(series).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_the_documentation() {
        let metrics = Metrics::new().expect("names are unique");
        metrics.send_attempt("acked", Duration::ZERO);
        metrics.http_request("/health", "GET", 200, Duration::ZERO);
        metrics.delivery_attempt(true, Duration::ZERO);
        metrics.inbound_processed(Duration::ZERO);
        metrics.store_commit(Duration::ZERO, 1);
        metrics.plugin_call("tenant_1", "a", "inbound", "trap", 0.0);
        metrics.plugin_serves("tenant_1", "a", "1.0.0", "ab", true);
        metrics.plugin_candidate("tenant_1", "a", "1.1.0", "cd", "canary", 10);
        metrics.plugin_candidate_call("tenant_1", "a", "cd", "canary", "decided");
        metrics.plugin_compared("tenant_1", "a", "agree");
        metrics.plugin_shadow_dropped("tenant_1", "a");
        metrics.plugin_kv(&[kv("a", 1)]);
        metrics.media_transfer("download", "done", Duration::ZERO);
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).expect("the page");
        let text = metrics.render();
        let shown: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        for name in &shown {
            assert!(page.contains(&format!("| `{name}` |")), "docs/metrics.md lacks {name}");
        }
        assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), shown.len(), "one too many");
    }

    fn kv(plugin: &str, keys: u64) -> PluginKv {
        PluginKv { tenant: "tenant_1".into(), plugin: plugin.into(), keys, bytes: 10 * keys }
    }

    #[test]
    fn a_plugin_that_is_gone_leaves_the_figures() {
        let metrics = Metrics::new().expect("names are unique");
        metrics.plugin_serves("tenant_1", "a", "1.0.0", "ab", true);
        metrics.plugin_candidate("tenant_1", "a", "1.1.0", "cd", "shadow", 0);
        metrics.plugin_candidate_call("tenant_1", "a", "cd", "shadow", "trap");
        metrics.plugin_kv(&[kv("a", 1), kv("b", 2)]);

        metrics.plugin_serves("tenant_1", "a", "1.0.0", "ab", false);
        metrics.plugin_candidate_gone("tenant_1", "a", "1.1.0", "cd", "shadow");
        metrics.plugin_kv(&[kv("b", 3)]);

        let text = metrics.render();
        assert!(!text.contains("plugin=\"a\""), "{text}");
        assert!(text.contains("rijan_plugin_kv_keys{plugin=\"b\",tenant=\"tenant_1\"} 3"), "{text}");
        assert!(text.contains("rijan_plugin_kv_bytes{plugin=\"b\",tenant=\"tenant_1\"} 30"), "{text}");
    }

    #[test]
    fn the_names_that_dashboards_rely_on_are_there_and_unchanged() {
        let metrics = Metrics::new().expect("names are unique");
        metrics.send_attempt("acked", Duration::from_millis(3));
        let text = metrics.render();
        for name in [
            "rijan_devices_connected ",
            "rijan_devices_total ",
            "rijan_messages_sent 1",
            "rijan_messages_received 0",
            "rijan_webhooks_registered ",
            "rijan_webhooks_failed ",
            "rijan_tenants_active ",
            "process_uptime_seconds ",
            "process_resident_memory_bytes ",
        ] {
            assert!(text.contains(&format!("\n{name}")), "{name} is missing in\n{text}");
        }
    }
}
