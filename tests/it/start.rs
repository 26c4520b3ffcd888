//! What keeps a gateway from starting: one clear line that says what to do, and an exit code that is not 0.

use rijan::vault::api_key::sha256_hex;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn serve(folder: &Path, password: &str, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rijan"));
    command.arg("serve").current_dir(folder);
    command
        .env_clear()
        .env("PORT", "0")
        .env("MASTER_KEY", sha256_hex(password))
        .env("DATABASE_PATH", folder.join("data/rijan.db"));
    command.envs(more.iter().copied());
    command
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts a gateway, waits until it listens (its database is made by then), and kills it.
fn make_database(folder: &Path, password: &str) {
    let mut child = serve(folder, password, &[]).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("the gateway listens")), "it ended instead");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_wrong_master_key_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    make_database(folder.path(), "right");

    let text = refusal(&serve(folder.path(), "wrong", &[]).output().unwrap());

    assert!(text.contains("the master key does not open the database"), "{text}");
}

#[test]
fn an_unwritable_folder_and_a_missing_key_name_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let path = file.join("rijan.db").display().to_string();

    let text = refusal(&serve(folder.path(), "x", &[("DATABASE_PATH", &path)]).output().unwrap());
    assert!(text.contains("cannot write to the data folder") && text.contains("DATABASE_PATH"), "{text}");

    let text = refusal(&serve(folder.path(), "x", &[("MASTER_KEY", "")]).output().unwrap());
    assert!(text.contains("master_key: set MASTER_KEY to the SHA-256"), "{text}");
}

#[test]
fn a_port_in_use_and_a_broken_database_name_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let text = refusal(&serve(folder.path(), "x", &[("PORT", &port)]).output().unwrap());
    assert!(text.contains("cannot listen on") && text.contains("PORT"), "{text}");

    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/rijan.db"), "this is not a database, and long enough to be read as one")
        .unwrap();
    let text = refusal(&serve(folder.path(), "x", &[]).output().unwrap());
    assert!(text.contains("is not a usable database") && text.contains("backup"), "{text}");
}

#[test]
fn a_newer_database_is_refused_untouched_with_the_step_it_has() {
    let folder = tempfile::tempdir().unwrap();
    make_database(folder.path(), "x");
    change(folder.path(), "INSERT INTO migrations VALUES (999, '0999_of_the_future', 1)");

    let text = refusal(&serve(folder.path(), "x", &[]).output().unwrap());

    assert_eq!(text.trim().lines().count(), 1, "{text}");
    assert!(text.contains("newer version") && text.contains("0999_of_the_future") && text.contains("backup"), "{text}");
}

#[test]
fn a_damaged_root_key_is_refused_and_one_that_was_changed_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    make_database(folder.path(), "x");

    // The last byte belongs to the tag: nothing but the check of it can notice.
    change(
        folder.path(),
        "UPDATE store_facts SET value = CAST(substr(value, 1, length(value) - 1) || \
         CASE substr(value, -1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB) WHERE name = 'root_key'",
    );
    let text = refusal(&serve(folder.path(), "x", &[]).output().unwrap());
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    assert!(text.contains("does not open the database") && text.contains("restore the database"), "{text}");

    change(folder.path(), "UPDATE store_facts SET value = x'0102' WHERE name = 'root_key'");
    let text = refusal(&serve(folder.path(), "x", &[]).output().unwrap());
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    assert!(text.contains("the root key in") && text.contains("restore the database from a backup"), "{text}");
}

#[test]
fn a_second_gateway_on_the_same_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = serve(folder.path(), "x", &[]).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(first.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("the gateway listens")), "it ended instead");

    let text = refusal(&serve(folder.path(), "x", &[]).output().unwrap());

    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    assert!(text.contains("another process uses the database") && text.contains("DATABASE_PATH"), "{text}");
}

/// Changes the database of a gateway that does not run.
fn change(folder: &Path, sql: &str) {
    let database = rusqlite::Connection::open(folder.join("data/rijan.db")).unwrap();
    assert_eq!(database.execute(sql, []).unwrap(), 1, "{sql}");
}
