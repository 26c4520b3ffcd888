//! The configuration that a tenant gives the plugin.

use crate::error::Result;

/// A type that can be read from the plugin's configuration. With the feature `json`, every type that is `Deserialize`.
///
/// The gateway has checked the document against the manifest's schema; an error here is for what a schema cannot say.
pub trait FromConfig: Sized {
    fn from_config(json: &str) -> Result<Self>;
}

#[cfg(feature = "json")]
impl<T: serde::de::DeserializeOwned> FromConfig for T {
    fn from_config(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| crate::PluginError::BadConfig(error.to_string()))
    }
}
