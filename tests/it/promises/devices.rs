//! What an owner wants of a device, and what is known of it, holds until somebody says otherwise: also over a restart.

use crate::support::{Gateway, Own, answer, own, simulator, text, until};
use futures_util::future::join_all;
use rijan::store::LEASE_TTL;
use serde_json::{Value, json};
use whatsapp_simulator::Simulator;

const PHONE: &str = "6281100000001";

/// A gateway in this process, and its device, which is linked.
async fn linked(simulator: &Simulator) -> Own {
    let mut own = own(&[("whatsapp.simulator_url", &simulator.url())]).await;
    own.phones().post("/accounts", json!({ "phone": PHONE, "name": "Shop" })).await;
    let device = own.link(PHONE).await;
    own.use_device(&device);
    own
}

async fn status(gateway: &Own) -> String {
    text(&gateway.get(&gateway.device("")).await["data"]["device"]["status"])
}

/// The types of events about the device itself, oldest first.
async fn told(gateway: &Own) -> Vec<String> {
    let events = gateway.get(&gateway.device("/events?cursor=0&limit=500")).await;
    let types = events.as_array().unwrap().iter().map(|event| text(&event["type"]));
    types.filter(|type_| type_.starts_with("device.")).collect()
}

/// Links another device and waits for it: whoever resumes by itself has begun to by then.
async fn another_device_connects(gateway: &Own) {
    gateway.phones().post("/accounts", json!({ "phone": "6281100000009", "name": "Another" })).await;
    gateway.link("6281100000009").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_stopped_stays_so_also_after_a_restart() {
    let simulator = simulator().await;
    let gateway = linked(&simulator).await;
    for _ in 0..2 {
        assert_eq!(answer(gateway.request("POST", &gateway.device("/stop"))).await.0, 200, "as often as one likes");
    }
    let before = told(&gateway).await;

    let gateway = gateway.restart().await;

    another_device_connects(&gateway).await;
    assert_eq!(status(&gateway).await, "disconnected");
    assert_eq!(told(&gateway).await, before, "nothing was tried");
    let devices = gateway.phones().get(&format!("/accounts/{PHONE}/devices")).await;
    assert_eq!((&devices[0]["connected"], &devices[0]["removed"]), (&json!(false), &json!(false)), "still linked");
    answer(gateway.request("POST", &gateway.device("/start"))).await;
    until("the device to connect", async || (status(&gateway).await == "connected").then_some(())).await;
    assert!(gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_needs_pairing_stays_so_and_nobody_tries_again() {
    let simulator = simulator().await;
    let gateway = linked(&simulator).await;
    let devices = gateway.phones().get(&format!("/accounts/{PHONE}/devices")).await;
    let kick = format!("/accounts/{PHONE}/devices/{}/kick", devices[0]["device"]);
    gateway.phones().post(&kick, json!({ "reason": "401" })).await;
    until("the device to be known as unlinked", async || (status(&gateway).await == "needs_pairing").then_some(()))
        .await;

    another_device_connects(&gateway).await;
    let before = told(&gateway).await;
    assert_eq!(before.last().map(String::as_str), Some("device.needs_pairing"));
    assert_eq!(status(&gateway).await, "needs_pairing");
    let gateway = gateway.restart().await;

    another_device_connects(&gateway).await;
    assert_eq!(status(&gateway).await, "needs_pairing");
    assert_eq!(told(&gateway).await, before, "it was told once");
    let health = gateway.get(&gateway.device("/health")).await;
    assert_eq!(health["data"]["reconnect_attempts"], 0, "{health}");
    let body = json!({ "to": "6281100000009", "text": "hi" });
    let (refused, said) = answer(gateway.request("POST", &gateway.device("/messages/text")).json(&body)).await;
    assert_eq!((refused, &said["error"]["code"]), (409, &json!("DEVICE_NOT_CONNECTED")));
    assert!(gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_started_by_many_at_once_connects_once() {
    let simulator = simulator().await;
    let gateway = linked(&simulator).await;
    answer(gateway.request("POST", &gateway.device("/stop"))).await;
    let before = told(&gateway).await.iter().filter(|type_| *type_ == "device.connected").count();

    let starts = (0..16).map(|_| answer(gateway.request("POST", &gateway.device("/start"))));
    let answers = join_all(starts).await;

    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    until("the device to connect", async || (status(&gateway).await == "connected").then_some(())).await;
    another_device_connects(&gateway).await;
    assert_eq!(told(&gateway).await.iter().filter(|type_| *type_ == "device.connected").count(), before + 1);
    assert_eq!(told(&gateway).await.last().map(String::as_str), Some("device.connected"));
    assert!(gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_tenant_stays_so_also_after_a_restart() {
    let simulator = simulator().await;
    let gateway = linked(&simulator).await;
    let tenant = format!("/admin/tenants/{}", text(&gateway.info["tenantId"]));

    assert_eq!(answer(gateway.admin("DELETE", &tenant)).await.0, 200);

    let gone = async |gateway: &Own| {
        let (status, body) = answer(gateway.request("GET", &gateway.device(""))).await;
        assert_eq!((status, &body["error"]["code"]), (401, &json!("INVALID_API_KEY")));
        let again = [("GET", ""), ("PATCH", "/activate"), ("PATCH", "/suspend"), ("DELETE", ""), ("GET", "/usage")];
        for (method, path) in again {
            assert_eq!(answer(gateway.admin(method, &format!("{tenant}{path}"))).await.0, 404, "{method} {path}");
        }
        let (_, listed) = answer(gateway.admin("GET", "/admin/tenants")).await;
        assert_eq!(listed["data"]["tenants"], json!([]), "{listed}");
        let devices = gateway.phones().get(&format!("/accounts/{PHONE}/devices")).await;
        assert_eq!(devices[0]["connected"], false, "{devices}");
    };
    gone(&gateway).await;
    let gateway = gateway.restart().await;
    gone(&gateway).await;
    assert!(gateway.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_after_a_kill_resumes_at_once() {
    let (folder, simulator) = (tempfile::tempdir().unwrap(), simulator().await);
    let gateway = Gateway::start(folder.path(), &simulator);
    let devices = async || {
        let devices = crate::support::Phones::of(&simulator).get(&format!("/accounts/{PHONE}/devices")).await;
        devices.as_array().unwrap().iter().map(|one| one["device"].clone()).collect::<Vec<Value>>()
    };
    let linked = devices().await;
    let connections = async |gateway: &Gateway| {
        let path = gateway.device("/events?cursor=0&type=device.connected");
        gateway.get(&path).await.as_array().cloned().unwrap()
    };
    let before = connections(&gateway).await.len();
    gateway.kill();

    let gateway = Gateway::start(folder.path(), &simulator);

    // One that waited for what the dead process had leased would connect later.
    let (_, health) = answer(gateway.http.get(gateway.url("/health"))).await;
    let began_s = health["timestamp"].as_f64().unwrap() - health["uptime"].as_f64().unwrap();
    let connected = connections(&gateway).await;
    let took_s = connected[before]["receivedAt"].as_f64().unwrap() - began_s;
    assert!(took_s < LEASE_TTL.as_secs_f64() / 2.0, "it took {took_s} s");
    assert_eq!(devices().await, linked, "it was not linked anew");
}
