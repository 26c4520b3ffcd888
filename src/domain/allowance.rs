//! What a tenant may do how often, where its file says so in place of the gateway's own limits.

use serde::{Deserialize, Serialize};

/// So many, or as many as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    Off,
    Max(u32),
}

/// What is left out is as the gateway's configuration says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    /// Requests in the window below.
    pub requests: Option<Allowed>,
    pub requests_window_s: Option<u32>,
    /// Text messages of one device.
    pub text_per_minute: Option<Allowed>,
}
