//! How often somebody may do something: sliding windows in memory, exact to the millisecond.
//!
//! `api` charges requests, also those that bring a message; `outbound` charges what no request brought when it goes out.
//! Both take from the same windows. A request that is refused costs nothing, and a charge can be given back; a message is
//! told when there is room for it. The windows are this process's own: several gateways on one store each allow the whole
//! limit, and a restart begins with empty ones.

mod window;

pub use window::Standing;

use crate::domain::allowance::{Allowance, Allowed, SendKind};
use crate::domain::clock::{Clock, UnixMs};
use crate::domain::ids::{DeviceId, MessageId, TenantId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use window::Window;

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub max: u32,
    pub window: Duration,
}

impl Limit {
    fn length_ms(self) -> i64 {
        i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX)
    }
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
pub enum Key {
    Tenant(TenantId),
    Public(Option<String>),
    FailedAuth(Option<String>),
    Sent(SendKind, DeviceId),
    Groups(DeviceId),
    Pairing(DeviceId),
}

/// A window with something in it, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    pub key: String,
    pub count: usize,
    /// Seconds until nothing is left in it.
    pub reset_s: u64,
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
    windows: Mutex<HashMap<Key, Window>>,
}

impl Limits {
    pub fn new(settings: LimitSettings, clock: Clock) -> Self {
        Self { settings, clock, windows: Mutex::default() }
    }

    /// Lets a request in and takes one from the window, or with `charge` off only looks; by what the tenant's own file
    /// allows where it says so. Either way the answer is how the window stands; nothing where there is no limit.
    pub fn enter(&self, key: &Key, own: &Allowance, charge: bool) -> Result<Option<Standing>, Standing> {
        let entered = self.in_window(key, own, |window, limit, now| window.enter(limit, now, charge));
        match entered {
            Some((standing, false)) => Err(standing),
            entered => Ok(entered.map(|(standing, _)| standing)),
        }
    }

    /// Charges a message that goes out now and was not charged when it was taken; or says when there is room for it.
    pub fn hand_over(
        &self,
        kind: SendKind,
        device: &DeviceId,
        message: &MessageId,
        own: &Allowance,
    ) -> Result<(), UnixMs> {
        let key = Key::Sent(kind, device.clone());
        self.in_window(&key, own, |window, limit, now| window.hand_over(limit, now, message)).unwrap_or(Ok(()))
    }

    /// Gives the latest charge of a request back; `false` when there is none: a window that is off took nothing.
    pub fn give_back(&self, key: &Key) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.get_mut(key).is_some_and(Window::give_back)
    }

    /// Windows with something in them, the fullest first.
    pub fn standings(&self) -> Vec<Charged> {
        let now = self.clock.now_ms();
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut standings: Vec<Charged> = windows
            .iter()
            .filter_map(|(key, window)| {
                // A tenant's own window may be another one; its requests are shown by the general length.
                let length = self.general(key).map_or(MINUTE_MS, Limit::length_ms);
                let (count, last) = window.count(length, now)?;
                let reset_s = u64::try_from((last + length - now).max(0)).unwrap_or(0).div_ceil(1_000);
                Some(Charged { key: key.shown(), count, reset_s })
            })
            .collect();
        standings.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        standings
    }

    /// Empties the windows of a tenant, and those of these devices.
    pub fn reset(&self, tenant: Option<&TenantId>, devices: &[DeviceId]) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|key, _| !key.is_of(tenant, devices));
    }

    pub fn reset_all(&self) {
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

    /// `None` where there is no limit.
    fn in_window<T>(&self, key: &Key, own: &Allowance, act: impl FnOnce(&mut Window, Limit, UnixMs) -> T) -> Option<T> {
        let general = self.general(key);
        let limit = match key {
            Key::Tenant(_) => {
                let window = own.requests_window_s.map(|seconds| Duration::from_secs(seconds.into()));
                overruled(general, own.requests, window)
            }
            Key::Public(_) | Key::FailedAuth(_) | Key::Pairing(_) => general,
            Key::Sent(kind, _) => overruled(general, own.of(*kind), None),
            Key::Groups(_) => overruled(general, own.groups_per_minute, None),
        }?;
        let now = self.clock.now_ms();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= WINDOWS_MAX && !windows.contains_key(key) {
            windows.retain(|_, window| window.count(limit.length_ms(), now).is_some());
            if windows.len() >= WINDOWS_MAX {
                return None;
            }
        }
        Some(act(windows.entry(key.clone()).or_default(), limit, now))
    }
}

const MINUTE_MS: i64 = 60_000;

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_device_has_a_window_of_its_own_for_each_kind_and_off_lets_everything_go() {
        let sent = BTreeMap::from([(SendKind::Text, Limit { max: 1, window: Duration::from_secs(60) })]);
        let limits = Limits::new(LimitSettings { sent, ..LimitSettings::default() }, Clock::manual(0));
        let (device, other, own) = (DeviceId::generate(), DeviceId::generate(), Allowance::default());
        let send = |kind, device, own| limits.hand_over(kind, device, &MessageId::generate(), own);

        assert_eq!(send(SendKind::Text, &device, &own), Ok(()));
        assert_eq!(send(SendKind::Text, &device, &own), Err(60_000));
        assert_eq!(limits.enter(&Key::Sent(SendKind::Text, device.clone()), &own, true).unwrap_err().remaining, 0);
        assert_eq!(send(SendKind::Text, &other, &own), Ok(()));
        assert_eq!(send(SendKind::Media, &device, &own), Ok(()), "there is no limit");
        let off = Allowance { text_per_minute: Some(Allowed::Off), ..own };
        assert_eq!(send(SendKind::Text, &device, &off), Ok(()));
        limits.reset(None, std::slice::from_ref(&device));
        assert_eq!(send(SendKind::Text, &device, &own), Ok(()));
    }
}
