//! Ticks of plugins' schedules. One tick of a schedule runs at a time. When the gateway was down or late, the latest missed
//! time runs once and older ones are skipped; a tick that did not commit runs again, and one that did does not.

use super::pipeline::{Pipeline, Ticked};
use super::registry::Plugins;
use crate::domain::clock::UnixMs;
use crate::domain::ids::TenantId;
use crate::store::{StoreError, TenantStatus, Topic};
use cronexpr::{Crontab, MakeTimestamp};
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The longest wait between two looks: a schedule that is new is seen at once, a clock that is set within this.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Times a plugin may ask for time for one tick, and times it is run again because a value had changed.
const TRIES_MAX: u32 = 10;
const RERUNS_MAX: u32 = 20;
/// Missed times that are counted; of a schedule that missed more, the latest of these runs.
const MISSED_MAX: usize = 100_000;

type Key = (TenantId, String, String);

/// Runs until `stop`; ticks in hand are finished.
pub async fn run(plugins: Plugins, zone: TimeZone, stop: CancellationToken) {
    let mut changes = plugins.store().watch(Topic::Plugins);
    let mut running: JoinSet<Key> = JoinSet::new();
    let mut in_hand: HashMap<Key, u32> = HashMap::new();
    while !stop.is_cancelled() {
        let now = plugins.store().clock().now_ms();
        let mut next = now.saturating_add(i64::try_from(LOOK_EVERY.as_millis()).unwrap_or(i64::MAX));
        for tenant in plugins.tenants() {
            let Some(pipeline) = plugins.pipeline(&tenant) else { continue };
            for (plugin, schedule, cron) in pipeline.schedules() {
                let key = (tenant.clone(), plugin, schedule);
                if in_hand.contains_key(&key) {
                    continue;
                }
                match due(&plugins, &key, &cron, &zone, now).await {
                    Ok(Due::At(at)) => next = next.min(at),
                    // Its latest missed tick runs when the tenant is active again.
                    Ok(Due::Now { .. }) if !is_active(&plugins, &tenant).await => {}
                    Ok(Due::Now { scheduled_for, skipped }) => {
                        if skipped > 0 {
                            tracing::warn!(%tenant, plugin = key.1, schedule = key.2, skipped, "missed ticks are skipped");
                        }
                        in_hand.insert(key.clone(), 0);
                        running.spawn(tick(plugins.clone(), pipeline.clone(), key, scheduled_for));
                    }
                    Err(error) => tracing::error!(%tenant, plugin = key.1, %error, "a schedule was not looked at"),
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = changes.changed() => {}
            Some(ended) = running.join_next() => match ended {
                Ok(key) => { in_hand.remove(&key); }
                Err(error) => {
                    tracing::error!(%error, "a tick ended badly");
                    in_hand.clear();
                }
            },
            () = plugins.store().clock().sleep_until(next) => {}
        }
    }
    while running.join_next().await.is_some() {}
}

async fn is_active(plugins: &Plugins, tenant: &TenantId) -> bool {
    plugins.store().tenant(tenant).await.is_ok_and(|row| row.status == TenantStatus::Active)
}

enum Due {
    Now { scheduled_for: UnixMs, skipped: usize },
    At(UnixMs),
}

async fn due(plugins: &Plugins, key: &Key, cron: &str, zone: &TimeZone, now: UnixMs) -> Result<Due, StoreError> {
    let last = plugins.store().last_tick(&key.0, &key.1, &key.2).await?;
    Ok(after(cron, zone, last, now).unwrap_or(Due::At(UnixMs::MAX)))
}

/// `None` when the text has no time any more, or does not read: the manifest's check lets none of these through.
fn after(cron: &str, zone: &TimeZone, last: UnixMs, now: UnixMs) -> Option<Due> {
    let crontab = parsed(cron, zone)?;
    let times = crontab.iter_after(MakeTimestamp::from_millisecond(last).ok()?).ok()?;
    let mut missed: Option<(UnixMs, usize)> = None;
    for time in times.take(MISSED_MAX) {
        let at = time.ok()?.timestamp().as_millisecond();
        if at > now {
            return Some(
                missed.map_or(Due::At(at), |(scheduled_for, count)| Due::Now { scheduled_for, skipped: count - 1 }),
            );
        }
        missed = Some((at, missed.map_or(1, |(_, count)| count + 1)));
    }
    missed.map(|(scheduled_for, count)| Due::Now { scheduled_for, skipped: count - 1 })
}

fn parsed(cron: &str, zone: &TimeZone) -> Option<Crontab> {
    cronexpr::parse_crontab(&format!("{cron} {}", zone.iana_name().unwrap_or("UTC"))).ok()
}

async fn tick(plugins: Plugins, mut pipeline: Arc<Pipeline>, key: Key, scheduled_for: UnixMs) -> Key {
    let (tenant, plugin, schedule) = &key;
    let (mut tries, mut reruns) = (0, 0);
    loop {
        let wait = match pipeline.tick(plugin, schedule, scheduled_for, tries + 1 >= TRIES_MAX).await {
            Ticked::Later(wait) => {
                tries += 1;
                wait
            }
            Ticked::Done(aftermath) => {
                let done = plugins.store().complete_tick(tenant, plugin, schedule, scheduled_for, aftermath).await;
                match done {
                    Err(StoreError::Moved) if reruns < RERUNS_MAX => {
                        reruns += 1;
                        continue;
                    }
                    Ok(_) => return key,
                    Err(error) => {
                        // It stays due, and the next look finds it.
                        tracing::error!(%tenant, plugin, schedule, %error, "a tick was not recorded");
                        return key;
                    }
                }
            }
        };
        tokio::time::sleep(wait).await;
        // It may have been replaced while it waited.
        match plugins.pipeline(tenant) {
            Some(current) => pipeline = current,
            None => return key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NINE: UnixMs = 1_700_038_800_000; // 2023-11-15T09:00:00Z
    const HOUR: UnixMs = 3_600_000;

    #[test]
    fn the_latest_missed_time_runs_and_older_ones_are_skipped() {
        let zone = TimeZone::UTC;
        let at = |last, now| after("0 9 * * *", &zone, last, now).expect("a time");

        assert!(matches!(at(NINE - HOUR, NINE - 1), Due::At(time) if time == NINE));
        assert!(matches!(at(NINE - HOUR, NINE), Due::Now { scheduled_for, skipped: 0 } if scheduled_for == NINE));
        assert!(matches!(at(NINE, NINE + 1), Due::At(time) if time == NINE + 24 * HOUR));
        let three_days = NINE + 72 * HOUR + 1;
        assert!(
            matches!(at(NINE, three_days), Due::Now { scheduled_for, skipped: 2 } if scheduled_for == NINE + 72 * HOUR)
        );
    }

    #[test]
    fn times_are_those_of_the_zone() {
        let zone = TimeZone::get("Asia/Jakarta").expect("zone");
        assert!(matches!(after("0 9 * * *", &zone, NINE, NINE), Some(Due::At(time)) if time == NINE + 17 * HOUR));
    }
}
