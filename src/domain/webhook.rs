//! How large what a tenant says of a webhook may be, over the API and in a file alike.

pub const NAME_CHARS_MAX: usize = 100;
pub const URL_CHARS_MAX: usize = 2_048;
pub const EVENTS_MAX: usize = 64;
pub const HEADERS_MAX: usize = 20;
pub const DEVICES_MAX: usize = 1_000;
pub const TIMEOUT_MS_DEFAULT: u32 = 10_000;
pub const TIMEOUT_MS_MIN: u32 = 100;
pub const TIMEOUT_MS_MAX: u32 = 30_000;
/// Every event looks at each of them; one more is refused.
pub const WEBHOOKS_PER_TENANT_MAX: u32 = 100;
