//! What a lane has in hand: of each chat the message that is being sent, and those that follow it. Decides, and does nothing.

use crate::domain::jid::ChatId;
use crate::domain::outgoing::Step;
use crate::store::OutboxRow;
use std::collections::{HashMap, VecDeque};

/// Messages in hand at once; a kill then repeats at most these.
pub(super) const IN_HAND_MAX: u32 = 64;

#[derive(Debug, Default)]
pub(super) struct Hand {
    /// A chat is in here while a message of it is being sent.
    behind: HashMap<ChatId, VecDeque<OutboxRow>>,
    rows: u32,
}

/// What follows a message that is no longer being sent.
#[derive(Debug)]
pub(super) enum Next {
    Send(Box<OutboxRow>),
    /// Nothing of the chat is in hand any more; these are for later.
    Free {
        put_back: Vec<OutboxRow>,
    },
}

impl Hand {
    /// How many more may be taken.
    pub(super) fn room(&self) -> u32 {
        IN_HAND_MAX.saturating_sub(self.rows)
    }

    /// Takes messages in hand, oldest first, and returns those that are to be sent now.
    pub(super) fn take(&mut self, rows: Vec<OutboxRow>) -> Vec<OutboxRow> {
        let mut now = Vec::new();
        for row in rows {
            self.rows += 1;
            match self.behind.get_mut(&row.chat) {
                Some(behind) => behind.push_back(row),
                None => {
                    self.behind.insert(row.chat.clone(), VecDeque::new());
                    now.push(row);
                }
            }
        }
        now
    }

    /// What the end of a chat's send means for the rest of it. One that is tried again holds back what is behind it.
    pub(super) fn ended(&mut self, chat: &ChatId, step: &Step, going_on: bool) -> Next {
        self.rows = self.rows.saturating_sub(1);
        let goes_on = going_on && !matches!(step, Step::Retry { .. });
        if goes_on && let Some(next) = self.behind.get_mut(chat).and_then(VecDeque::pop_front) {
            return Next::Send(Box::new(next));
        }
        Next::Free { put_back: self.free(chat) }
    }

    /// A message that was to be sent now waits instead, and so does what is behind it: that is put back.
    pub(super) fn waits(&mut self, chat: &ChatId) -> Vec<OutboxRow> {
        self.rows = self.rows.saturating_sub(1);
        self.free(chat)
    }

    fn free(&mut self, chat: &ChatId) -> Vec<OutboxRow> {
        let behind = self.behind.remove(chat).unwrap_or_default();
        self.rows = self.rows.saturating_sub(u32::try_from(behind.len()).unwrap_or(u32::MAX));
        behind.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{DeviceId, MessageId, TenantId};
    use crate::domain::outgoing::{Content, Status};

    fn row(chat: &str, wa_id: &str) -> OutboxRow {
        OutboxRow {
            seq: 1,
            id: MessageId::generate(),
            tenant: TenantId::generate(),
            device: DeviceId::generate(),
            chat: ChatId::parse(chat).expect("a chat"),
            wa_id: wa_id.into(),
            content: Content::Text {
                text: "hi".into(),
                mentions: Vec::new(),
                quoted_message_id: None,
                link_preview: None,
            },
            status: Status::Sending,
            attempts: 1,
            last_error: None,
            next_at: 0,
            created_at: 0,
            updated_at: 0,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            edited_at: None,
            deleted_at: None,
            is_paced: false,
        }
    }

    fn wa_ids(rows: &[OutboxRow]) -> Vec<&str> {
        rows.iter().map(|row| row.wa_id.as_str()).collect()
    }

    const ANI: &str = "6281100000001@s.whatsapp.net";
    const BUDI: &str = "6281100000002@s.whatsapp.net";

    #[test]
    fn of_each_chat_one_message_is_sent_at_a_time() {
        let mut hand = Hand::default();

        let now = hand.take(vec![row(ANI, "A1"), row(ANI, "A2"), row(BUDI, "B1")]);

        assert_eq!(wa_ids(&now), ["A1", "B1"]);
        assert_eq!(hand.room(), IN_HAND_MAX - 3);
        assert!(hand.take(vec![row(ANI, "A3")]).is_empty());
        for expected in ["A2", "A3"] {
            let next = hand.ended(&now[0].chat, &Step::Sent, true);
            assert!(matches!(&next, Next::Send(row) if row.wa_id == expected), "{next:?}");
        }
        let last = hand.ended(&now[0].chat, &Step::Sent, true);
        assert!(matches!(&last, Next::Free { put_back } if put_back.is_empty()), "{last:?}");
        assert_eq!(hand.room(), IN_HAND_MAX - 1);
    }

    #[test]
    fn what_waits_frees_its_chat_and_leaves_the_others() {
        let mut hand = Hand::default();
        let now = hand.take(vec![row(ANI, "A1"), row(ANI, "A2"), row(ANI, "A3"), row(BUDI, "B1")]);

        assert_eq!(wa_ids(&hand.waits(&now[0].chat)), ["A2", "A3"]);

        assert_eq!(hand.room(), IN_HAND_MAX - 1);
        assert_eq!(wa_ids(&hand.take(vec![row(ANI, "A1"), row(BUDI, "B2")])), ["A1"]);
    }

    #[test]
    fn a_retry_and_an_end_put_back_what_is_behind() {
        let retry = Step::Retry { failures: 1, reason: "lost".into() };
        for (step, going_on) in [(retry, true), (Step::Sent, false)] {
            let mut hand = Hand::default();
            let (first, second) = (row(ANI, "A1"), row(ANI, "A2"));
            let chat = first.chat.clone();
            hand.take(vec![first, second]);

            let next = hand.ended(&chat, &step, going_on);

            assert!(matches!(&next, Next::Free { put_back } if wa_ids(put_back) == ["A2"]), "{next:?}");
            assert_eq!(hand.room(), IN_HAND_MAX);
        }
    }
}
