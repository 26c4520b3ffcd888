//! What an operator sees of a running gateway: log lines without secrets, figures that cost no table scan, and reports of errors
//! where they are wanted.

mod log_files;
pub mod logs;
pub mod metrics;
pub mod redact;
pub mod sentry;
