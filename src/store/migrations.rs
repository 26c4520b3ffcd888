//! The schema, in steps that only ever add. A step once released never changes; a newer schema is refused untouched.

use rusqlite::{Connection, OptionalExtension, params};

/// Name and SQL of every step, in order.
const STEPS: &[(&str, &str)] = &[
    ("0001_initial", include_str!("../../migrations/0001_initial.sql")),
    ("0002_plugins", include_str!("../../migrations/0002_plugins.sql")),
    ("0003_tenant_files", include_str!("../../migrations/0003_tenant_files.sql")),
    ("0004_templates", include_str!("../../migrations/0004_templates.sql")),
    ("0005_media", include_str!("../../migrations/0005_media.sql")),
    ("0006_chats", include_str!("../../migrations/0006_chats.sql")),
    ("0007_candidates", include_str!("../../migrations/0007_candidates.sql")),
    ("0008_keys", include_str!("../../migrations/0008_keys.sql")),
    ("0009_labels", include_str!("../../migrations/0009_labels.sql")),
    ("0010_template_media", include_str!("../../migrations/0010_template_media.sql")),
    ("0011_depth", include_str!("../../migrations/0011_depth.sql")),
    ("0012_lines", include_str!("../../migrations/0012_lines.sql")),
    ("0013_gone", include_str!("../../migrations/0013_gone.sql")),
];

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(
        "the database was written by a newer version (it has step \"{0}\"): start that version, or restore a backup"
    )]
    Newer(String),
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// Brings the schema up to date in one transaction; does nothing when it is.
pub(super) fn apply(conn: &mut Connection, now_ms: i64) -> Result<(), MigrationError> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (
            step INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL
        ) STRICT",
    )?;
    let applied: usize = conn.query_row("SELECT count(*) FROM migrations", [], |row| row.get(0))?;
    if applied > STEPS.len() {
        let last = conn
            .query_row("SELECT name FROM migrations ORDER BY step DESC LIMIT 1", [], |row| row.get::<_, String>(0))
            .optional()?;
        return Err(MigrationError::Newer(last.unwrap_or_default()));
    }
    let tx = conn.transaction()?;
    for (index, (name, sql)) in STEPS.iter().enumerate().skip(applied) {
        tx.execute_batch(sql)?;
        tx.execute(
            "INSERT INTO migrations (step, name, applied_at) VALUES (?1, ?2, ?3)",
            params![index + 1, name, now_ms],
        )?;
    }
    tx.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_changes_nothing_and_a_newer_schema_is_refused() {
        let mut conn = Connection::open_in_memory().expect("in memory");
        apply(&mut conn, 1).expect("first");
        apply(&mut conn, 2).expect("second");

        conn.execute("INSERT INTO migrations VALUES (99, '0099_future', 3)", []).expect("insert");

        let refused = apply(&mut conn, 4).expect_err("newer");
        assert!(refused.to_string().contains("0099_future"));
    }
    #[test]
    fn a_line_of_before_knows_the_file_of_its_own_sender() {
        let conn = Connection::open_in_memory().expect("in memory");
        let run = |sql: &str| conn.execute_batch(sql).expect("runs");
        run("PRAGMA foreign_keys = OFF");
        STEPS.iter().take(11).for_each(|(_, sql)| run(sql));
        for (chat, sender, envelope) in [
            ("mallory", "mallory", r#"{"fromMe":false,"mediaId":"mallorys"}"#),
            ("ani", "ani", r#"{"fromMe":false,"mediaId":"anis"}"#),
            ("ani", "us", r#"{"fromMe":true,"mediaId":"ours"}"#),
        ] {
            run(&format!(
                "INSERT INTO messages_inbox (tenant_id, device_id, chat, sender, wa_id, envelope, message, received_at) \
                 VALUES ('t', 'd', '{chat}', '{sender}', 'A', '{envelope}', x'', 1)"
            ));
        }
        run("INSERT INTO chat_messages (tenant_id, device_id, chat_id, wa_id, from_me, sender, kind, at) VALUES \
             ('t', 'd', 1, 'A', 0, 'ani', 'image', 1), ('t', 'd', 2, 'A', 1, '', 'image', 1)");

        run(STEPS[11].1);

        let files = "SELECT group_concat(media_id) FROM (SELECT media_id FROM chat_messages ORDER BY seq)";
        assert_eq!(conn.query_row(files, [], |row| row.get::<_, String>(0)).expect("files"), "anis,ours");
    }
}
