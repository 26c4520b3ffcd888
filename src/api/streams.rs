//! Who follows events: how many may, from where they read, and when it is over.
//!
//! Promises: a follower reads the log itself, so that nothing is lost between two of its pages, and holds one page at most
//! whatever happens meanwhile; a key that opens nothing any more, a suspended tenant, a deleted device and the end of the
//! process end it. Looked at again with every wake and every [`SWEEP_EVERY`].

use super::Api;
use super::caller::{Admission, no_device};
use super::error::ApiError;
use crate::domain::allowance::{Allowance, Allowed};
use crate::domain::ids::{DeviceId, TenantId};
use crate::store::{EventQuery, EventRow, Watch};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How streams behave.
#[derive(Debug, Clone, Copy)]
pub struct StreamSettings {
    /// Of one tenant, at once; `None` is without a limit.
    pub per_tenant: Option<u32>,
    /// Between two pings of a WebSocket.
    pub ping: Duration,
    /// How long a reader may take for what was sent to it.
    pub stall: Duration,
}

/// Events that a follower holds at once.
const PAGE_ROWS_MAX: u32 = 50;
/// A follower that hears of nothing looks by itself this often, in case a wake was missed or its key has expired.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(15);
/// How long streams may take to say goodbye when the process stops.
pub(super) const GOODBYE_MAX: Duration = Duration::from_secs(2);

pub(super) struct Streams {
    per_tenant: Option<u32>,
    open: Mutex<HashMap<TenantId, u32>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// One stream among those of its tenant, given back when dropped.
pub(super) struct Place {
    streams: Arc<Streams>,
    tenant: TenantId,
    _counted: TaskTrackerToken,
}

impl Streams {
    pub(super) fn new(per_tenant: Option<u32>) -> Self {
        Self { per_tenant, open: Mutex::default(), tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// One more of this tenant, unless it has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, tenant: &TenantId, own: &Allowance) -> Result<Place, ApiError> {
        if self.stop.is_cancelled() {
            return Err(ApiError::Overloaded("the server is stopping"));
        }
        let most = match own.streams {
            Some(Allowed::Off) => None,
            Some(Allowed::Max(most)) => Some(most),
            None => self.per_tenant,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(tenant).copied().unwrap_or(0);
        if let Some(most) = most.filter(|most| count >= *most) {
            let why = format!("the tenant has {most} streams open, as many as limits.streams allows; close one first");
            return Err(ApiError::Conflict(why));
        }
        open.insert(tenant.clone(), count + 1);
        Ok(Place { streams: self.clone(), tenant: tenant.clone(), _counted: self.tasks.token() })
    }

    /// Cancelled when the process stops.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    pub(super) fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    pub(super) async fn ended(&self) -> bool {
        tokio::time::timeout(GOODBYE_MAX * 2, self.tasks.wait()).await.is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.tenant);
            }
        }
    }
}

/// What somebody follows.
pub(super) struct Followed {
    pub(super) tenant: TenantId,
    /// Without one: all devices of the tenant, and none.
    pub(super) device: Option<DeviceId>,
    /// Public names; empty means all.
    pub(super) types: Vec<String>,
}

/// A reader of a tenant's log.
pub(super) struct Follower {
    api: Api,
    admission: Admission,
    followed: Followed,
    cursor: i64,
    watch: Watch,
    /// There may be something that was not read yet.
    is_behind: bool,
    sweep_at: Instant,
}

/// What a follower came upon.
pub(super) enum Next {
    /// What happened, in order; nothing when a while has passed without.
    Rows(Vec<EventRow>),
    /// The process stops.
    Stopping,
    /// It may not hear any more.
    Refused(ApiError),
}

impl Follower {
    /// Behind `cursor`, or from now on.
    pub(super) async fn new(
        api: &Api,
        admission: &Admission,
        followed: Followed,
        cursor: Option<i64>,
    ) -> Result<Self, ApiError> {
        // Before the first look: what is told in between wakes it.
        let watch = api.store.watch_log(&followed.tenant);
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => api.store.newest_event(&followed.tenant).await?,
        };
        let (api, admission) = (api.clone(), admission.clone());
        Ok(Self { api, admission, followed, cursor, watch, is_behind: true, sweep_at: Instant::now() + SWEEP_EVERY })
    }

    /// Behind everything that was given out, and behind all that does not concern this reader.
    pub(super) fn cursor(&self) -> i64 {
        self.cursor
    }

    /// Waits for what comes next. Dropped before it answers, it has taken nothing.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            let stop = self.api.streams.stop();
            if stop.is_cancelled() {
                return Next::Stopping;
            }
            let mut is_quiet = false;
            if !self.is_behind {
                tokio::select! {
                    () = stop.cancelled() => return Next::Stopping,
                    () = self.watch.changed() => {}
                    () = tokio::time::sleep_until(self.sweep_at) => is_quiet = true,
                }
                self.is_behind = true;
            }
            match self.page().await {
                Ok(rows) if rows.is_empty() && !is_quiet => {}
                Ok(rows) => {
                    self.sweep_at = Instant::now() + SWEEP_EVERY;
                    return Next::Rows(rows);
                }
                Err(why) => return Next::Refused(why),
            }
        }
    }

    async fn page(&mut self) -> Result<Vec<EventRow>, ApiError> {
        let Followed { tenant, device, types } = &self.followed;
        self.admission.holds(&self.api).await?;
        if let Some(device) = device {
            self.api.store.device(tenant, device).await.map_err(no_device)?;
        }
        let query = EventQuery {
            device: device.clone(),
            after: Some(self.cursor),
            types: types.clone(),
            limit: PAGE_ROWS_MAX,
            ..EventQuery::default()
        };
        let page = self.api.store.follow_events(tenant, query).await?;
        self.cursor = page.cursor;
        self.is_behind = page.is_full;
        Ok(page.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_so_many_streams_and_no_more_and_a_place_comes_back() {
        let streams = Arc::new(Streams::new(Some(2)));
        let (tenant, other) = (TenantId::generate(), TenantId::generate());
        let enter = |of: &TenantId, own: Option<Allowed>| {
            streams.enter(of, &Allowance { streams: own, ..Allowance::default() })
        };

        let first = enter(&tenant, None).expect("a place");
        let _second = enter(&tenant, None).expect("a place");

        let Err(ApiError::Conflict(why)) = enter(&tenant, None) else { unreachable!("a third was let in") };
        assert!(why.contains("limits.streams"), "{why}");
        assert!(enter(&other, None).is_ok(), "another tenant has its own");
        assert!(enter(&tenant, Some(Allowed::Off)).is_ok() && enter(&tenant, Some(Allowed::Max(1))).is_err());
        drop(first);
        assert!(enter(&tenant, None).is_ok());
        streams.end();
        assert!(matches!(enter(&other, None), Err(ApiError::Overloaded(_))));
    }
}
