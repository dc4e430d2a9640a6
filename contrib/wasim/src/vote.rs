//! Votes in polls, which are encrypted with a secret that comes with the poll.

use buffa::Message as _;
use sha2::{Digest as _, Sha256};
use waproto::whatsapp::message::{PollEncValue, PollVoteMessage};

use crate::crypto::{aes_gcm_open, aes_gcm_seal, hkdf_sha256, random};

/// A vote as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct SealedVote {
    payload: Vec<u8>,
    nonce: [u8; 12],
}

impl From<SealedVote> for PollEncValue {
    fn from(vote: SealedVote) -> Self {
        Self {
            enc_payload: Some(vote.payload),
            enc_iv: Some(vote.nonce.to_vec()),
        }
    }
}

/// A poll, and who votes in it: the JIDs as they are written in the chat, without devices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ballot<'a> {
    pub secret: &'a [u8],
    pub poll: &'a str,
    pub creator: &'a str,
    pub voter: &'a str,
}

impl Ballot<'_> {
    fn key(&self) -> [u8; 32] {
        let info = [self.poll, self.creator, self.voter, "Poll Vote"].concat();
        let mut key = [0; 32];
        hkdf_sha256(self.secret, None, info.as_bytes(), &mut key);
        key
    }

    fn bound_to(&self) -> Vec<u8> {
        [self.poll.as_bytes(), &[0], self.voter.as_bytes()].concat()
    }

    pub(crate) fn seal(&self, options: &[String]) -> SealedVote {
        let hashes = options.iter().map(|option| hash(option).to_vec());
        let vote = PollVoteMessage {
            selected_options: hashes.collect(),
        };
        let nonce = random::<12>();
        let payload = aes_gcm_seal(&self.key(), &nonce, &self.bound_to(), &vote.encode_to_vec());
        SealedVote { payload, nonce }
    }

    /// The chosen ones among the poll's options. None when it was encrypted for another ballot.
    pub(crate) fn open(&self, vote: &PollEncValue, options: &[String]) -> Option<Vec<String>> {
        let nonce: [u8; 12] = vote.enc_iv.as_deref()?.try_into().ok()?;
        let payload = vote.enc_payload.as_deref()?;
        let plain = aes_gcm_open(&self.key(), &nonce, &self.bound_to(), payload)?;
        let vote = PollVoteMessage::decode_from_slice(&plain).ok()?;
        let chosen = |option: &&String| {
            let hash = hash(option);
            vote.selected_options
                .iter()
                .any(|selected| *selected == hash)
        };
        Some(options.iter().filter(chosen).cloned().collect())
    }
}

fn hash(option: &str) -> [u8; 32] {
    Sha256::digest(option.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_read_with_its_own_ballot_only() {
        let ballot = Ballot {
            secret: &[1; 32],
            poll: "3EB0",
            creator: "1@lid",
            voter: "2@lid",
        };
        let options = ["now", "later", "never"].map(str::to_owned);
        let sealed: PollEncValue = ballot.seal(&options[1..]).into();
        assert_eq!(ballot.open(&sealed, &options).unwrap(), options[1..]);
        let other = Ballot {
            voter: "3@lid",
            ..ballot
        };
        assert_eq!(other.open(&sealed, &options), None);
    }
}
