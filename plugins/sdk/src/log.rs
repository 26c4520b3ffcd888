//! Lines for `GET /v1/plugins/:name/logs`: `info!("dropped", event = event.id)`.

pub use crate::bindings::imports::rijan::plugin::log::{Level, log};

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $message:expr $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::log(
            $crate::Level::$level,
            ::std::convert::AsRef::<str>::as_ref(&$message),
            &[$($crate::Field {
                name: stringify!($name).into(),
                value: ::std::string::ToString::to_string(&$value),
            }),*],
        )
    };
}

/// A message, and fields with values: `debug!("asked", url = url)`.
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::__log!(Debug, $($line)+) };
}

/// A message, and fields with values: `info!("dropped", event = event.id)`.
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::__log!(Info, $($line)+) };
}

/// A message, and fields with values: `warn!("no such list", name = name)`.
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::__log!(Warn, $($line)+) };
}

/// A message, and fields with values: `error!("cannot read", why = error)`.
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::__log!(Error, $($line)+) };
}
