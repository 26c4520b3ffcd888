//! Polls: what is asked, and how votes are counted.

use serde::{Deserialize, Serialize};

pub const QUESTION_CHARS_MAX: usize = 255;
pub const OPTIONS_MIN: usize = 2;
pub const OPTIONS_MAX: usize = 12;
/// Characters of one option, as the official clients have it.
pub const OPTION_CHARS_MAX: usize = 100;
/// Bytes of the question, and of each option, of a poll that somebody else wrote. The official clients keep to far less;
/// votes on a poll beyond this, or with more options than [`OPTIONS_MAX`], are not opened.
pub const SEEN_TEXT_BYTES_MAX: usize = 1_024;
/// Bytes of the secret that votes on one poll are sealed with.
pub const SECRET_BYTES: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    pub question: String,
    /// No two alike: a vote names its options by their text.
    pub options: Vec<String>,
    /// How many options one person may choose; 0 is any number.
    pub selectable_count: u32,
}

impl Poll {
    /// Whether votes on it are counted, whoever wrote it: a count is made anew with every vote.
    pub fn is_countable(&self) -> bool {
        let mut texts = self.options.iter().chain([&self.question]);
        self.options.len() <= OPTIONS_MAX && texts.all(|text| text.len() <= SEEN_TEXT_BYTES_MAX)
    }
}

/// One option and who chose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tally {
    pub option: String,
    pub votes: usize,
    /// Contact ids, in the order of their latest votes.
    pub voters: Vec<String>,
}

/// The latest vote of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    pub voter: String,
    /// Places of the chosen options; none takes the vote back.
    pub chosen: Vec<usize>,
}

/// Counts `votes`, one of each voter.
pub fn tally(options: &[String], votes: &[Vote]) -> Vec<Tally> {
    let chosen_by = |place: usize| votes.iter().filter(move |vote| vote.chosen.contains(&place));
    let one = |(place, option): (usize, &String)| {
        let voters: Vec<String> = chosen_by(place).map(|vote| vote.voter.clone()).collect();
        Tally { option: option.clone(), votes: voters.len(), voters }
    };
    options.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_counted_on_what_whatsapp_calls_a_poll_and_on_nothing_larger() {
        let poll = |question: usize, options: usize, option: usize| Poll {
            question: "q".repeat(question),
            options: vec!["o".repeat(option); options],
            selectable_count: u32::MAX,
        };
        let max = SEEN_TEXT_BYTES_MAX;

        assert!(poll(max, OPTIONS_MAX, max).is_countable());
        assert!(!poll(max + 1, OPTIONS_MAX, max).is_countable());
        assert!(!poll(max, OPTIONS_MAX + 1, max).is_countable());
        assert!(!poll(max, OPTIONS_MAX, max + 1).is_countable());
    }

    #[test]
    fn every_option_is_counted_also_one_that_nobody_chose() {
        let options = ["red", "green", "blue"].map(str::to_owned);
        let vote = |voter: &str, chosen: &[usize]| Vote { voter: voter.into(), chosen: chosen.to_vec() };

        let counted = tally(&options, &[vote("ana", &[0, 2]), vote("budi", &[2]), vote("citra", &[])]);

        let votes: Vec<usize> = counted.iter().map(|one| one.votes).collect();
        assert_eq!(votes, [1, 0, 2]);
        assert_eq!(counted[2].voters, ["ana", "budi"]);
    }
}
