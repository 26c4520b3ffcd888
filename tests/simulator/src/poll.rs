//! Poll votes. A vote names its options by hash and is sealed under a key that comes from the poll's secret, its id, and
//! the addresses of its author and of the voter; so only who received the poll can read who voted for what.

use crate::wa;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use anyhow::{Result, anyhow, ensure};
use prost::Message as _;
use sha2::{Digest, Sha256};

/// What a vote's key depends on. Both addresses are of the same kind, phone or lid, without device.
pub(crate) struct Ballot<'a> {
    pub(crate) secret: &'a [u8],
    pub(crate) poll: &'a str,
    pub(crate) author: &'a str,
    pub(crate) voter: &'a str,
}

impl Ballot<'_> {
    pub(crate) fn seal(&self, options: &[&str]) -> Result<wa::PollEncValue> {
        let selected_options = options.iter().map(|option| hash(option).to_vec()).collect();
        let plain = wa::PollVoteMessage { selected_options }.encode_to_vec();
        let iv: [u8; 12] = rand::random();
        let sealed = self
            .cipher()?
            .encrypt(&Nonce::from(iv), Payload { msg: &plain, aad: &self.bound() })
            .map_err(|_| anyhow!("the vote does not seal"))?;
        Ok(wa::PollEncValue { enc_payload: Some(sealed), enc_iv: Some(iv.to_vec()) })
    }

    /// The hashes of the chosen options.
    pub(crate) fn open(&self, vote: &wa::PollEncValue) -> Result<Vec<Vec<u8>>> {
        let iv: [u8; 12] = vote.enc_iv().try_into()?;
        let plain = self
            .cipher()?
            .decrypt(&Nonce::from(iv), Payload { msg: vote.enc_payload(), aad: &self.bound() })
            .map_err(|_| anyhow!("the vote does not open"))?;
        Ok(wa::PollVoteMessage::decode(&plain[..])?.selected_options)
    }

    fn cipher(&self) -> Result<Aes256Gcm> {
        ensure!(self.secret.len() == 32, "the poll has no secret");
        let info = [self.poll, self.author, self.voter, "Poll Vote"].concat();
        let mut key = [0; 32];
        hkdf::Hkdf::<Sha256>::new(None, self.secret)
            .expand(info.as_bytes(), &mut key)
            .map_err(|_| anyhow!("key derivation"))?;
        Ok(Aes256Gcm::new(&key.into()))
    }

    fn bound(&self) -> Vec<u8> {
        [self.poll.as_bytes(), &[0], self.voter.as_bytes()].concat()
    }
}

pub(crate) fn hash(option: &str) -> [u8; 32] {
    Sha256::digest(option.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_opens_for_its_voter_only() {
        let of = |voter| Ballot { secret: &[7; 32], poll: "3EB0", author: "1@lid", voter };
        let vote = of("2@lid").seal(&["red", "blue"]).expect("seals");

        let opened = of("2@lid").open(&vote).expect("opens");
        assert_eq!(opened, [hash("red").to_vec(), hash("blue").to_vec()]);
        assert!(of("3@lid").open(&vote).is_err());
    }
}
