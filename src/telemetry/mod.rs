//! What an operator sees of a running gateway: log lines without secrets, and figures that cost no table scan.

mod log_files;
pub mod logs;
pub mod metrics;
pub mod redact;
