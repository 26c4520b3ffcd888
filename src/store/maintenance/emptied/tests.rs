use super::*;
use crate::domain::delivery::{Order, Schedule, Step};
use crate::domain::event::{Event, EventType};
use crate::domain::ids::DeviceId;
use crate::domain::outgoing::Status;
use crate::domain::secret::Secret;
use crate::domain::webhook::Filter;
use crate::store::database::BUSY_TIMEOUT;
use crate::store::world::World;
use crate::store::{
    AttemptEnd, DueDelivery, HistoryChat, HistoryPart, Link, NewLine, RawMessage, SessionKind, SessionWrite,
    WebhookSpec, migrations,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const ANI: &str = "6281100000001@s.whatsapp.net";
const OTHER: &str = "6299@s.whatsapp.net";
const DEVICE_TO_EMPTY: &str = "SELECT count(*) FROM devices WHERE id = ?1 AND emptied = 0";
/// Pages of the words' index in which this stands.
const PAGES: &str = "SELECT count(*) FROM chat_messages_text_data WHERE instr(block, CAST(?1 AS BLOB))";

fn line(number: usize, word: &str) -> NewLine {
    NewLine {
        wa_id: format!("{word}{number}"),
        from_me: number.is_multiple_of(2),
        sender: String::new(),
        outbox_id: None,
        media_id: None,
        kind: "text".into(),
        text: Some(format!("{word} {number}")),
        is_caption: false,
        at: 1_000 + i64::try_from(number).expect("few"),
        status: Some(Status::Sent),
        unread: false,
        starred: false,
    }
}

async fn rows(world: &World, sql: &str, of: &str) -> i64 {
    let (sql, of) = (sql.to_owned(), of.to_owned());
    world.store.db.read(move |conn| Ok(conn.query_row(&sql, [of], |row| row.get(0))?)).await.expect("a count")
}

/// Nothing that was under way can write any more.
async fn settled(world: &World) {
    world.store.clock().advance(Duration::from_secs(601));
    world.store.note_emptied().await.expect("noted");
}

async fn lines(world: &World, device: &DeviceId) -> i64 {
    rows(world, "SELECT count(*) FROM chat_messages WHERE device_id = ?1", device.as_str()).await
}

/// Chats of a device, with more lines than one step takes, and a word that stands nowhere else.
async fn chats(world: &World, device: &DeviceId, word: &str) {
    let lease = world.store.acquire_lease(&world.tenant, device).await.expect("lease");
    for chat in 0..3 {
        let lines = (0..400).map(|number| line(chat * 1_000 + number, word)).collect();
        let address = format!("6281{chat}@s.whatsapp.net");
        let part =
            HistoryPart { chats: vec![HistoryChat { address, lines, ..Default::default() }], ..Default::default() };
        world.store.record_history(&world.tenant, &lease, part).await.expect("recorded");
    }
}

#[tokio::test]
async fn a_deleted_device_leaves_no_row_and_no_word_and_another_one_keeps_its_own() {
    let world = World::new().await;
    let kept = world.lease.device.clone();
    let gone = world.store.create_device(&world.tenant, "gone").await.expect("device").id;
    chats(&world, &kept, "remaining").await;
    chats(&world, &gone, "vanishing").await;
    world.store.delete_device(&world.tenant, &gone).await.expect("deleted");

    let removed = world.store.empty_deleted().await.expect("emptied");

    assert!(removed >= 1_203, "{removed}");
    settled(&world).await;
    assert_eq!((lines(&world, &gone).await, lines(&world, &kept).await), (0, 1_200));
    assert_eq!(rows(&world, "SELECT count(*) FROM chats WHERE device_id = ?1", gone.as_str()).await, 0);
    let words = ["remaining".to_owned()];
    let found = world.store.search_lines(&world.tenant, &kept, &words, None, None, 50).await.expect("found");
    assert_eq!(found.len(), 50);
    // The index of words holds what it begins with: the word itself stands in no page any more.
    assert_eq!(rows(&world, PAGES, "vanish").await, 0);
    assert!(rows(&world, PAGES, "remain").await > 0);
}

#[tokio::test]
async fn a_device_of_another_account_has_nothing_of_the_one_before_and_keeps_what_it_got_since() {
    let world = World::new().await;
    let (tenant, device) = (&world.tenant, &world.lease.device);
    chats(&world, device, "vanishing").await;
    let lease = world.store.acquire_lease(tenant, device).await.expect("lease");
    let link = Link { phone_number: Some("6299".into()), jid: Some(OTHER.into()), lid: None, name: None };
    let words = ["vanishing".to_owned()];
    let found = async || world.store.search_lines(tenant, device, &words, None, None, 50).await.expect("found").len();
    assert_eq!(found().await, 50);

    world.store.link_device(tenant, &lease, link.clone()).await.expect("linked");

    assert_eq!((world.store.chats(tenant, device, 10, 0).await.expect("chats").len(), found().await), (0, 0));
    let sync = world.store.chat_sync(tenant, device).await.expect("known");
    assert_eq!((sync.chat_count, sync.last_history_sync_at), (0, None));
    // The same people write to the new account, before and while what was left goes.
    chats(&world, device, "arriving").await;
    let lease = world.store.acquire_lease(tenant, device).await.expect("lease");
    world.store.link_device(tenant, &lease, link).await.expect("linked again, as after a kill");
    assert_eq!(world.store.empty_deleted().await.expect("emptied"), 1_203);

    assert_eq!(lines(&world, device).await, 1_200, "those of the new account");
    let chats = world.store.chats(tenant, device, 10, 0).await.expect("chats");
    assert_eq!((chats.len(), chats[0].jid.as_str()), (3, "62812@s.whatsapp.net"));
    assert!(rows(&world, PAGES, "vanish").await > 0, "the index is written anew now and then");
    world.store.note_emptied().await.expect("written");
    assert_eq!(rows(&world, PAGES, "vanish").await, 0);
    assert!(rows(&world, PAGES, "arriv").await > 0);
    assert_eq!(world.store.empty_deleted().await.expect("emptied"), 0);
}

#[tokio::test]
async fn nobody_links_a_device_that_was_deleted_or_that_another_instance_owns() {
    let world = World::new().await;
    let (tenant, device) = (&world.tenant, &world.lease.device);
    let link = || Link { phone_number: Some("6299".into()), jid: Some(OTHER.into()), lid: None, name: None };
    let newer = world.store.acquire_lease(tenant, device).await.expect("lease");
    assert!(matches!(world.store.link_device(tenant, &world.lease, link()).await, Err(StoreError::Fenced)));
    world.store.delete_device(tenant, device).await.expect("deleted");

    assert!(world.store.link_device(tenant, &newer, link()).await.is_err());

    let named = "SELECT count(*) FROM devices WHERE id = ?1 AND (linked = 1 OR wa_jid IS NOT NULL)";
    assert_eq!(rows(&world, named, device.as_str()).await, 0);
}

#[tokio::test]
async fn a_deleted_tenant_is_looked_at_until_nothing_can_come_after_and_then_no_more() {
    let world = World::new().await;
    let device = world.lease.device.clone();
    world.received("62811@s.whatsapp.net", "62811@s.whatsapp.net", "A", b"not told yet").await;
    let event = Event::new(world.tenant.clone(), Some(device), EventType::DeviceConnected, 1, json!({}));
    world.store.append_event(event).await.expect("told");
    world.store.delete_tenant(&world.tenant).await.expect("deleted");
    let to_empty = "SELECT count(*) FROM tenants WHERE id = ?1 AND emptied = 0";
    let id = world.tenant.as_str();

    world.store.empty_deleted().await.expect("emptied");

    for table in ["event_logs", "messages_inbox", "api_keys", "chats"] {
        let left = rows(&world, &format!("SELECT count(*) FROM {table} WHERE tenant_id = ?1"), id).await;
        assert_eq!(left, 0, "{table}");
    }
    world.store.note_emptied().await.expect("noted");
    assert_eq!(rows(&world, to_empty, id).await, 1, "what was under way may still write");
    assert_eq!(world.store.empty_deleted().await.expect("emptied"), 0);
    settled(&world).await;
    assert_eq!(rows(&world, to_empty, id).await, 0);
}

#[tokio::test]
async fn nothing_is_noted_as_empty_while_somebody_reads_the_log_and_nobody_waits_for_them() {
    let world = World::new().await;
    let device = world.lease.device.as_str();
    world.store.delete_device(&world.tenant, &world.lease.device).await.expect("deleted");
    let mut backup = rusqlite::Connection::open(world.folder.path().join("test.db")).expect("opens");
    let reading = backup.transaction().expect("begins");
    reading.query_row("SELECT count(*) FROM devices", [], |_| Ok(())).expect("reads");
    world.store.empty_deleted().await.expect("emptied");
    let began = std::time::Instant::now();

    settled(&world).await;

    assert!(began.elapsed() < BUSY_TIMEOUT, "the writer waited for the reader");
    assert_eq!(rows(&world, DEVICE_TO_EMPTY, device).await, 1);
    drop(reading);
    settled(&world).await;
    assert_eq!(rows(&world, DEVICE_TO_EMPTY, device).await, 0);
}

#[tokio::test]
async fn what_cannot_be_removed_of_one_holds_up_no_other() {
    let world = World::new().await;
    let (stuck, other) =
        (&world.lease.device, world.store.create_device(&world.tenant, "other").await.expect("made").id);
    for device in [stuck, &other] {
        chats(&world, device, "vanishing").await;
        world.store.delete_device(&world.tenant, device).await.expect("deleted");
    }
    let trigger = format!(
        "CREATE TRIGGER stuck BEFORE DELETE ON contacts WHEN old.device_id = '{stuck}' \
         BEGIN SELECT RAISE (ABORT, 'damaged'); END; \
         INSERT INTO contacts (device_id, jid, tenant_id, updated_at) VALUES ('{stuck}', 'a', '{}', 1)",
        world.tenant
    );
    world.store.db.write(move |tx| Ok(tx.execute_batch(&trigger)?)).await.expect("a trigger");

    world.store.empty_deleted().await.expect("emptied");
    settled(&world).await;

    assert_eq!((lines(&world, stuck).await, lines(&world, &other).await), (0, 0));
    assert_eq!(rows(&world, DEVICE_TO_EMPTY, stuck.as_str()).await, 1, "it is looked at again");
    assert_eq!(rows(&world, DEVICE_TO_EMPTY, other.as_str()).await, 0);
}

async fn webhook(world: &World) {
    let spec = WebhookSpec {
        name: None,
        url: "https://example.com".into(),
        events: vec!["message.received".into()],
        enabled: true,
        secret: Secret::new("secret"),
        shared_token: None,
        headers: BTreeMap::default(),
        retry_count: 3,
        timeout_ms: 1_000,
        device_ids: None,
        format: None,
        schedule: Schedule::default(),
        order: Order::default(),
        filter: Filter::default(),
        raw: true,
    };
    world.store.create_webhook(&world.tenant, spec, 10).await.expect("a webhook");
}

/// The delivery that is due, taken in hand.
async fn claimed(world: &World) -> DueDelivery {
    let due = world.store.claim_deliveries(10, Duration::from_secs(90), Vec::new()).await.expect("claimed");
    due.into_iter().next().expect("one is due")
}

async fn settle(world: &World, due: &DueDelivery, step: Step) {
    let end = AttemptEnd {
        delivery: due.id.clone(),
        webhook: due.webhook.id.clone(),
        tenant: world.tenant.clone(),
        attempt: due.attempt,
        status: Some(200),
        error: None,
        took: Duration::ZERO,
        step,
    };
    world.store.settle_deliveries(vec![end]).await.expect("settled");
}

#[tokio::test]
async fn what_came_in_stays_for_a_delivery_that_is_due_and_shows_it() {
    let world = World::new().await;
    let device = world.lease.device.as_str();
    webhook(&world).await;
    world.received(ANI, ANI, "3EB0A", b"said").await;
    world.processed(&[]).await;
    let due = claimed(&world).await;
    world.store.delete_device(&world.tenant, &world.lease.device).await.expect("deleted");
    let inbox = "SELECT count(*) FROM messages_inbox WHERE device_id = ?1";
    let raw = async || {
        let behind = due.event.behind().expect("a message");
        world.store.raw_message(&world.tenant, behind).await.expect("read")
    };

    world.store.empty_deleted().await.expect("emptied");
    settled(&world).await;

    assert_eq!(raw().await, Some(RawMessage::Whole(b"said".to_vec())));
    assert_eq!(rows(&world, DEVICE_TO_EMPTY, device).await, 1);
    settle(&world, &due, Step::Done).await;
    world.store.empty_deleted().await.expect("emptied");
    assert_eq!((raw().await, rows(&world, inbox, device).await), (None, 0));
    settled(&world).await;
    assert_eq!(rows(&world, DEVICE_TO_EMPTY, device).await, 0);
}

#[tokio::test]
async fn what_came_in_after_something_that_is_not_told_yet_stays_until_that_is() {
    let world = World::new().await;
    world.received(ANI, ANI, "3EB0A", b"told").await;
    world.processed(&[]).await;
    world.received(ANI, ANI, "3EB0B", b"waits").await;
    world.store.delete_device(&world.tenant, &world.lease.device).await.expect("deleted");

    world.store.empty_deleted().await.expect("emptied");

    let left = "SELECT group_concat(wa_id) FROM messages_inbox WHERE device_id = ?1";
    let device = world.lease.device.to_string();
    let left = world.store.db.read(move |conn| Ok(conn.query_row(left, [device], |row| row.get::<_, String>(0))?));
    assert_eq!(left.await.expect("rows"), "3EB0B");
}

#[tokio::test]
async fn an_attempt_that_is_under_way_when_its_tenant_goes_leaves_nothing() {
    let world = World::new().await;
    webhook(&world).await;
    world.received(ANI, ANI, "3EB0A", b"said").await;
    world.processed(&[]).await;
    let due = claimed(&world).await;
    world.store.delete_tenant(&world.tenant).await.expect("deleted");
    world.store.empty_deleted().await.expect("emptied");

    settle(&world, &due, Step::Park).await;
    world.store.empty_deleted().await.expect("emptied");

    for table in ["webhook_logs", "dlq", "webhook_deliveries", "webhooks"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = ?1");
        assert_eq!(rows(&world, &sql, world.tenant.as_str()).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_connection_that_still_runs_writes_no_session_of_a_deleted_device() {
    let world = World::new().await;
    let (tenant, device) = (&world.tenant, &world.lease.device);
    let vault = world.store.session_vault(tenant, device, world.lease.clone()).await.expect("a vault");
    let write = async || vault.write(vec![SessionWrite::put(SessionKind::Session, b"key", b"value")]).await;
    write().await.expect("written");
    world.store.delete_device(tenant, device).await.expect("deleted");

    assert!(matches!(write().await, Err(StoreError::Fenced)));

    // One that an earlier version left, with who the device was.
    let sql = format!(
        "INSERT INTO device_sessions (device_id, kind, key, value) VALUES ('{device}', 3, x'00', x'00'); \
         UPDATE devices SET phone_number = '6280', wa_jid = 'a', wa_lid = 'b', wa_name = 'c' WHERE id = '{device}'"
    );
    world.store.db.write(move |tx| Ok(tx.execute_batch(&sql)?)).await.expect("left");
    settled(&world).await;
    let known =
        "SELECT count(*) FROM devices WHERE id = ?1 AND coalesce(phone_number, wa_jid, wa_lid, wa_name) IS NULL";
    assert_eq!(rows(&world, known, device.as_str()).await, 1);
    assert_eq!(rows(&world, "SELECT count(*) FROM device_sessions WHERE device_id = ?1", device.as_str()).await, 0);
}

#[test]
fn what_is_asked_of_the_inbox_is_answered_by_an_index() {
    let mut conn = rusqlite::Connection::open_in_memory().expect("in memory");
    migrations::apply(&mut conn, 1).expect("schema");
    let left = [Owner::Device(String::new()), Owner::Tenant(String::new())].map(|owner| owner.left());
    for sql in left.into_iter().chain([AWAITED, TOLD_UP_TO, REMOVE_TOLD]) {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement");
        let steps: rusqlite::Result<Vec<String>> = statement.raw_query().mapped(|row| row.get(3)).collect();
        let steps = steps.expect("a plan");
        assert!(
            steps.iter().all(|step| !step.starts_with("SCAN") || step.contains("USING") || step == "SCAN CONSTANT ROW"),
            "{sql}: {steps:#?}"
        );
    }
}
