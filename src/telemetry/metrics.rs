//! The figures of the gateway, in Prometheus' text form. Handed around, not global; a scrape reads atomics only.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
    core::Collector,
};
use std::time::{Duration, Instant};

/// Upper bounds in seconds, from a commit of a millisecond to a webhook of half a minute.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Upper bounds for calls of plugins, from some microseconds to a call's longest time.
const CALL_SECONDS: [f64; 10] = [0.000_005, 0.000_02, 0.000_1, 0.000_5, 0.001, 0.005, 0.02, 0.1, 0.5, 1.0];

pub struct Metrics {
    registry: Registry,
    started: Instant,
    pub devices_connected: IntGauge,
    pub devices_total: IntGauge,
    pub tenants_active: IntGauge,
    pub webhooks_registered: IntGauge,
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
        Ok(Self {
            devices_connected: gauge("rijan_devices_connected", "Devices that are connected to WhatsApp now")?,
            devices_total: gauge("rijan_devices_total", "Devices of all tenants")?,
            tenants_active: gauge("rijan_tenants_active", "Tenants that are neither suspended nor deleted")?,
            webhooks_registered: gauge("rijan_webhooks_registered", "Webhooks of all tenants")?,
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
    }

    /// `route` is the pattern, not the path: a path would make a series per id.
    pub fn http_request(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.http_seconds.with_label_values(&[route, method, &status.to_string()]).observe(took.as_secs_f64());
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Prometheus' text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        self.uptime.set(i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX));
        self.resident_memory.set(resident_bytes().unwrap_or(0));
        let mut text = Vec::new();
        // Writing to memory does not fail, and the encoder writes UTF-8.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

/// `VmRSS` of /proc/self/status counts kibibytes (proc(5)); elsewhere it is not known.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<i64>().ok().map(|kibibytes| kibibytes * 1_024)
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
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).expect("the page");
        let text = metrics.render();
        let shown: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        for name in &shown {
            assert!(page.contains(&format!("| `{name}` |")), "docs/metrics.md lacks {name}");
        }
        assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), shown.len(), "one too many");
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
