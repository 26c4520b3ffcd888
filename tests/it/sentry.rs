//! Reports to Sentry, at a receiver on this machine.

use crate::support::{Receiver, until};
use rijan::vault::api_key::sha256_hex;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SECRET: &str = "whsec_MfKQ9r8GKYqTwjUPD8ILPZIo2LaLaSw";

struct Gateway {
    child: Child,
    url: String,
}

impl Gateway {
    fn start(folder: &Path, more: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rijan"))
            .arg("serve")
            .current_dir(folder)
            .env_clear()
            .env("PORT", "0")
            .env("MASTER_KEY", sha256_hex("x"))
            .env("DATABASE_PATH", folder.join("rijan.db"))
            .envs(more.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("the gateway listens")).unwrap();
        let url = format!("http://{}", line.split("address=").nth(1).unwrap().trim());
        // Its log is read on, or it would stall on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    fn stop(mut self) -> bool {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        told.success() && self.child.wait().unwrap().success()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether it is an error or a request, and what it says.
fn envelopes(receiver: &Receiver) -> Vec<(String, Value)> {
    let read = |body: &[u8]| {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [head, item, event] = &lines[..] else { panic!("{text}") };
        assert_eq!(item["length"], text.lines().nth(2).unwrap().len());
        assert_eq!(head["event_id"], event["event_id"]);
        (item["type"].as_str().unwrap().to_owned(), event.clone())
    };
    receiver.arrived().iter().map(|arrival| read(&arrival.body)).collect()
}

fn dsn(receiver: &Receiver) -> String {
    let url = receiver.url.replace("http://", "http://0a1b2c@");
    url.replace("/hook", "/7")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_reported_without_secrets_and_a_stop_hands_over_what_waits() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    let tenants = folder.path().join("config/tenants");
    std::fs::create_dir_all(&tenants).unwrap();
    receiver.answer(503);
    let settings = [("SENTRY_DSN", &*dsn(&receiver)), ("SENTRY_ENVIRONMENT", "staging")];
    let gateway = Gateway::start(folder.path(), &settings);

    // Its name comes into the log with what is wrong with it.
    std::fs::write(tenants.join(format!("{SECRET}.toml")), "nonsense").unwrap();
    until("the first try", async || (!receiver.arrived().is_empty()).then_some(())).await;
    receiver.answer(200);
    let before = receiver.arrived().len();
    assert!(gateway.stop());

    let arrived = receiver.arrived();
    assert!(arrived.len() > before, "it waited for a second try, and the stop made it");
    let last = arrived.last().unwrap();
    assert_eq!(last.uri.path(), "/api/7/envelope/");
    assert!(last.header("x-sentry-auth").contains("sentry_key=0a1b2c"), "{}", last.header("x-sentry-auth"));
    let (kind, event) = envelopes(&receiver).pop().unwrap();
    assert_eq!((kind.as_str(), &event["level"], &event["environment"]), ("event", &json!("error"), &json!("staging")));
    let said = event["message"]["formatted"].as_str().unwrap();
    assert!(said.starts_with("the tenants' files were not applied"), "{event}");
    let why = event["extra"]["why"].as_str().unwrap();
    assert!(why.contains("[redacted]"), "{why}");
    for arrival in arrived {
        let text = String::from_utf8_lossy(&arrival.body).into_owned();
        assert!(!text.contains(SECRET) && !text.contains("0a1b2c"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_is_an_error_and_requests_are_told_as_far_as_they_are_sampled() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    receiver.answer(200);
    let settings = [("SENTRY_DSN", &*dsn(&receiver)), ("SENTRY_TRACES_SAMPLE_RATE", "1")];
    let gateway = Gateway::start(folder.path(), &settings);
    let database = rusqlite::Connection::open(folder.path().join("rijan.db")).unwrap();
    database.execute_batch("ALTER TABLE tenants RENAME TO tenants_of_another_name").unwrap();

    let asked = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{}/admin/tenants", gateway.url));
    assert_eq!(asked.header("x-master-key", "x").send().await.unwrap().status().as_u16(), 500);

    let found = until("both reports", async || {
        let all = envelopes(&receiver);
        let of = |what: &str, is: &str| {
            all.iter().map(|(_, event)| event).find(|event| event.pointer(what) == Some(&json!(is)))
        };
        Some((of("/message/formatted", "a request failed")?.clone(), of("/type", "transaction")?.clone()))
    })
    .await;
    let (error, request) = found;
    assert!(error["extra"]["request"].as_str().unwrap().starts_with("req_"), "{error}");
    assert_eq!(
        (&request["transaction"], &request["tags"]["http.status_code"]),
        (&json!("GET /admin/tenants"), &json!("500"))
    );
    assert_eq!(request["contexts"]["trace"]["status"], "internal_error");
    drop(gateway);
}
