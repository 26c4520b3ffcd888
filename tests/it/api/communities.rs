//! Communities: made, filled with groups and people, and ended; another account reads what became of them.

use crate::support::{Tenant, answer, tenant, text, until};
use serde_json::{Value, json};

/// A tenant whose device made a community, with a second device linked to its contact.
struct Street {
    gateway: Tenant,
    contact: String,
    /// The contact's device.
    other: String,
    id: String,
}

impl Street {
    async fn new() -> Self {
        let gateway = tenant().await;
        let contact = text(&gateway.info["contactPhone"]);
        let other = gateway.link(&contact).await;
        let body = json!({ "subject": "Our street", "description": "all of us", "joinApproval": true });
        let (status, made) = answer(gateway.request("POST", &gateway.device("/communities")).json(&body)).await;
        assert_eq!(status, 201, "{made}");
        assert_eq!((&made["data"]["isCommunity"], &made["data"]["description"]), (&json!(true), &json!("all of us")));
        let id = text(&made["data"]["id"]);
        Self { gateway, contact, other, id }
    }

    /// By the device that made it; the path is below the device.
    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        answer(self.gateway.request(method, &self.gateway.device(path)).json(&body)).await
    }

    /// The same, below the community.
    async fn done(&self, method: &str, rest: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, &self.path(rest), body).await;
        assert!(status == 200 || status == 201, "{method} {rest}: {answer}");
        answer["data"].clone()
    }

    /// By the contact's device.
    async fn other(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let path = format!("/v1/devices/{}{path}", self.other);
        answer(self.gateway.request(method, &path).json(&body)).await
    }

    fn path(&self, rest: &str) -> String {
        format!("/communities/{}{rest}", self.id)
    }

    /// A group beside the community, with the contact in it.
    async fn group(&self) -> String {
        let body = json!({ "subject": "Number 42", "participants": [self.contact] });
        let (status, made) = self.ask("POST", "/groups/create", body).await;
        assert_eq!(status, 200, "{made}");
        text(&made["data"]["groupJid"])
    }

    /// An event at the contact's device.
    async fn told(&self, type_: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/devices/{}/events?cursor=0&type={type_}&limit=500", self.other);
        until(type_, async || {
            let events = self.gateway.get(&path).await.as_array().cloned().unwrap();
            events.into_iter().map(|event| event["payload"].clone()).find(&fits)
        })
        .await
    }
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

fn place<'a>(groups: &'a Value, is: &str) -> &'a Value {
    let groups = groups.as_array().unwrap();
    groups
        .iter()
        .find(|group| group[is] == true || group["subject"] == is)
        .unwrap_or_else(|| panic!("no {is}: {groups:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_community_has_its_groups_and_whoever_is_in_one_of_them() {
    let street = Street::new().await;
    let contact = json!({ "participants": [street.contact, "6281299999999"] });

    let read = street.done("GET", "", Value::Null).await;
    assert_eq!((&read["id"], &read["subject"]), (&json!(street.id), &json!("Our street")));
    assert_eq!(place(&read["groups"], "announcements")["subject"], "Our street");
    let general = text(&place(&read["groups"], "general")["id"]);
    let (_, listed) = street.ask("GET", "/communities", Value::Null).await;
    assert_eq!((&listed["data"]["count"], &listed["data"]["communities"][0]["id"]), (&json!(1), &json!(street.id)));
    let (_, none) = street.other("GET", "/communities", Value::Null).await;
    assert_eq!(none["data"]["count"], 0);

    let mut new = contact.clone();
    new["subject"] = json!("Number 42");
    let made = street.done("POST", "/groups", new).await;
    assert_eq!((&made["group"]["community"], &made["group"]["subject"]), (&json!(street.id), &json!("Number 42")));
    assert_eq!([&made["results"][0]["status"], &made["results"][1]["status"]], [&json!("200"), &json!("403")]);
    let group = text(&made["group"]["id"]);
    let created = street.told("group.created", |data| data["group"] == json!(group)).await;
    assert_eq!(created["details"]["community"], json!(street.id));

    let (_, theirs) = street.other("GET", &street.path(""), Value::Null).await;
    assert_eq!(place(&theirs["data"]["groups"], "Number 42")["size"], 2, "who is in a group of it reads it: {theirs}");
    let (status, seen) = street.other("GET", &street.path(&format!("/groups/{general}")), Value::Null).await;
    assert_eq!((status, &seen["data"]["size"]), (200, &json!(1)), "{seen}");
    let (status, joined) = street.other("POST", &street.path(&format!("/groups/{general}/join")), Value::Null).await;
    assert_eq!((status, &joined["data"]["size"]), (200, &json!(2)), "{joined}");
    let sizes = street.done("GET", "/groups/sizes", Value::Null).await;
    let size =
        |id: &str| sizes["groups"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap()["size"].clone();
    assert_eq!((&sizes["count"], size(&general), size(&group)), (&json!(3), json!(2), json!(2)));
    let members = street.done("GET", "/participants", Value::Null).await;
    let mut phones: Vec<_> =
        members["participants"].as_array().unwrap().iter().map(|one| text(&one["phone"])).collect();
    phones.sort();
    assert_eq!(phones, [text(&street.gateway.info["devicePhone"]), street.contact.clone()]);

    let removed = street.done("POST", "/participants/remove", contact).await;
    assert_eq!([&removed["results"][0]["status"], &removed["results"][1]["status"]], [&json!("200"), &json!("404")]);
    let members = street.done("GET", "/participants", Value::Null).await;
    assert_eq!(members["count"], 1);
    assert_eq!(code(&street.other("GET", &street.path("/groups/sizes"), Value::Null).await), (403, "FORBIDDEN"));
    for (action, what) in
        [("group.created", &street.id), ("group.created", &group), ("group.participant.removed", &street.id)]
    {
        let path = format!("/admin/audit-logs?tenantId={}&action={action}", text(&street.gateway.info["tenantId"]));
        let (_, lines) = answer(street.gateway.admin("GET", &path)).await;
        assert!(lines.to_string().contains(what.as_str()), "{action}: {lines}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_become_part_of_a_community_and_go_on_when_it_ends() {
    let street = Street::new().await;
    let (group, second) = (street.group().await, street.group().await);
    let both = json!({ "groups": [group, "120363999999999999@g.us", second] });

    let linked = street.done("POST", "/groups/link", both).await;
    let statuses: Vec<_> =
        linked["results"].as_array().unwrap().iter().map(|one| (&one["id"], &one["status"])).collect();
    assert!(statuses.contains(&(&json!(group), &json!("200"))), "{linked}");
    assert!(statuses.contains(&(&json!("120363999999999999@g.us"), &json!("404"))), "{linked}");
    let again = street.done("POST", "/groups/link", json!({ "groups": [group] })).await;
    assert_eq!(again["results"][0]["status"], "409");
    let told = street.told("group.updated", |data| data["changes"].get("linkedGroups").is_some()).await;
    assert_eq!((&told["group"], &told["changes"]["linkedGroups"]), (&json!(street.id), &json!([group, second])));
    let told = street
        .told("group.updated", |data| data["group"] == json!(group) && data["changes"].get("community").is_some())
        .await;
    assert_eq!(told["changes"]["community"], json!(street.id));
    let (_, read) = street.other("GET", &format!("/groups/{group}"), Value::Null).await;
    assert_eq!(read["community"], json!(street.id));

    let unlinked = street.done("POST", "/groups/unlink", json!({ "groups": [second] })).await;
    assert_eq!(unlinked["results"], json!([{ "id": second, "status": "200" }]));
    let told = street.told("group.updated", |data| data["changes"].get("unlinkedGroups").is_some()).await;
    assert_eq!(told["changes"]["unlinkedGroups"], json!([second]));
    assert_eq!(
        street.other("GET", &street.path("/groups/sizes"), Value::Null).await.0,
        200,
        "in the other group still"
    );
    let orphans = json!({ "groups": [group], "removeOrphans": true });
    street.done("POST", "/groups/unlink", orphans).await;
    assert_eq!(code(&street.other("GET", &street.path("/groups/sizes"), Value::Null).await), (403, "FORBIDDEN"));

    street.done("POST", "/groups/link", json!({ "groups": [group] })).await;
    street.done("DELETE", "", Value::Null).await;
    street.told("group.deleted", |data| data["group"] == json!(street.id)).await;
    assert_eq!(code(&street.ask("GET", &street.path(""), Value::Null).await), (404, "NOT_FOUND"));
    let (status, read) = street.other("GET", &format!("/groups/{group}"), Value::Null).await;
    assert_eq!((status, &read["subject"], &read["community"]), (200, &json!("Number 42"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_to_a_community_is_a_clear_error() {
    let street = Street::new().await;
    let group = street.group().await;
    street.done("POST", "/groups/link", json!({ "groups": [group] })).await;
    let one = json!({ "participants": [street.gateway.info["devicePhone"]] });

    for (method, rest, body) in [
        ("POST", "/groups", json!({ "subject": "Mine" })),
        ("POST", "/groups/link", json!({ "groups": [group] })),
        ("POST", "/groups/unlink", json!({ "groups": [group] })),
        ("POST", "/participants/remove", one),
        ("DELETE", "", Value::Null),
    ] {
        let refused = street.other(method, &street.path(rest), body).await;
        assert_eq!(code(&refused), (403, "FORBIDDEN"), "{method} {rest}: {}", refused.1);
    }
    for path in ["/communities/none", "/communities/120363999999999999", &format!("/communities/{group}")] {
        assert_eq!(code(&street.ask("GET", path, Value::Null).await), (404, "NOT_FOUND"), "{path}");
    }
    let elsewhere = street.path("/groups/120363999999999999@g.us/join");
    assert_eq!(code(&street.ask("POST", &elsewhere, Value::Null).await), (404, "NOT_FOUND"));
    assert_eq!(code(&street.ask("POST", &street.path("/leave"), Value::Null).await), (501, "NOT_SUPPORTED"));
    for (method, path, body, fields) in [
        (
            "POST",
            "/communities".to_owned(),
            json!({ "subject": " ", "joinApproval": 1 }),
            vec!["subject", "joinApproval"],
        ),
        ("POST", street.path("/groups"), json!({ "participants": ["0812"] }), vec!["subject", "participants[0]"]),
        ("POST", street.path("/groups/link"), json!({ "groups": ["x", 7] }), vec!["groups[0]", "groups[1]"]),
        ("POST", street.path("/groups/unlink"), json!({ "removeOrphans": "yes" }), vec!["groups", "removeOrphans"]),
        ("POST", street.path("/participants/remove"), json!({}), vec!["participants"]),
    ] {
        let (status, refused) = street.ask(method, &path, body).await;
        let named: Vec<_> =
            refused["error"]["details"].as_array().into_iter().flatten().map(|one| text(&one["field"])).collect();
        assert_eq!((status, named), (400, fields.into_iter().map(str::to_owned).collect()), "{path}: {refused}");
    }
}
