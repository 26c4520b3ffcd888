//! "I could not decide", and what follows from which error: see `plugin-error` in `wit/`.

use crate::{PluginError, TemporaryError, http, kv, media, secrets};

pub type Result<T> = std::result::Result<T, PluginError>;

impl PluginError {
    /// Try this event again, after the gateway's own pause.
    pub fn temporary(message: impl Into<String>) -> Self {
        Self::Temporary(TemporaryError { message: message.into(), retry_after_ms: None })
    }

    /// Try this event again after this many milliseconds.
    pub fn temporary_after(message: impl Into<String>, retry_after_ms: u64) -> Self {
        Self::Temporary(TemporaryError { message: message.into(), retry_after_ms: Some(retry_after_ms) })
    }

    /// No other attempt would end better.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(message.into())
    }
}

impl From<kv::Error> for PluginError {
    fn from(error: kv::Error) -> Self {
        match error {
            kv::Error::RateLimited | kv::Error::Unavailable(_) => Self::temporary(format!("kv: {error}")),
            _ => Self::permanent(format!("kv: {error}")),
        }
    }
}

impl From<http::Error> for PluginError {
    fn from(error: http::Error) -> Self {
        match error {
            http::Error::Timeout | http::Error::RateLimited | http::Error::Network(_) => {
                Self::temporary(format!("http: {error}"))
            }
            _ => Self::permanent(format!("http: {error}")),
        }
    }
}

impl From<secrets::Error> for PluginError {
    fn from(error: secrets::Error) -> Self {
        match error {
            secrets::Error::Unavailable => Self::temporary(format!("secrets: {error}")),
            _ => Self::permanent(format!("secrets: {error}")),
        }
    }
}

impl From<media::Error> for PluginError {
    fn from(error: media::Error) -> Self {
        match error {
            media::Error::Unavailable(_) => Self::temporary(format!("media: {error}")),
            _ => Self::permanent(format!("media: {error}")),
        }
    }
}

#[cfg(feature = "json")]
impl From<serde_json::Error> for PluginError {
    fn from(error: serde_json::Error) -> Self {
        Self::permanent(format!("json: {error}"))
    }
}
