//! What earlier gateways of this kind promised and did not keep. Each promise has a test whose name says it: here, or, where
//! it is one of several about the same route, beside the others.

mod devices;
mod messages;
mod stored;
mod strangers;

use crate::coverage::names_of_tests;
use std::path::Path;

const PROMISES: [(&str, &str); 22] = [
    ("a validation error is 400 and names its fields", "every_bad_field_is_named_at_once_and_nothing_is_sent"),
    ("an event has its full payload", "an_event_has_its_full_payload_in_the_log_the_stream_and_the_webhook"),
    ("the server's word is sent, not before", "a_message_is_sent_when_whatsapps_server_has_it_and_not_before"),
    ("delivered is what a phone received", "a_message_is_delivered_when_the_phone_has_it"),
    ("read is what somebody read", "a_message_is_read_when_its_reader_says_so"),
    ("played is what somebody played", "a_voice_note_is_played_when_its_listener_has_played_it"),
    ("a mute ends when it was said to", "a_mute_ends_when_it_was_said_to_on_every_device"),
    ("base64 media arrives", "every_kind_of_file_in_base64_arrives_at_the_phone_byte_for_byte"),
    ("a new group's id is in the answer", "a_new_group_has_its_id_in_the_answer_and_its_member_hears_of_it"),
    ("a stop sticks", "a_device_that_is_stopped_stays_so_also_after_a_restart"),
    ("needs_pairing sticks", "a_device_that_needs_pairing_stays_so_and_nobody_tries_again"),
    ("a device is started in parallel", "a_device_that_is_started_by_many_at_once_connects_once"),
    ("media of another tenant is not there", "a_file_of_another_tenant_is_not_there"),
    ("a media id is no path", "a_path_in_place_of_a_media_id_reaches_no_file"),
    ("a WebSocket takes no token of another tenant", "a_socket_takes_no_token_of_another_tenant"),
    ("a deleted tenant stays deleted", "a_deleted_tenant_stays_so_also_after_a_restart"),
    ("an idempotency key is for one body", "an_idempotency_key_with_another_body_is_refused"),
    (
        "a message to an offline device waits",
        "a_message_that_is_sent_while_the_device_is_offline_waits_and_then_goes_out",
    ),
    ("a restart resumes at once", "a_restart_after_a_kill_resumes_at_once"),
    ("an answer is behind its row", "a_text_that_cannot_be_stored_is_not_answered_as_accepted"),
    ("an acknowledgement is behind its row", "a_message_that_cannot_be_stored_is_not_acknowledged_and_comes_again"),
    (
        "what went out does not go out again",
        "what_whatsapp_acknowledged_is_not_sent_again_after_a_kill_though_no_receipt_came",
    ),
];

/// What a device sets is read back by another client of the account, or by another account, over the protocol.
const SETTINGS: [(&str, &str); 7] = [
    ("archive, pin", "what_is_done_to_a_chat_is_read_back_by_another_device"),
    ("mute, with its end", "a_mute_ends_when_it_was_said_to_on_every_device"),
    ("every privacy setting", "every_privacy_setting_that_is_set_is_read_back_by_another_device"),
    ("block", "who_is_blocked_is_read_back_by_another_device_until_unblocked"),
    ("subject, description, settings of a group", "what_is_set_on_a_group_is_read_back_by_another_account"),
    ("name, about and picture of the profile", "a_profile_is_read_back_by_another_device_and_by_a_contact"),
    ("what was read", "marking_as_read_tells_who_wrote_and_the_other_devices"),
];

#[test]
fn every_promise_and_every_setting_has_its_test() {
    let tests = names_of_tests(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")));
    let all = PROMISES.iter().chain(&SETTINGS);
    let without: Vec<_> = all.filter(|(_, test)| !tests.contains(*test)).collect();
    assert!(without.is_empty(), "{without:?}");
}
