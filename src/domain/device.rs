//! What a device should do next: one pure table over what its owner wants, what was observed, and what just happened.

use serde::{Deserialize, Serialize};

/// Devices of one tenant; one more is refused.
pub const DEVICES_PER_TENANT_MAX: u32 = 1_000;

/// What the owner wants. Stored, so that a stop sticks and a restart resumes exactly what should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    Running,
    Stopped,
}

/// What was last seen of the device: the `status` of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    Disconnected,
    Connecting,
    /// Waiting for its QR to be scanned or its code to be typed.
    Pairing,
    Connected,
    /// WhatsApp no longer knows this device; only a new pairing helps.
    NeedsPairing,
    /// Gave up after the configured attempts; a start tries again.
    Failed,
}

impl Desired {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Stopped].into_iter().find(|d| d.as_str() == text)
    }
}

impl Observed {
    pub const ALL: [Self; 6] =
        [Self::Disconnected, Self::Connecting, Self::Pairing, Self::Connected, Self::NeedsPairing, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connecting => "connecting",
            Self::Pairing => "pairing",
            Self::Connected => "connected",
            Self::NeedsPairing => "needs_pairing",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.as_str() == text)
    }
}

/// Why a connection ended, or never came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The network, the server's restart (515), a refused handshake, or our own liveness probe: worth another try.
    Lost { detail: String },
    /// Logged out: 401, device removed by the phone, or an account that is gone. Nothing to retry.
    Unlinked { detail: String },
    /// Another connection with the same keys took over (`conflict`/`replaced`).
    Replaced,
    /// The codes for pairing ran out before anybody used one.
    PairingExpired,
    /// WhatsApp banned the account for a while.
    Banned { detail: String },
    /// WhatsApp refuses this client's version.
    Outdated,
    /// The owner asked for it, or the gateway is going down.
    Asked,
}

/// What the device's task does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Wait as the backoff says for this number of failures in a row, then connect.
    Retry { failures: u32 },
    /// End the task and record this status.
    Rest(Observed),
}

/// Decides after a connection ended. `failures` counts unstable connections in a row, this one included; `linked`
/// tells whether the session was ever paired; `attempts_max` of 0 means no limit.
pub fn after_end(desired: Desired, ended: &Ended, linked: bool, failures: u32, attempts_max: u32) -> Next {
    match (desired, ended) {
        (_, Ended::Unlinked { .. }) => Next::Rest(Observed::NeedsPairing),
        (Desired::Stopped, _) | (_, Ended::Asked) => Next::Rest(Observed::Disconnected),
        (_, Ended::PairingExpired) if linked => Next::Retry { failures },
        (_, Ended::PairingExpired) => Next::Rest(Observed::NeedsPairing),
        // Fighting over one session knocks both off for ever: the newer connection wins, ours rests.
        (_, Ended::Replaced | Ended::Outdated | Ended::Banned { .. }) => Next::Rest(Observed::Failed),
        (Desired::Running, Ended::Lost { .. }) if attempts_max > 0 && failures > attempts_max => {
            Next::Rest(Observed::Failed)
        }
        (Desired::Running, Ended::Lost { .. }) => Next::Retry { failures },
    }
}

/// Whether a restarted gateway starts this device by itself. One that needs pairing waits for its owner.
pub fn resumes(desired: Desired, observed: Observed, linked: bool) -> bool {
    desired == Desired::Running && linked && observed != Observed::NeedsPairing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Ended {
        Ended::Lost { detail: "connection reset".into() }
    }

    #[test]
    fn the_table_of_what_follows_an_end() {
        use Desired::{Running, Stopped};
        let unlinked = Ended::Unlinked { detail: "401".into() };
        let banned = Ended::Banned { detail: "402".into() };
        let rows = [
            (Running, lost(), true, 1, 0, Next::Retry { failures: 1 }),
            (Running, lost(), true, 1_000, 0, Next::Retry { failures: 1_000 }),
            (Running, lost(), true, 5, 5, Next::Retry { failures: 5 }),
            (Running, lost(), true, 6, 5, Next::Rest(Observed::Failed)),
            (Stopped, lost(), true, 1, 0, Next::Rest(Observed::Disconnected)),
            (Running, Ended::Asked, true, 1, 0, Next::Rest(Observed::Disconnected)),
            (Running, unlinked.clone(), true, 1, 0, Next::Rest(Observed::NeedsPairing)),
            (Stopped, unlinked, true, 1, 0, Next::Rest(Observed::NeedsPairing)),
            (Running, Ended::Replaced, true, 1, 0, Next::Rest(Observed::Failed)),
            (Running, Ended::Outdated, true, 1, 0, Next::Rest(Observed::Failed)),
            (Running, banned, true, 1, 0, Next::Rest(Observed::Failed)),
            (Running, Ended::PairingExpired, false, 1, 0, Next::Rest(Observed::NeedsPairing)),
            (Running, Ended::PairingExpired, true, 1, 0, Next::Retry { failures: 1 }),
        ];
        for (desired, ended, linked, failures, max, expected) in rows {
            assert_eq!(after_end(desired, &ended, linked, failures, max), expected, "{desired:?} {ended:?}");
        }
    }

    #[test]
    fn a_restart_resumes_what_ran_and_leaves_what_needs_pairing() {
        assert!(resumes(Desired::Running, Observed::Connected, true));
        assert!(resumes(Desired::Running, Observed::Failed, true));
        assert!(!resumes(Desired::Running, Observed::NeedsPairing, true));
        assert!(!resumes(Desired::Stopped, Observed::Connected, true));
        assert!(!resumes(Desired::Running, Observed::Pairing, false));
    }

    #[test]
    fn every_status_survives_its_text_form() {
        for status in Observed::ALL {
            assert_eq!(Observed::parse(status.as_str()), Some(status));
        }
    }
}
