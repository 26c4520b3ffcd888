//! Polls and their votes.

use super::kinds::{send, shown, told, written};
use crate::support::{Tenant, answer, database, tenant, text, until};
use serde_json::{Value, json};

async fn vote(gateway: &Tenant, phone: &str, poll: &Value, options: &[&str], to: &Value) {
    let vote = json!({ "to": to, "vote": { "id": poll, "options": options } });
    gateway.phones().post(&format!("/accounts/{phone}/messages"), vote).await;
}

/// The votes that were told, oldest first, once there are so many.
async fn votes(gateway: &Tenant, count: usize) -> Vec<Value> {
    until("the votes", async || {
        let events = gateway.get(&gateway.device("/events?cursor=0&type=poll.vote")).await;
        let events = events.as_array().cloned().unwrap();
        (events.len() >= count).then(|| events.into_iter().map(|event| event["payload"].clone()).collect())
    })
    .await
}

fn counts(tallies: &Value) -> Vec<(String, u64)> {
    let tallies = tallies.as_array().unwrap_or_else(|| panic!("{tallies} is no list"));
    tallies.iter().map(|one| (text(&one["option"]), one["votes"].as_u64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_are_counted_and_a_later_one_takes_the_place_of_the_earlier() {
    let gateway = tenant().await;
    let (contact, device) = (text(&gateway.info["contactPhone"]), gateway.info["devicePhone"].clone());
    let poll =
        json!({ "to": contact, "question": "Which?", "options": ["red", "green", "blue"], "selectableCount": 2 });
    let poll = send(&gateway, "poll", poll).await;
    let asked = shown(&gateway, &poll).await["poll"].clone();
    assert_eq!(asked, json!({ "question": "Which?", "options": ["red", "green", "blue"], "selectable": 2 }));

    for options in [&["red", "blue"][..], &["green"], &[]] {
        vote(&gateway, &contact, &poll["messageId"], options, &device).await;
    }

    let told = votes(&gateway, 3).await;
    assert_eq!(counts(&told[0]["tallies"]), [("red".into(), 1), ("green".into(), 0), ("blue".into(), 1)]);
    assert_eq!(counts(&told[1]["tallies"]), [("red".into(), 0), ("green".into(), 1), ("blue".into(), 0)]);
    assert_eq!((&told[1]["selectedOptions"], &told[1]["question"]), (&json!(["green"]), &json!("Which?")));
    assert_eq!(told[1]["messageId"], poll["messageId"]);
    assert_eq!(told[1]["tallies"][1]["voters"], json!([told[1]["sender"]["contactId"]]));
    assert!(counts(&told[2]["tallies"]).iter().all(|(_, votes)| *votes == 0), "{told:?}");
    vote(&gateway, &contact, &poll["messageId"], &["blue"], &device).await;
    votes(&gateway, 4).await;
    for id in [&poll["id"], &poll["messageId"]] {
        let state = gateway.get(&gateway.device(&format!("/messages/{}/poll", text(id)))).await;
        assert_eq!((&state["id"], &state["selectableCount"]), (&poll["id"], &json!(2)), "{state}");
        assert_eq!(counts(&state["tallies"]), [("red".into(), 0), ("green".into(), 0), ("blue".into(), 1)]);
    }
    let text_message = gateway.send_text("no poll", "key").await.unwrap();
    let none = gateway.device(&format!("/messages/{}/poll", text(&text_message["id"])));
    assert_eq!(answer(gateway.request("GET", &none)).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_group_everybody_is_counted_also_on_a_poll_of_somebody_else() {
    let gateway = tenant().await;
    let (phones, contact) = (gateway.phones(), text(&gateway.info["contactPhone"]));
    let third = format!("{contact}9");
    phones.post("/accounts", json!({ "phone": third, "name": "Citra" })).await;
    let group = json!({ "subject": "Team", "creator": contact, "members": [gateway.info["devicePhone"], third] });
    let id = phones.post("/groups", group).await["id"].clone();
    let poll = json!({ "to": format!("{}@g.us", text(&id)), "question": "When?", "options": ["now", "later"] });
    let ours = send(&gateway, "poll", poll).await;
    shown(&gateway, &ours).await;
    let theirs = json!({ "to": id, "poll": { "question": "Where?", "options": ["here", "there"] } });
    let theirs = phones.post(&format!("/accounts/{contact}/messages"), theirs).await["id"].clone();
    let seen = told(&gateway, |event| event["payload"]["id"] == theirs).await;
    assert_eq!((&seen["payload"]["type"], &seen["payload"]["question"]), (&json!("poll"), &json!("Where?")));
    until("the poll on the third phone", async || {
        let inbox = phones.inbox(&third, 0).await;
        (inbox.iter().filter(|entry| entry["type"] == "poll").count() == 2).then_some(())
    })
    .await;

    vote(&gateway, &contact, &ours["messageId"], &["now"], &id).await;
    vote(&gateway, &third, &ours["messageId"], &["now"], &id).await;
    vote(&gateway, &third, &theirs, &["there"], &id).await;

    votes(&gateway, 3).await;
    let state = gateway.get(&gateway.device(&format!("/messages/{}/poll", text(&ours["id"])))).await;
    assert_eq!(counts(&state["tallies"]), [("now".into(), 2), ("later".into(), 0)]);
    let state = gateway.get(&gateway.device(&format!("/messages/{}/poll", text(&theirs)))).await;
    assert_eq!(
        (&state["id"], counts(&state["tallies"])),
        (&Value::Null, vec![("here".into(), 0), ("there".into(), 1)])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_on_a_poll_that_is_not_known_is_told_without_a_count_and_secrets_are_sealed() {
    let gateway = tenant().await;
    let contact = text(&gateway.info["contactPhone"]);
    let poll = written(&gateway, json!({ "poll": { "question": "?", "options": ["a", "b"] } })).await;
    let sealed = {
        let database = rusqlite::Connection::open(database()).unwrap();
        let sql = "SELECT secret FROM polls WHERE device_id = ?1 AND wa_id = ?2";
        let secret: Vec<u8> =
            database.query_row(sql, [text(&gateway.info["deviceId"]), poll.clone()], |row| row.get(0)).unwrap();
        database.execute("DELETE FROM polls WHERE wa_id = ?1", [&poll]).unwrap();
        secret
    };

    vote(&gateway, &contact, &json!(poll), &["a"], &gateway.info["devicePhone"]).await;

    let told = votes(&gateway, 1).await;
    assert_eq!((&told[0]["messageId"], &told[0]["tallies"]), (&json!(poll), &Value::Null));
    assert_eq!(told[0]["selectedOptions"], Value::Null);
    // Version, nonce, ciphertext and tag in place of 32 bytes.
    assert_eq!(sealed.len(), 1 + 12 + 32 + 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_is_damaged_or_too_large_costs_its_count_and_no_message() {
    let gateway = tenant().await;
    let (contact, device) = (text(&gateway.info["contactPhone"]), gateway.info["devicePhone"].clone());
    let large = json!({ "poll": { "question": "?", "options": ["a", "b".repeat(2_000)] } });
    let large = written(&gateway, large).await;
    let mut polls = vec![large];
    for damage in ["options = '['", "secret = x'00'"] {
        let poll = written(&gateway, json!({ "poll": { "question": "?", "options": ["a", "b"] } })).await;
        let database = rusqlite::Connection::open(database()).unwrap();
        let damaged = database.execute(&format!("UPDATE polls SET {damage} WHERE wa_id = ?1"), [&poll]).unwrap();
        assert_eq!(damaged, 1);
        polls.push(poll);
    }

    for poll in &polls {
        vote(&gateway, &contact, &json!(poll), &["a"], &device).await;
    }

    let told = votes(&gateway, 3).await;
    for (vote, poll) in told.iter().zip(&polls) {
        assert_eq!((&vote["messageId"], &vote["tallies"]), (&json!(poll), &Value::Null), "{told:?}");
    }
    written(&gateway, json!({ "text": "what comes behind them comes" })).await;
}
