//! How SQLite answers what the routes over many rows ask: by an index, whatever the size. A lost index fails here.

use super::{chat_lines, chats, events, migrations, outbox, raw};
use rusqlite::Connection;

/// Tables that grow with what is said, by the names that queries give them.
const LARGE: [&str; 9] =
    ["chats", "c", "chat_messages", "m", "messages_outbox", "o", "messages_inbox", "event_logs", "webhook_deliveries"];

fn queries() -> Vec<String> {
    let all = [chats::queries(), chat_lines::queries(), events::queries(), outbox::queries(), raw::queries()];
    all.into_iter().flatten().collect()
}

fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap_or_else(|e| panic!("{e}: {sql}"));
    let steps: rusqlite::Result<Vec<String>> = statement.raw_query().mapped(|row| row.get(3)).collect();
    steps.expect("a plan")
}

/// What of a plan grows with the store: a walk over a whole table, or putting in order what no page bounds.
fn grows(steps: &[String]) -> Vec<&String> {
    let of_a_page = steps.iter().any(|step| step.contains("CO-ROUTINE page"));
    let is_walk = |step: &String| {
        let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
        table.is_some_and(|table| LARGE.contains(&table))
    };
    // A search sorts by nothing: the words' own index is in the order of the rows.
    let sorts = |step: &String| step.contains("TEMP B-TREE") && !of_a_page;
    steps.iter().filter(|step| is_walk(step) || sorts(step)).collect()
}

fn schema() -> Connection {
    let mut conn = Connection::open_in_memory().expect("in memory");
    migrations::apply(&mut conn, 1).expect("schema");
    conn
}

#[test]
fn every_question_of_chats_messages_events_and_status_is_answered_by_an_index() {
    let conn = schema();
    let queries = queries();
    assert!(queries.len() >= 20, "{queries:?}");
    for sql in queries {
        let steps = plan(&conn, &sql);
        assert_eq!(grows(&steps), Vec::<&String>::new(), "{sql}\n{steps:#?}");
        assert!(steps.iter().any(|step| step.contains("SEARCH") || step.contains("VIRTUAL TABLE INDEX")), "{steps:#?}");
    }
}

#[test]
fn an_index_that_is_lost_is_missed() {
    for (index, table) in [
        ("chats_newest", "chats"),
        ("chat_messages_newest", "chat_messages"),
        ("messages_inbox_wa_id", "messages_inbox"),
        ("event_logs_of_device", "event_logs"),
        ("event_logs_of_tenant", "event_logs"),
    ] {
        let conn = schema();
        let before: Vec<Vec<String>> = queries().iter().map(|sql| plan(&conn, sql)).collect();
        conn.execute_batch(&format!("DROP INDEX {index}")).expect("it was there");

        let after: Vec<Vec<String>> = queries().iter().map(|sql| plan(&conn, sql)).collect();

        let changed = before.iter().zip(&after).any(|(before, after)| before != after);
        assert!(changed && before.iter().flatten().any(|step| step.contains(index)), "{index} of {table} is of no use");
    }
}
