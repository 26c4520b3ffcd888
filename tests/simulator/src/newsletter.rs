//! A newsletter, which people call a channel, as the server keeps it: who follows it, and what was posted. Posts are not
//! encrypted.

use crate::group::invite_code;
use crate::handlers::Picture;
use std::collections::{BTreeMap, VecDeque};

/// Posts of one newsletter; the oldest go.
const POSTS_MAX: usize = 10_000;
/// Clients take smaller ones for none.
const SERVER_ID_FIRST: u64 = 100;

pub(crate) struct Newsletter {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) owner: String,
    pub(crate) created: u64,
    pub(crate) invite: String,
    pub(crate) picture: Option<Picture>,
    /// Phone number, and whether it is muted there. The owner is among them.
    pub(crate) followers: BTreeMap<String, bool>,
    pub(crate) posts: VecDeque<Post>,
    next_server_id: u64,
    /// Devices that are told of reactions as they come, and until when, in unix seconds.
    pub(crate) watchers: BTreeMap<(String, u16), u64>,
}

pub(crate) struct Post {
    pub(crate) server_id: u64,
    /// Chosen by who posted it.
    pub(crate) id: String,
    pub(crate) at: u64,
    /// As the stanza said it: `text`, `media`.
    pub(crate) kind: String,
    pub(crate) media: String,
    /// The protobuf; empty when it was taken back.
    pub(crate) body: Vec<u8>,
    pub(crate) author: String,
    /// One of each person.
    pub(crate) reactions: BTreeMap<String, String>,
}

impl Newsletter {
    pub(crate) fn new(id: &str, name: &str, description: &str, owner: &str, now: u64) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
            owner: owner.to_owned(),
            created: now,
            invite: invite_code(),
            picture: None,
            followers: BTreeMap::from([(owner.to_owned(), false)]),
            posts: VecDeque::new(),
            next_server_id: SERVER_ID_FIRST,
            watchers: BTreeMap::new(),
        }
    }

    /// Keeps a post under the next server id, which is returned.
    pub(crate) fn post(&mut self, post: Post) -> u64 {
        let server_id = self.next_server_id;
        self.next_server_id += 1;
        self.posts.push_back(Post { server_id, ..post });
        if self.posts.len() > POSTS_MAX {
            self.posts.pop_front();
        }
        server_id
    }

    pub(crate) fn by_id(&mut self, id: &str) -> Option<&mut Post> {
        self.posts.iter_mut().find(|post| post.id == id)
    }

    pub(crate) fn by_server_id(&mut self, server_id: u64) -> Option<&mut Post> {
        self.posts.iter_mut().find(|post| post.server_id == server_id)
    }

    /// Whoever follows and did not make it.
    pub(crate) fn subscribers(&self) -> usize {
        self.followers.keys().filter(|number| **number != self.owner).count()
    }
}

impl Post {
    /// How often each reaction was given.
    pub(crate) fn counts(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for code in self.reactions.values() {
            *counts.entry(code.as_str()).or_default() += 1;
        }
        counts
    }
}
