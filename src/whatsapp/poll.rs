//! Polls as WhatsApp has them. A vote names its options by hash and is sealed with the poll's secret, its id, and the
//! addresses of who wrote the poll and of who votes; which of a person's two addresses is meant, only trying tells.

use crate::domain::poll::{OPTIONS_MAX, Poll, SECRET_BYTES};
use crate::store::OpenPoll;
use buffa::MessageField;
use wacore::poll::{PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_secret};
use waproto::whatsapp as wa;

/// Bytes of a vote as it is sealed: room for every option of a poll, which is named by 32 bytes. A larger one is not opened.
const SEALED_VOTE_BYTES_MAX: usize = 1_024;

/// The message that asks. `secret` is what votes will be sealed with.
pub(super) fn message(poll: &Poll, secret: &[u8]) -> wa::Message {
    let option = |name: &String| wa::message::poll_creation_message::Option {
        option_name: Some(name.clone()),
        ..Default::default()
    };
    let creation = MessageField::some(wa::message::PollCreationMessage {
        name: Some(poll.question.clone()),
        options: poll.options.iter().map(option).collect(),
        selectable_options_count: Some(poll.selectable_count),
        ..Default::default()
    });
    // The official clients write a poll for one choice in its third form and others in the first.
    let (first, third) = match poll.selectable_count {
        1 => (MessageField::none(), creation),
        _ => (creation, MessageField::none()),
    };
    wa::Message {
        poll_creation_message: first,
        poll_creation_message_v3: third,
        message_context_info: MessageField::some(wa::MessageContextInfo {
            message_secret: Some(secret.to_vec()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What a message asks, when it is a poll. `message` stands within no wrapper.
pub(super) fn asked(message: &wa::Message) -> Option<Poll> {
    let forms = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ];
    let creation = forms.into_iter().find_map(|form| form.as_option())?;
    Some(Poll {
        question: creation.name.clone().unwrap_or_default(),
        options: creation.options.iter().map(|option| option.option_name.clone().unwrap_or_default()).collect(),
        selectable_count: creation.selectable_options_count.unwrap_or(0),
    })
}

/// The secret of a message's votes.
pub(super) fn secret(message: &wa::Message) -> Option<Vec<u8>> {
    let own = message.message_context_info.as_option().and_then(|context| context.message_secret.clone());
    let sent = || message.device_sent_message.as_option().and_then(|sent| secret(sent.message.as_option()?));
    own.or_else(sent).filter(|secret| secret.len() == SECRET_BYTES)
}

/// WhatsApp's id of the poll that a message votes on, and the sealed vote.
pub(super) fn vote(message: &wa::Message) -> Option<(&str, &wa::message::PollEncValue)> {
    let update = message.poll_update_message.as_option()?;
    let id = update.poll_creation_message_key.as_option()?.id.as_deref()?;
    Some((id, update.vote.as_option()?))
}

/// The places of the chosen options, or `None` when no pair of addresses opens the vote.
pub(super) fn open(
    id: &str,
    poll: &OpenPoll,
    vote: &wa::message::PollEncValue,
    authors: &[String],
    voters: &[String],
) -> Option<Vec<usize>> {
    let enc_payload = vote.enc_payload.as_deref().filter(|sealed| sealed.len() <= SEALED_VOTE_BYTES_MAX)?;
    let enc_iv = vote.enc_iv.as_deref()?;
    let tries = authors.iter().flat_map(|author| voters.iter().map(move |voter| (author, voter)));
    let hashes = tries.into_iter().find_map(|(author, voter)| {
        let sealed = PollVoteCiphertext { enc_payload, enc_iv };
        decrypt_poll_vote_with_secret(sealed, &poll.secret, id, author, voter).ok()
    })?;
    let options: Vec<_> = poll.poll.options.iter().map(|option| compute_option_hash(option)).collect();
    let place = |chosen: &Vec<u8>| options.iter().position(|option| option[..] == chosen[..]);
    let mut places: Vec<usize> = hashes.iter().take(OPTIONS_MAX).filter_map(place).collect();
    places.sort_unstable();
    places.dedup();
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore::poll::encrypt_poll_vote_with_secret;

    const SECRET: [u8; SECRET_BYTES] = [7; SECRET_BYTES];

    fn poll(selectable_count: u32) -> Poll {
        Poll { question: "which?".into(), options: vec!["red".into(), "blue".into()], selectable_count }
    }

    #[test]
    fn a_poll_reads_back_in_either_form_with_its_secret() {
        for selectable_count in [0, 1, 2] {
            let written = message(&poll(selectable_count), &SECRET);
            assert_eq!(asked(&written), Some(poll(selectable_count)));
            assert_eq!(secret(&written).as_deref(), Some(&SECRET[..]));
        }
    }

    #[test]
    fn a_vote_opens_by_whichever_address_it_was_sealed_with() {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        let known = OpenPoll { poll: poll(0), authors: Vec::new(), secret: SECRET.to_vec() };
        let hashes = vec![compute_option_hash("blue").to_vec(), compute_option_hash("none of them").to_vec()];
        let (payload, iv) = encrypt_poll_vote_with_secret(&hashes, &SECRET, "3EB0", "1@lid", "2@lid").expect("seals");
        let vote = wa::message::PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) };
        let (authors, voters) = (of(&["62@s.whatsapp.net", "1@lid"]), of(&["63@s.whatsapp.net", "2@lid"]));

        assert_eq!(open("3EB0", &known, &vote, &authors, &voters), Some(vec![1]));
        assert_eq!(open("3EB1", &known, &vote, &authors, &voters), None);
        assert_eq!(open("3EB0", &known, &vote, &authors, &of(&["4@lid"])), None);
    }
    #[test]
    fn a_vote_that_names_more_than_a_poll_can_have_is_not_opened() {
        let (ana, budi) = (["1@lid".to_owned()], ["2@lid".to_owned()]);
        let known = OpenPoll { poll: poll(0), authors: Vec::new(), secret: SECRET.to_vec() };
        let of = |count: usize| {
            let hashes = vec![compute_option_hash("blue").to_vec(); count];
            let (payload, iv) =
                encrypt_poll_vote_with_secret(&hashes, &SECRET, "3EB0", &ana[0], &budi[0]).expect("seals");
            wa::message::PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) }
        };

        assert_eq!(open("3EB0", &known, &of(OPTIONS_MAX), &ana, &budi), Some(vec![1]));
        assert_eq!(open("3EB0", &known, &of(1_000), &ana, &budi), None);
    }
}
