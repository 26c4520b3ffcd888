//! What the spine costs: memory of idle devices, sends a second, processor time of a send; and beside it, in the same run,
//! the bare client library with its in-memory store, sending the same to the same simulator. Prints a table, asserts
//! nothing. docs/benchmarks.md says what each row means.
//!
//! Gateway and bare client run in processes of their own, so that the processor time of the simulator and of the requests,
//! which are this process's, is not theirs.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on should say where")]

mod bare;
mod gateway;

use gateway::Gateway;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use whatsapp_simulator::Simulator;

/// Chats that are written to side by side; within a chat one message follows the acknowledgement of the one before.
const CHATS: usize = 16;
const SENDS_DEFAULT: usize = 4_000;
const DEVICES: usize = 100;
/// How long a process is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    match arguments.as_slice() {
        [mode, simulator, sends] if mode == bare::MODE => {
            runtime.block_on(bare::run(simulator, sends.parse().unwrap()))
        }
        [sends] => runtime.block_on(measure(sends.parse().unwrap())),
        _ => runtime.block_on(measure(SENDS_DEFAULT)),
    }
}

async fn measure(sends: usize) {
    let simulator = Simulator::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let phones = Phones::new(&simulator.url());
    for number in 0..CHATS {
        phones.account(&contact(number)).await;
    }
    let bare = bare::measure(&simulator.url(), sends);

    let gateway = Gateway::start(&simulator.url()).await;
    let first = gateway.link(&phones, &device(0)).await;
    tokio::time::sleep(IDLE).await;
    let one = rss(gateway.process());
    gateway.send_round(&first, "warm up", CHATS).await;
    let (began, cpu) = (Instant::now(), cpu(gateway.process()));
    gateway.send_round(&first, "measured", sends).await;
    let accepted = began.elapsed();
    gateway.acknowledged(CHATS + sends).await;
    let (took, cpu) = (began.elapsed(), self::cpu(gateway.process()) - cpu);
    drop(gateway);

    let gateway = Gateway::start(&simulator.url()).await;
    for number in 1..=DEVICES {
        gateway.link(&phones, &device(number)).await;
    }
    tokio::time::sleep(IDLE).await;
    let many = rss(gateway.process());

    let per_second = |time: Duration| sends as f64 / time.as_secs_f64();
    let per_send = |cpu: Duration| cpu.as_secs_f64() * 1e6 / sends as f64;
    println!(
        "\n{sends} texts in {CHATS} chats; {}\n",
        if cfg!(debug_assertions) { "a debug build" } else { "a release build" }
    );
    println!("{:<46} {:>10} {:>10} {:>8}", "", "gateway", "bare", "ratio");
    row("memory with 1 linked idle device, MiB", mib(one), Some(mib(bare.rss)));
    row(&format!("memory with {DEVICES} linked idle devices, MiB"), mib(many), None);
    row("memory of each further device, KiB", (mib(many) - mib(one)) * 1024.0 / (DEVICES - 1) as f64, None);
    row("accepted over HTTP, a second", per_second(accepted), None);
    row("accepted to acknowledged, a second", per_second(took), Some(per_second(bare.took)));
    row("processor time of a send, microseconds", per_send(cpu), Some(per_send(bare.cpu)));
}

fn row(what: &str, gateway: f64, bare: Option<f64>) {
    match bare {
        Some(bare) => println!("{what:<46} {gateway:>10.1} {bare:>10.1} {:>8.2}", gateway / bare),
        None => println!("{what:<46} {gateway:>10.1}"),
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn contact(number: usize) -> String {
    format!("6281100001{number:03}")
}

fn device(number: usize) -> String {
    format!("6281100002{number:03}")
}

/// Resident memory of a process in bytes: `VmRSS` counts kibibytes (proc(5)).
fn rss(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1_024
}

/// Processor time of a process, user and system: fields 14 and 15 of its stat, in hundredths of a second (proc(5)).
fn cpu(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The second field is a name in parentheses, which may hold spaces.
    let behind_name = stat.rsplit(')').next().unwrap();
    let ticks = behind_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// The control API of the simulator.
struct Phones {
    http: reqwest::Client,
    base: String,
}

impl Phones {
    fn new(base: &str) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    async fn post(&self, path: &str, body: Value) {
        let answer = self.http.post(format!("{}{path}", self.base)).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }

    async fn account(&self, phone: &str) {
        self.post("/accounts", json!({ "phone": phone })).await;
    }

    async fn scan(&self, phone: &str, qr: &str) {
        self.account(phone).await;
        self.post(&format!("/accounts/{phone}/scan"), json!({ "qr": qr })).await;
    }
}
