//! What the gateway offers. A module here is an import: it works when the manifest's `wants.imports` names it, and, for
//! secrets, kv, http and media, when the tenant grants it.

/// The detail behind the event of this call: the `data` of the webhook body.
pub mod event_data {
    pub use crate::bindings::imports::rijan::plugin::event_data::{find, get};

    /// The value at a JSON Pointer, such as `/sender/contactId`, as a type of yours.
    #[cfg(feature = "json")]
    pub fn read<T: serde::de::DeserializeOwned>(pointer: &str) -> crate::Result<Option<T>> {
        Ok(find(pointer).map(|json| serde_json::from_str(&json)).transpose()?)
    }
}

/// Values that are granted by name and kept out of the configuration.
pub mod secrets {
    pub use crate::bindings::imports::rijan::plugin::secrets::{Error, get};
}

/// Durable values of this tenant and this plugin. Writes commit with the decision of the call, or not at all.
pub mod kv {
    use crate::Blob;
    pub use crate::bindings::imports::rijan::plugin::kv::{
        Entry, Error, Page, cas, delete, get, increment, list_keys, set,
    };

    /// A value as text; bytes that are not UTF-8 count as none.
    pub fn text(key: &str) -> Result<Option<String>, Error> {
        Ok(get(key)?.and_then(|entry| match entry.value {
            Blob::Text(text) => Some(text),
            Blob::Bytes(bytes) => String::from_utf8(bytes).ok(),
        }))
    }

    /// Kept until it is deleted, or for `ttl_ms` from the commit.
    pub fn set_text(key: &str, text: &str, ttl_ms: Option<u64>) -> Result<(), Error> {
        set(key, &Blob::Text(text.to_owned()), ttl_ms)
    }
}

/// Acts at once, and only to hosts that the manifest and the tenant both name.
pub mod http {
    pub use crate::bindings::imports::rijan::plugin::http::{Error, Request, Response, fetch, idempotency_key};
    use crate::{Blob, Field};

    impl Request {
        pub fn get(url: impl Into<String>) -> Self {
            Self { method: "GET".into(), url: url.into(), headers: Vec::new(), body: None, timeout_ms: None }
        }

        /// A POST with a JSON body.
        pub fn post_json(url: impl Into<String>, json: impl Into<String>) -> Self {
            Self { method: "POST".into(), body: Some(Blob::Text(json.into())), ..Self::get(url) }
                .header("content-type", "application/json")
        }

        pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.headers.push(Field { name: name.into(), value: value.into() });
            self
        }
    }

    impl Response {
        /// The body, when it is text.
        pub fn text(&self) -> Option<&str> {
            match &self.body {
                Blob::Text(text) => Some(text),
                Blob::Bytes(_) => None,
            }
        }
    }
}

/// Bytes of stored media, in chunks.
pub mod media {
    pub use crate::bindings::imports::rijan::plugin::media::{Error, read};
}

pub mod clock {
    pub use crate::bindings::imports::rijan::plugin::clock::{monotonic, now};
}

pub mod random {
    pub use crate::bindings::imports::rijan::plugin::random::{bytes, next};
}
