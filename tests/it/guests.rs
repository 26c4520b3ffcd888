//! Components for tests, as their authors would build them.
//!
//! `RIJAN_GUESTS` names the folder that holds them; there everything has to be, and a missing one fails its test. Without
//! it the one in Rust is built here, because its toolchain is that of this repository, and the others are taken when
//! `plugins/build.sh` has built them; a test says which it leaves out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub const LANGUAGES: [&str; 4] = ["rust", "go", "js", "python"];

/// The folder of built components.
pub fn guests() -> PathBuf {
    given().unwrap_or_else(|| Path::new(env!("CARGO_BIN_EXE_rijan")).ancestors().nth(2).unwrap().join("guests"))
}

fn given() -> Option<PathBuf> {
    std::env::var_os("RIJAN_GUESTS").map(PathBuf::from)
}

/// The example plugin in this language; `None` when it is not built and need not be.
#[expect(clippy::print_stderr, reason = "what a run leaves out is said")]
pub fn example(language: &str) -> Option<Vec<u8>> {
    if language == "rust" {
        return Some(rust_example());
    }
    let file = guests().join(format!("{language}.wasm"));
    match std::fs::read(&file) {
        Ok(component) => Some(component),
        Err(error) if given().is_some() => panic!("{} does not read: {error}", file.display()),
        Err(_) => {
            eprintln!("left out: {} is not built; plugins/build.sh builds it", file.display());
            None
        }
    }
}

pub fn rust_example() -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    built(&BUILT, "examples/plugins/rust", "rust")
}

/// The plugin of `tests/guests` that attacks its host.
pub fn hostile() -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    built(&BUILT, "tests/guests/hostile", "hostile")
}

/// The plugin of `tests/guests` that keeps what it is shown.
pub fn witness() -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    built(&BUILT, "tests/guests/witness", "witness")
}

/// In Rust, so it is built here when nobody has built it.
fn built(once: &OnceLock<PathBuf>, project: &str, name: &str) -> Vec<u8> {
    let file = once.get_or_init(|| {
        let file = guests().join(format!("{name}.wasm"));
        if given().is_none() {
            build(project, &file);
        }
        file
    });
    std::fs::read(file).unwrap_or_else(|error| panic!("{} does not read: {error}", file.display()))
}

fn build(project: &str, to: &Path) {
    std::fs::create_dir_all(guests()).unwrap();
    let built = Command::new(env!("CARGO_BIN_EXE_rijan"))
        .args(["plugin", "build", project, "--output"])
        .arg(to)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "\"rijan plugin build {project}\" failed:\n{said}");
}
