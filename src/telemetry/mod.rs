//! What an operator sees of a running gateway: log lines without secrets, and figures that cost no table scan.

pub mod logs;
pub mod metrics;
pub mod redact;
