//! How much passes through the simulator: real clients that all send at once, and phones that all write at once.
//!
//!     cargo run -p whatsapp-simulator --example throughput -- 20 100
//!
//! takes 20 linked clients and 100 messages each way for each of them. Everything runs in this process, so that the
//! clients' own work is part of the figures; compare them with others from the same machine only.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a program to measure with")]

#[path = "../tests/it/support.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod support;

use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Device, Rig, chat};
use wacore::types::events::Event;

const FIRST_CLIENT: u64 = 6_281_300_000_001;
const FIRST_CONTACT: u64 = 6_281_400_000_001;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>().unwrap());
    let (clients, messages) = (arguments.next().unwrap_or(20), arguments.next().unwrap_or(100));
    let rig = Arc::new(Rig::start().await);
    rig.post("/accounts/bulk", json!({ "first": FIRST_CLIENT, "count": clients })).await;
    rig.post("/accounts/bulk", json!({ "first": FIRST_CONTACT, "count": clients })).await;

    let began = Instant::now();
    let mut devices = Vec::new();
    for number in 0..clients as u64 {
        let device = rig.linked(&(FIRST_CLIENT + number).to_string()).await;
        device.client.send_text(&chat(&(FIRST_CONTACT + number).to_string()), "first").await.unwrap();
        devices.push(Arc::new(device));
    }
    println!("{clients} clients linked in {:.1} s", began.elapsed().as_secs_f64());

    let taken = Taken::default();
    let asking = tokio::spawn(ask(rig.clone(), taken.clone()));
    let began = Instant::now();
    let sending = devices.iter().enumerate().map(|(number, device)| {
        let (device, to) = (device.clone(), (FIRST_CONTACT + number as u64).to_string());
        tokio::spawn(async move {
            for count in 0..messages {
                device.client.send_text(&chat(&to), format!("number {count}")).await.unwrap();
            }
        })
    });
    join(sending.collect()).await;
    let all = (clients * (messages + 1)) as u64;
    while rig.get("/stats").await["displayed"].as_u64() < Some(all) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    report("clients send, phones display", clients * messages, began, &taken);

    let began = Instant::now();
    let writing = devices.iter().enumerate().map(|(number, device)| {
        let (rig, device) = (rig.clone(), device.clone());
        let from = (FIRST_CONTACT + number as u64).to_string();
        let to = (FIRST_CLIENT + number as u64).to_string();
        tokio::spawn(async move {
            for count in 0..messages {
                rig.write(&from, json!({ "to": to, "text": format!("number {count}") })).await;
            }
            received(&device, messages).await;
        })
    });
    join(writing.collect()).await;
    report("phones write, clients receive", clients * messages, began, &taken);
    asking.abort();
}

/// How long small questions to the simulator took beside the load.
type Taken = Arc<Mutex<Vec<Duration>>>;

async fn ask(rig: Arc<Rig>, taken: Taken) {
    loop {
        let began = Instant::now();
        rig.get(&format!("/accounts/{FIRST_CLIENT}/devices")).await;
        taken.lock().unwrap().push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn received(device: &Device, messages: usize) {
    device.seen_times("the last message", messages, |event| matches!(event, Event::Messages(_)).then_some(())).await;
}

async fn join(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

fn report(what: &str, messages: usize, began: Instant, taken: &Taken) {
    let seconds = began.elapsed().as_secs_f64();
    println!("{what}: {messages} in {seconds:.2} s, {:.0} per second", messages as f64 / seconds);
    let mut taken = std::mem::take(&mut *taken.lock().unwrap());
    taken.sort();
    let at = |percent: usize| taken[(taken.len() * percent / 100).min(taken.len() - 1)];
    println!("  a question beside it took {:.1?} (p50), {:.1?} (p99), {:.1?} (longest)", at(50), at(99), at(100));
}
