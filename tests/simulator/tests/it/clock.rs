//! Time that a test moves.

use crate::support::{BUDI, Rig, SHOP, chat};
use serde_json::json;
use std::time::Duration;
use wacore::types::events::Event;
use whatsapp_simulator::{Clock, Simulator};

const DAY: Duration = Duration::from_secs(24 * 3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stanzas_carry_the_time_of_a_clock_that_was_moved() {
    let simulator = Simulator::start_with(([127, 0, 0, 1], 0).into(), Clock::manual()).await.unwrap();
    let rig = Rig::with(simulator).await;
    let device = rig.linked(SHOP).await;
    let first = rig.write(BUDI, json!({ "to": SHOP, "text": "today" })).await;

    rig.simulator.advance(DAY).unwrap();
    let second = rig.write(BUDI, json!({ "to": SHOP, "text": "tomorrow" })).await;

    let passed = device.message(&second).await.info.timestamp - device.message(&first).await.info.timestamp;
    assert_eq!(passed.num_seconds(), 24 * 3_600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_stanza_waits_for_the_clock() {
    let simulator = Simulator::start_with(([127, 0, 0, 1], 0).into(), Clock::manual()).await.unwrap();
    let rig = Rig::with(simulator).await;
    let device = rig.linked(SHOP).await;
    let delay = json!({ "match": { "tag": "message" }, "action": "delay", "delay_ms": 60_000, "count": 1 });
    rig.post("/faults", delay).await;

    let late = device.client.send_text(&chat(BUDI), "late").await.unwrap().message_id;
    let early = device.client.send_text(&chat(BUDI), "early").await.unwrap().message_id;
    rig.shown(BUDI, &early).await;
    rig.post("/clock", json!({ "advance_ms": 60_000 })).await;
    rig.shown(BUDI, &late).await;

    let order: Vec<_> = rig.inbox(BUDI, 0).await.iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(order, [early, late.clone()]);
    let acked = |event: &Event| matches!(event, Event::ServerAck(ack) if ack.id == late).then_some(());
    device.seen("the acknowledgement", acked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machines_clock_is_not_moved() {
    let rig = Rig::start().await;

    let (status, reason) = rig.refused("/clock", json!({ "advance_ms": 1 })).await;

    assert_eq!(status, 409);
    assert!(reason.contains("--manual-clock"), "{reason}");
}
