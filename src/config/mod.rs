//! What the operator wrote, merged and checked. Layers come from figment; the merged tree is checked here, so that every
//! error is reported at once, with its key and where it was written, and a key that is not known is refused.
//!
//! Two stages: what was written (a tree) and what it means ([`Settings`]). Nothing here reads the environment or the
//! command line by itself; both are handed in.

mod settings;
mod tree;

pub use crate::domain::correction::{ConfigError, ConfigErrors};
pub use settings::Settings;

use figment::Figment;
use figment::providers::{Format, Toml};
use std::path::PathBuf;
use tree::{Layer, Tree};

/// The commented defaults. They are also the list of known keys.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The older environment names, and the keys they set.
const ENVIRONMENT: [(&str, &str); 14] = [
    ("MASTER_KEY", "master_key"),
    ("INSTANCE_ID", "instance_id"),
    ("HOST", "server.host"),
    ("PORT", "server.port"),
    ("DATABASE_PATH", "store.path"),
    ("LOG_LEVEL", "log.level"),
    ("LOG_DIR", "log.dir"),
    ("TIMEZONE", "log.timezone"),
    ("RATE_LIMIT_MAX", "limits.tenant"),
    ("RATE_LIMIT_WINDOW", "limits.tenant_window_s"),
    ("DEBUG_PROTOCOL_TAP", "debug.protocol_tap"),
    ("SENTRY_DSN", "sentry.dsn"),
    ("SENTRY_ENVIRONMENT", "sentry.environment"),
    ("SENTRY_TRACES_SAMPLE_RATE", "sentry.traces_sample_rate"),
];
const PREFIX: &str = "RIJAN__";

/// Where settings come from, lowest layer first. Not `Debug`: the environment holds the master key.
#[derive(Clone, Default)]
pub struct Sources {
    /// A file that must exist.
    pub file: Option<PathBuf>,
    /// A file that is read when it is there and no other was named.
    pub file_if_there: Option<PathBuf>,
    pub environment: Vec<(String, String)>,
    /// Keys and values, as flags set them.
    pub flags: Vec<(String, String)>,
}

pub fn load(sources: &Sources) -> Result<Settings, ConfigErrors> {
    let mut figment = Figment::from(Toml::string(DEFAULTS));
    let file = sources.file.as_ref().or(sources.file_if_there.as_ref().filter(|file| file.exists()));
    if let Some(file) = file {
        if !file.exists() {
            let message = "the configuration file does not exist".to_owned();
            return Err(ConfigErrors(vec![ConfigError { key: file.display().to_string(), message, source: None }]));
        }
        figment = figment.merge(Toml::file_exact(file));
    }
    for (name, value) in &sources.environment {
        let key = match ENVIRONMENT.iter().find(|(known, _)| known == name) {
            // Files of environments name what they leave open, with nothing behind it.
            Some(_) if value.is_empty() => None,
            Some((_, key)) => Some((*key).to_owned()),
            None => name.strip_prefix(PREFIX).map(|rest| rest.to_ascii_lowercase().replace("__", ".")),
        };
        if let Some(key) = key {
            figment = figment.merge(Layer::new(format!("the environment variable {name}"), key, value));
        }
    }
    for (key, value) in &sources.flags {
        figment = figment.merge(Layer::new("the command line".to_owned(), key.clone(), value));
    }
    settings::read(Tree::new(figment)?)
}
