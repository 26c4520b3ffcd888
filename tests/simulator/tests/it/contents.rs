//! What is not text: files, polls and votes, contacts, quotes, and what a phone shows of them.

use crate::support::{BUDI, Device, Rig, SARI, SHOP, chat, text, words};
use buffa::{Message as _, MessageField};
use serde_json::json;
use sha2::{Digest, Sha256};
use wacore::download::{Downloadable, MediaType};
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use whatsapp_rust::features::{MediaRetryResult, MediaReuploadRequest};
use whatsapp_rust::send::RevokeType;

const KINDS: [&str; 5] = ["image", "video", "audio", "document", "sticker"];

fn file(message: &wa::Message) -> &dyn Downloadable {
    if let Some(part) = message.image_message.as_option() {
        part
    } else if let Some(part) = message.video_message.as_option() {
        part
    } else if let Some(part) = message.audio_message.as_option() {
        part
    } else if let Some(part) = message.document_message.as_option() {
        part
    } else if let Some(part) = message.sticker_message.as_option() {
        part
    } else {
        let wrapped = message.document_with_caption_message.as_option().and_then(|it| it.message.as_option());
        file(wrapped.unwrap_or_else(|| panic!("no file in {message:?}")))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_opens_every_kind_of_file_that_a_phone_writes() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;

    for kind in KINDS {
        let media = json!({ "kind": kind, "data": "aGVsbG8gZmlsZQ==", "file_name": "hello.bin" });
        let id = rig.write(BUDI, json!({ "to": SHOP, "media": media })).await;
        let received = device.message(&id).await;
        let opened = device.client.download(file(&received.message)).await.unwrap();
        assert_eq!(opened, b"hello file", "{kind}");
    }
    rig.all_answered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_captioned_document_of_a_megabyte_arrives_whole() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let media = json!({ "kind": "document", "size": 1_000_000, "caption": "the plan", "mime": "application/pdf" });

    let id = rig.write(BUDI, json!({ "to": SHOP, "media": media })).await;
    let received = device.message(&id).await;
    let opened = device.client.download(file(&received.message)).await.unwrap();

    let made: Vec<u8> = (0..1_000_000_u64).map(|at| (at * 31 % 251) as u8).collect();
    assert_eq!(Sha256::digest(opened), Sha256::digest(made));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_opens_a_file_that_a_client_sends_and_tells_when_it_cannot() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let picture = b"a picture, surely".to_vec();
    let uploaded = device.client.upload(picture.clone(), MediaType::Image, Default::default()).await.unwrap();
    let image = wa::message::ImageMessage {
        url: Some(uploaded.url.clone()),
        direct_path: Some(uploaded.direct_path.clone()),
        media_key: Some(uploaded.media_key.to_vec()),
        file_enc_sha256: Some(uploaded.file_enc_sha256.to_vec()),
        file_sha256: Some(uploaded.file_sha256.to_vec()),
        file_length: Some(uploaded.file_length),
        mimetype: Some("image/png".into()),
        caption: Some("look".into()),
        ..Default::default()
    };
    let broken = wa::message::ImageMessage { media_key: Some(vec![1; 32]), ..image.clone() };
    let send = async |image| {
        let message = wa::Message { image_message: MessageField::some(image), ..Default::default() };
        device.client.send_message(&chat(BUDI), message).await.unwrap().message_id
    };

    let whole = rig.shown(BUDI, &send(image).await).await;
    let broken = rig.shown(BUDI, &send(broken).await).await;

    assert_eq!((&whole["type"], &whole["text"]), (&json!("media"), &json!("look")));
    assert_eq!(whole["media"]["sha256"], hex::encode(Sha256::digest(&picture)));
    assert_eq!((&whole["media"]["opened"], &whole["media"]["size"]), (&json!(true), &json!(picture.len())));
    assert_eq!(broken["media"]["opened"], json!(false));
    assert!(text(&broken["media"]["problem"]).contains("changed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_reads_a_phones_poll_and_votes_and_the_phone_reads_the_vote() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let poll = json!({ "question": "Which colour?", "options": ["red", "blue"] });

    let id = rig.write(BUDI, json!({ "to": SHOP, "poll": poll })).await;
    let received = device.message(&id).await;
    let creation = received.message.poll_creation_message_v3.as_option().unwrap();
    let secret = received.message.message_context_info.as_option().unwrap().message_secret.clone().unwrap();
    let author = received.info.source.sender.to_non_ad();
    let polls = device.client.polls();
    let vote = polls.vote(&received.info.source.chat, &id, &author, &secret, &["blue".to_owned()]).await.unwrap();
    let shown = rig.shown(BUDI, &vote.message_id).await;

    assert_eq!(creation.name.as_deref(), Some("Which colour?"));
    assert_eq!(shown["type"], "vote");
    assert_eq!(shown["vote"], json!({ "id": id, "opened": true, "options": ["blue"] }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_votes_on_a_clients_poll_and_the_client_reads_the_vote() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let options = ["red".to_owned(), "blue".to_owned(), "green".to_owned()];
    let (poll, secret) = device.client.polls().create(&chat(BUDI), "Which colours?", &options, 2).await.unwrap();
    let shown = rig.shown(BUDI, &poll.message_id).await;

    let vote = json!({ "to": SHOP, "vote": { "id": poll.message_id, "options": ["green", "red"] } });
    let vote = rig.write(BUDI, vote).await;

    let details = json!({ "question": "Which colours?", "options": options, "selectable": 2 });
    assert_eq!(shown["poll"], details);
    assert_eq!(votes(&device, &vote, &options, &secret, &poll.message_id).await, ["green", "red"]);
    let (status, reason) = rig
        .refused(&format!("/accounts/{BUDI}/messages"), json!({ "to": SHOP, "vote": { "id": "3EB0", "options": [] } }))
        .await;
    assert_eq!((status, reason.as_str()), (404, "the phone knows no message 3EB0"));
}

/// The names of the options that a vote chooses, as a client reads it.
async fn votes(device: &Device, vote: &str, options: &[String], secret: &[u8], poll: &str) -> Vec<String> {
    let received = device.message(vote).await;
    let sealed = &received.message.poll_update_message.vote;
    let sealed = wacore::poll::PollVoteCiphertext {
        enc_payload: sealed.enc_payload.as_deref().unwrap(),
        enc_iv: sealed.enc_iv.as_deref().unwrap(),
    };
    let own = device.client.lid().unwrap().to_non_ad();
    let polls = device.client.polls();
    let hashes = polls.decrypt_vote(sealed, secret, poll, &own, &received.info.source.sender).await.unwrap();
    let named = |hash: &Vec<u8>| options.iter().find(|name| wacore::poll::compute_option_hash(name)[..] == hash[..]);
    hashes.iter().map(|hash| named(hash).unwrap().clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_locations_and_quotes_arrive() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let question = device.client.send_text(&chat(BUDI), "when?").await.unwrap().message_id;
    rig.shown(BUDI, &question).await;

    let contact = rig.write(BUDI, json!({ "to": SHOP, "contact": { "name": "Sari", "phone": SARI } })).await;
    let place = json!({ "latitude": -6.2, "longitude": 106.8, "name": "Office" });
    let place = rig.write(BUDI, json!({ "to": SHOP, "location": place })).await;
    let answer = rig.write(BUDI, json!({ "to": SHOP, "text": "tomorrow", "quote": question })).await;

    let contact = device.message(&contact).await.message;
    assert!(contact.contact_message.vcard.as_deref().unwrap().contains(&format!("waid={SARI}")));
    assert_eq!(device.message(&place).await.message.location_message.degrees_latitude, Some(-6.2));
    let answer = device.message(&answer).await.message;
    let context = &answer.extended_text_message.context_info;
    assert_eq!((words(&answer), context.stanza_id.as_deref()), (Some("tomorrow"), Some(question.as_str())));
    assert_eq!(words(&context.quoted_message), Some("when?"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_shows_what_a_client_reacts_to_edits_and_deletes() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let written = rig.write(BUDI, json!({ "to": SHOP, "text": "hello" })).await;
    device.message(&written).await;
    let key = wa::MessageKey {
        remote_jid: Some(chat(BUDI).to_string()),
        from_me: Some(false),
        id: Some(written.clone()),
        participant: None,
    };

    let reaction = device.client.send_reaction(&chat(BUDI), key, "👍").await.unwrap().message_id;
    let sent = device.client.send_text(&chat(BUDI), "draft").await.unwrap().message_id;
    let raw = rig.shown(BUDI, &sent).await["raw"].clone();
    let better = wa::Message { conversation: Some("final".into()), ..Default::default() };
    device.client.edit_message(&chat(BUDI), sent.clone(), better).await.unwrap();
    device.client.revoke_message(&chat(BUDI), sent.clone(), RevokeType::Sender).await.unwrap();

    let reaction = rig.shown(BUDI, &reaction).await;
    assert_eq!((&reaction["type"], &reaction["reaction"]["id"]), (&json!("reaction"), &json!(written)));
    let seq = reaction["seq"].as_u64().unwrap();
    let edit = rig.inbox(BUDI, seq + 1).await[0].clone();
    assert_eq!(edit["edit"], json!({ "id": sent, "text": "final" }));
    let delete = rig.inbox(BUDI, seq + 2).await[0].clone();
    assert_eq!((&delete["type"], &delete["delete"]["id"]), (&json!("delete"), &json!(sent)));
    use base64::Engine as _;
    let raw = base64::engine::general_purpose::STANDARD.decode(text(&raw)).unwrap();
    assert_eq!(words(&wa::Message::decode_from_slice(&raw).unwrap()), Some("draft"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_members_file_and_poll_reach_a_group() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let new = json!({ "subject": "Order", "creator": SHOP, "members": [BUDI, SARI] });
    let group = text(&rig.post("/groups", new).await["id"]).to_owned();

    let picture = rig.write(BUDI, json!({ "to": group, "media": { "kind": "image", "size": 5_000 } })).await;
    let received = device.message(&picture).await;
    let opened = device.client.download(file(&received.message)).await.unwrap();
    let options = ["red".to_owned(), "blue".to_owned()];
    let (poll, secret) =
        device.client.polls().create(&Jid::group(group.as_str()), "Which?", &options, 1).await.unwrap();
    rig.shown(SARI, &poll.message_id).await;
    let vote = json!({ "to": group, "vote": { "id": poll.message_id, "options": ["red"] } });
    let vote = rig.write(SARI, vote).await;

    assert_eq!(opened.len(), 5_000);
    assert_eq!(rig.shown(SARI, &picture).await["media"]["opened"], json!(true));
    assert_eq!(votes(&device, &vote, &options, &secret, &poll.message_id).await, ["red"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_phone_can_write_is_refused() {
    let rig = Rig::start().await;
    let path = format!("/accounts/{BUDI}/messages");
    let wrong = [
        json!({ "to": SHOP }),
        json!({ "to": SHOP, "text": "one", "contact": { "name": "two", "phone": SARI } }),
        json!({ "to": SHOP, "media": { "kind": "image" } }),
        json!({ "to": SHOP, "media": { "kind": "image", "data": "no base64!" } }),
        json!({ "to": SHOP, "media": { "kind": "image", "size": 1_u64 << 40 } }),
        json!({ "to": SHOP, "poll": { "question": "?", "options": ["only"] } }),
        json!({ "to": SHOP, "location": { "latitude": 0.0, "longitude": 0.0 }, "quote": "3EB0" }),
    ];

    for body in wrong {
        let (status, reason) = rig.refused(&path, body.clone()).await;
        assert_eq!(status, 400, "{body}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_uploads_again_what_the_media_host_forgot_and_says_when_it_has_lost_it_too() {
    let rig = Rig::start().await;
    let device = rig.linked(SHOP).await;
    let media = json!({ "kind": "document", "data": "aGVsbG8gZmlsZQ==" });
    let id = rig.write(BUDI, json!({ "to": SHOP, "media": media })).await;
    let received = device.message(&id).await;
    let document = received.message.document_message.as_option().unwrap();
    rig.post("/files/expire", json!({})).await;
    assert!(device.client.download(document).await.is_err());
    let ask = async || {
        let request = MediaReuploadRequest {
            msg_id: &id,
            chat_jid: &received.info.source.chat,
            media_key: document.media_key.as_deref().unwrap(),
            is_from_me: false,
            participant: None,
        };
        device.client.media_reupload().request(&request).await.unwrap()
    };

    let MediaRetryResult::Success { direct_path } = ask().await else { panic!("the phone has the file") };

    let again = wa::message::DocumentMessage { direct_path: Some(direct_path), url: None, ..document.clone() };
    assert_eq!(device.client.download(&again).await.unwrap(), b"hello file");
    rig.post("/files/expire", json!({ "lost": true })).await;
    assert!(matches!(ask().await, MediaRetryResult::NotFound));
    rig.all_answered().await;
}
