//! How often somebody may do something: sliding windows in memory, exact to the millisecond.
//!
//! A request that is rejected costs nothing, and a charge can be given back. The windows are this process's own: several
//! gateways on one store each allow the whole limit.

use super::error::ApiError;
use super::request;
use crate::domain::allowance::{Allowance, Allowed, SendKind};
use crate::domain::clock::{Clock, UnixMs};
use crate::domain::ids::{DeviceId, TenantId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub max: u32,
    pub window: Duration,
}

/// What is limited; `None` is off.
#[derive(Debug, Clone, Default)]
pub struct LimitSettings {
    /// Requests of one tenant.
    pub tenant: Option<Limit>,
    /// Requests without a key from one address: health, readiness, figures, documentation.
    pub public: Option<Limit>,
    /// Wrong keys from one address.
    pub failed_auth: Option<Limit>,
    /// What one device sends, by kind; a kind that is not there is off.
    pub sent: BTreeMap<SendKind, Limit>,
    /// Operations of one device on groups.
    pub groups: Option<Limit>,
    /// Codes asked for to link one device.
    pub pairing: Option<Limit>,
}

/// Who is charged for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Tenant(TenantId),
    Public(Option<String>),
    FailedAuth(Option<String>),
    Sent(SendKind, DeviceId),
    Groups(DeviceId),
    Pairing(DeviceId),
}

/// How a window stands, for the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Seconds until the window is empty again, or for a rejected request until it would be accepted.
    pub(super) reset_s: u64,
}

/// A window with something in it, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Charged {
    pub(super) key: String,
    pub(super) count: usize,
    /// Seconds until nothing is left in it.
    pub(super) reset_s: u64,
}

impl Key {
    fn shown(&self) -> String {
        let address = |address: &Option<String>| address.clone().unwrap_or_else(|| "unknown".to_owned());
        match self {
            Self::Tenant(tenant) => format!("tenant:{tenant}"),
            Self::Public(from) => format!("public:{}", address(from)),
            Self::FailedAuth(from) => format!("failed_auth:{}", address(from)),
            Self::Sent(kind, device) => format!("{}:{device}", kind.key()),
            Self::Groups(device) => format!("groups_per_minute:{device}"),
            Self::Pairing(device) => format!("pairing_per_minute:{device}"),
        }
    }

    fn is_of(&self, tenant: Option<&TenantId>, devices: &[DeviceId]) -> bool {
        match self {
            Self::Tenant(of) => tenant == Some(of),
            Self::Sent(_, device) | Self::Groups(device) | Self::Pairing(device) => devices.contains(device),
            Self::Public(_) | Self::FailedAuth(_) => false,
        }
    }
}

/// Windows at once; beyond it those that are empty are forgotten, and then the limit is not kept for newcomers.
const WINDOWS_MAX: usize = 100_000;

pub struct Limits {
    settings: LimitSettings,
    clock: Clock,
    windows: Mutex<HashMap<Key, VecDeque<UnixMs>>>,
}

impl Limits {
    pub fn new(settings: LimitSettings, clock: Clock) -> Self {
        Self { settings, clock, windows: Mutex::default() }
    }

    /// Takes one from the window, or refuses. Either way the answer's headers tell how the window stands.
    pub(super) fn charge(&self, key: Key) -> Result<(), ApiError> {
        self.enter(&key, &Allowance::default(), true)
    }

    /// As [`Limits::charge`], by what the tenant's own file allows where it says so.
    pub(super) fn charge_own(&self, key: Key, own: &Allowance) -> Result<(), ApiError> {
        self.enter(&key, own, true)
    }

    /// Refuses what the window would refuse, and takes nothing.
    pub(super) fn check(&self, key: &Key) -> Result<(), ApiError> {
        self.enter(key, &Allowance::default(), false)
    }

    /// Gives the latest charge back, of the window that this request was charged to last.
    pub(super) fn give_back(&self, key: &Key) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let given_back = windows.get_mut(key).and_then(VecDeque::pop_back).is_some();
        drop(windows);
        // A window that is off took nothing.
        if given_back {
            request::note_given_back();
        }
    }

    /// Windows with something in them, the fullest first.
    pub(super) fn standings(&self) -> Vec<Charged> {
        let now = self.clock.now_ms();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut standings: Vec<Charged> = windows
            .iter()
            .filter_map(|(key, charges)| {
                // A tenant's own window may be another one; its requests are shown by the general length.
                let length = self.general(key).map_or(MINUTE_MS, |limit| millis(limit.window));
                let count = charges.iter().filter(|at| now - **at < length).count();
                let last = charges.back()?;
                let reset_s = u64::try_from((last + length - now).max(0)).unwrap_or(0).div_ceil(1_000);
                (count > 0).then(|| Charged { key: key.shown(), count, reset_s })
            })
            .collect();
        standings.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        standings
    }

    /// Empties the windows of a tenant, and those of these devices.
    pub(super) fn reset(&self, tenant: Option<&TenantId>, devices: &[DeviceId]) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|key, _| !key.is_of(tenant, devices));
    }

    pub(super) fn reset_all(&self) {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// As the gateway's configuration says.
    fn general(&self, key: &Key) -> Option<Limit> {
        match key {
            Key::Tenant(_) => self.settings.tenant,
            Key::Public(_) => self.settings.public,
            Key::FailedAuth(_) => self.settings.failed_auth,
            Key::Sent(kind, _) => self.settings.sent.get(kind).copied(),
            Key::Groups(_) => self.settings.groups,
            Key::Pairing(_) => self.settings.pairing,
        }
    }

    fn enter(&self, key: &Key, own: &Allowance, charge: bool) -> Result<(), ApiError> {
        let general = self.general(key);
        let limit = match key {
            Key::Tenant(_) => {
                let window = own.requests_window_s.map(|seconds| Duration::from_secs(seconds.into()));
                overruled(general, own.requests, window)
            }
            Key::Public(_) | Key::FailedAuth(_) | Key::Pairing(_) => general,
            Key::Sent(kind, _) => overruled(general, own.of(*kind), None),
            Key::Groups(_) => overruled(general, own.groups_per_minute, None),
        };
        let Some(limit) = limit else { return Ok(()) };
        let now = self.clock.now_ms();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= WINDOWS_MAX && !windows.contains_key(key) {
            let longest = i64::try_from(limit.window.as_millis()).unwrap_or(i64::MAX);
            windows.retain(|_, charged| charged.back().is_some_and(|last| now - last < longest));
            if windows.len() >= WINDOWS_MAX {
                return Ok(());
            }
        }
        let window = windows.entry(key.clone()).or_default();
        let (standing, accepted) = step(window, limit, now, charge);
        drop(windows);
        if charge && !matches!(key, Key::FailedAuth(_)) {
            request::note_standing(standing);
        }
        if accepted { Ok(()) } else { Err(ApiError::RateLimited(standing)) }
    }
}

const MINUTE_MS: i64 = 60_000;

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A window that a tenant's file does not name is the gateway's, or a minute where that has none.
fn overruled(general: Option<Limit>, own: Option<Allowed>, window: Option<Duration>) -> Option<Limit> {
    const MINUTE: Duration = Duration::from_secs(60);
    let window = window.or(general.map(|limit| limit.window)).unwrap_or(MINUTE);
    let max = match own {
        Some(Allowed::Off) => return None,
        Some(Allowed::Max(max)) => max,
        None => general?.max,
    };
    Some(Limit { max, window })
}

/// One request at `now`: how the window stands afterwards, and whether it was let in.
fn step(window: &mut VecDeque<UnixMs>, limit: Limit, now: UnixMs, charge: bool) -> (Standing, bool) {
    let length = i64::try_from(limit.window.as_millis()).unwrap_or(i64::MAX);
    while window.front().is_some_and(|first| now - first >= length) {
        window.pop_front();
    }
    let used = u32::try_from(window.len()).unwrap_or(u32::MAX);
    let seconds = |ms: i64| u64::try_from(ms.max(0)).unwrap_or(0).div_ceil(1_000);
    if used >= limit.max {
        let until_free = window.front().map_or(length, |first| first + length - now);
        return (Standing { limit: limit.max, remaining: 0, reset_s: seconds(until_free).max(1) }, false);
    }
    if charge {
        window.push_back(now);
    }
    let remaining = limit.max - used - u32::from(charge);
    (Standing { limit: limit.max, remaining, reset_s: seconds(length) }, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides_and_a_rejected_request_costs_nothing() {
        let limit = Limit { max: 2, window: Duration::from_secs(10) };
        let mut window = VecDeque::new();

        assert_eq!(step(&mut window, limit, 0, true), (Standing { limit: 2, remaining: 1, reset_s: 10 }, true));
        assert_eq!(step(&mut window, limit, 4_000, true).0.remaining, 0);
        for at in [5_000, 6_000, 9_000] {
            assert!(!step(&mut window, limit, at, true).1);
        }
        assert_eq!(step(&mut window, limit, 9_500, true).0.reset_s, 1);
        assert!(step(&mut window, limit, 10_000, true).1, "the first charge has left the window");
        assert!(!step(&mut window, limit, 13_999, true).1);
        assert!(step(&mut window, limit, 14_000, true).1);
    }

    #[test]
    fn a_tenants_own_limit_overrules_the_general_one_and_off_is_a_value() {
        let second = Duration::from_secs(1);
        let general = Some(Limit { max: 100, window: second * 10 });
        for (general, own, window, expected) in [
            (general, None, None, general),
            (general, Some(Allowed::Max(5)), None, Some(Limit { max: 5, window: second * 10 })),
            (general, None, Some(second), Some(Limit { max: 100, window: second })),
            (general, Some(Allowed::Off), Some(second), None),
            (None, Some(Allowed::Max(5)), None, Some(Limit { max: 5, window: second * 60 })),
            (None, None, Some(second), None),
        ] {
            assert_eq!(overruled(general, own, window), expected, "{own:?} {window:?}");
        }
    }

    #[test]
    fn looking_takes_nothing() {
        let limit = Limit { max: 1, window: Duration::from_secs(1) };
        let mut window = VecDeque::new();
        assert!(step(&mut window, limit, 0, false).1);
        assert!(step(&mut window, limit, 0, true).1);
        assert!(!step(&mut window, limit, 0, false).1);
    }
}
