//! A process of its own for a test that looks at the process, such as at its memory: others would disturb it.

use std::process::Command;

const ALONE: &str = "RIJAN_TEST_ALONE";

/// Whether this process runs the test of this name and no other. If not, one that does has run by the time this returns.
pub fn alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("1 passed"), "there is no test {test:?}: {said}");
    false
}

/// Memory of this process that is in use, in MiB.
pub fn resident_mib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() / 1024
}
