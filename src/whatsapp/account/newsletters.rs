//! Newsletters, which people call channels: what an account follows or makes, and what is posted there.

use super::mex::{number, words};
use super::{Account, AccountError, parsed, refusal};
use crate::domain::group::Picture;
use crate::domain::jid::NewsletterId;
use crate::whatsapp::incoming::kind_and_fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buffa::Message as _;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wacore::iq::mex_operations::{
    create_newsletter, delete_newsletter, fetch_all_newsletters_metadata, fetch_newsletter, join_newsletter,
    leave_newsletter, update_newsletter, update_newsletter_user_setting,
};
use wacore::iq::newsletter::NEWSLETTER_XMLNS;
use wacore::iq::spec::IqSpec;
use wacore::request::InfoQuery;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, NodeContent, NodeContentRef, NodeRef};
use waproto::whatsapp as wa;

const NEWSLETTER: &str = "newsletter";
const INVITE: &str = "invite link";
const POST: &str = "post";
const LINK: &str = "https://whatsapp.com/channel/";

/// A newsletter as WhatsApp describes it to this account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Newsletter {
    #[schema(example = "120363400000000001@newsletter")]
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    /// Who follows it.
    pub subscribers: Option<u64>,
    /// WhatsApp vouches for who posts there.
    pub verified: bool,
    /// `active`, `suspended`, or another word of WhatsApp's.
    pub state: String,
    /// What this account is there: `owner`, `admin`, `subscriber` or `guest`.
    pub role: Option<String>,
    pub muted: Option<bool>,
    /// Unix seconds.
    pub creation: Option<u64>,
    pub link: Option<String>,
    /// Where the picture lies on WhatsApp's media host.
    pub picture: Option<String>,
}

/// Something that was posted.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Post {
    /// The newsletter's number of it: for reactions, and for the next page.
    pub server_id: u64,
    /// WhatsApp's id: for editing and deleting. WhatsApp may leave it out.
    pub message_id: Option<String>,
    /// Unix seconds.
    pub timestamp: u64,
    /// This account posted it.
    pub from_me: bool,
    /// The kind, as of `message.received`.
    pub r#type: String,
    /// The fields of that kind, as of `message.received`.
    #[schema(value_type = Object)]
    pub content: Value,
    /// How often it was seen, where WhatsApp tells.
    pub views: Option<u64>,
    pub reactions: Vec<ReactionCount>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReactionCount {
    pub emoji: String,
    pub count: u64,
}

fn jid(newsletter: &NewsletterId) -> Result<Jid, AccountError> {
    parsed(newsletter.as_str())
}

/// As WhatsApp takes a picture of a newsletter, another than of a group; an empty text takes it away.
fn encoded(picture: Option<Picture>) -> String {
    picture.map(|picture| STANDARD.encode(picture.into_bytes())).unwrap_or_default()
}

impl Account {
    pub async fn create_newsletter(&self, name: &str, description: Option<&str>) -> Result<Newsletter, AccountError> {
        use create_newsletter::{DOC_ID, Input, NAME, Variables};
        let input = Input { name: Some(name.to_owned()), description: description.map(str::to_owned), picture: None };
        let asked = Variables { input: Some(input) };
        read(&self.query(NEWSLETTER, "xwa2_newsletter_create", (NAME, DOC_ID), asked).await?)
    }

    /// Those that the account follows or owns, by name.
    pub async fn newsletters(&self) -> Result<Vec<Newsletter>, AccountError> {
        use fetch_all_newsletters_metadata::{DOC_ID, NAME, Variables};
        let field = "xwa2_newsletter_subscribed";
        let answer = self.query(NEWSLETTER, field, (NAME, DOC_ID), Variables::default()).await?;
        let listed = answer.as_array().ok_or_else(|| AccountError::Failed("newsletters are no list".into()))?;
        let mut found = listed.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(found)
    }

    pub async fn newsletter(&self, newsletter: &NewsletterId) -> Result<Newsletter, AccountError> {
        self.described_newsletter(NEWSLETTER, "JID", newsletter.as_str()).await
    }

    /// What the code of an invite link leads to.
    pub async fn preview_newsletter(&self, code: &str) -> Result<Newsletter, AccountError> {
        self.described_newsletter(INVITE, "INVITE", code).await
    }

    async fn described_newsletter(&self, what: &'static str, by: &str, key: &str) -> Result<Newsletter, AccountError> {
        use fetch_newsletter::{DOC_ID, Input, NAME, Variables};
        let input = Input { key: Some(key.into()), r#type: Some(by.into()), view_role: Some("GUEST".into()) };
        let asked = Variables {
            input: Some(input),
            fetch_viewer_metadata: Some(true),
            fetch_full_image: Some(true),
            fetch_creation_time: Some(true),
            ..Default::default()
        };
        read(&self.query(what, "xwa2_newsletter", (NAME, DOC_ID), asked).await?)
    }

    /// What is `None` stays; an empty description takes it away.
    pub async fn change_newsletter(
        &self,
        newsletter: &NewsletterId,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Result<Newsletter, AccountError> {
        let updates = update_newsletter::Updates {
            name: name.map(str::to_owned),
            description: description.map(str::to_owned),
            ..Default::default()
        };
        self.update_newsletter(newsletter, updates).await
    }

    /// `None` takes it away.
    pub async fn set_newsletter_picture(
        &self,
        newsletter: &NewsletterId,
        picture: Option<Picture>,
    ) -> Result<Newsletter, AccountError> {
        let updates = update_newsletter::Updates { picture: Some(encoded(picture)), ..Default::default() };
        self.update_newsletter(newsletter, updates).await
    }

    async fn update_newsletter(
        &self,
        newsletter: &NewsletterId,
        updates: update_newsletter::Updates,
    ) -> Result<Newsletter, AccountError> {
        use update_newsletter::{DOC_ID, NAME, Variables};
        let asked = Variables { newsletter_id: Some(newsletter.to_string()), updates: Some(updates) };
        read(&self.query(NEWSLETTER, "xwa2_newsletter_update", (NAME, DOC_ID), asked).await?)
    }

    pub async fn follow_newsletter(&self, newsletter: &NewsletterId) -> Result<(), AccountError> {
        use join_newsletter::{DOC_ID, NAME, Variables};
        let asked = Variables { newsletter_id: Some(newsletter.to_string()) };
        self.query(NEWSLETTER, "xwa2_newsletter_join_v2", (NAME, DOC_ID), asked).await.map(|_| ())
    }

    pub async fn unfollow_newsletter(&self, newsletter: &NewsletterId) -> Result<(), AccountError> {
        use leave_newsletter::{DOC_ID, NAME, Variables};
        let asked = Variables { newsletter_id: Some(newsletter.to_string()) };
        self.query(NEWSLETTER, "xwa2_newsletter_leave_v2", (NAME, DOC_ID), asked).await.map(|_| ())
    }

    pub async fn delete_newsletter(&self, newsletter: &NewsletterId) -> Result<(), AccountError> {
        use delete_newsletter::{DOC_ID, NAME, Variables};
        let asked = Variables { newsletter_id: Some(newsletter.to_string()) };
        self.query(NEWSLETTER, "xwa2_newsletter_delete_v2", (NAME, DOC_ID), asked).await.map(|_| ())
    }

    pub async fn mute_newsletter(&self, newsletter: &NewsletterId, mute: bool) -> Result<(), AccountError> {
        use update_newsletter_user_setting::{DOC_ID, NAME};
        let value = if mute { "ON" } else { "OFF" };
        let input = json!({ "newsletter_id": newsletter.as_str(), "type": "MUTE_FOLLOWER_ACTIVITY", "value": value });
        let field = "xwa2_newsletter_update_user_setting";
        self.query(NEWSLETTER, field, (NAME, DOC_ID), json!({ "input": input })).await.map(|_| ())
    }

    /// The newest `count` before a number, the newest first.
    pub async fn newsletter_posts(
        &self,
        newsletter: &NewsletterId,
        count: u32,
        before: Option<u64>,
    ) -> Result<Vec<Post>, AccountError> {
        let asked = Posts { newsletter: jid(newsletter)?, count, before };
        let mut posts = self.ask(NEWSLETTER, self.client.execute(asked)).await?;
        posts.sort_by_key(|post| std::cmp::Reverse(post.server_id));
        Ok(posts)
    }

    /// An empty emoji takes the reaction back. Done when WhatsApp's server says so.
    pub async fn react_in_newsletter(
        &self,
        newsletter: &NewsletterId,
        server_id: u64,
        emoji: &str,
    ) -> Result<(), AccountError> {
        let id = format!("3EB0{}", hex::encode_upper(rand::random::<[u8; 9]>()));
        let stanza = NodeBuilder::new("message")
            .attr("to", jid(newsletter)?)
            .attr("type", "reaction")
            .attr("id", id.clone())
            .attr("server_id", server_id);
        let stanza = match emoji {
            "" => stanza.attr("edit", "7").children([NodeBuilder::new("reaction").build()]),
            emoji => stanza.children([NodeBuilder::new("reaction").attr("code", emoji.to_owned()).build()]),
        };
        let told = self.acks.expect(&id);
        let said = self
            .ask(POST, async {
                self.client.send_node(stanza.build()).await?;
                told.verdict().await.ok_or(AccountError::NotConnected)
            })
            .await?;
        said.map_err(|code| refusal(code.parse().unwrap_or(400), "the reaction was not taken".into(), None).about(POST))
    }

    /// From now on reactions are told as they come; for so many seconds.
    pub async fn watch_newsletter(&self, newsletter: &NewsletterId) -> Result<u64, AccountError> {
        let newsletter = jid(newsletter)?;
        self.ask(NEWSLETTER, self.client.newsletter().subscribe_live_updates(newsletter)).await
    }
}

/// Roles and states come in capitals or not.
fn read(value: &Value) -> Result<Newsletter, AccountError> {
    let id = words(&value["id"]).ok_or_else(|| AccountError::Failed("a newsletter has no id".into()))?;
    let (thread, viewer) = (&value["thread_metadata"], &value["viewer_metadata"]);
    let small = |value: &Value| words(value).map(|word| word.to_ascii_lowercase());
    Ok(Newsletter {
        name: words(&thread["name"]["text"]).unwrap_or_default(),
        description: words(&thread["description"]["text"]),
        subscribers: number(&thread["subscribers_count"]),
        verified: small(&thread["verification"]).is_some_and(|word| word == "verified"),
        state: small(&value["state"]["type"]).unwrap_or_else(|| "active".into()),
        role: small(&viewer["role"]),
        muted: muted(viewer),
        creation: number(&thread["creation_time"]),
        link: words(&thread["invite"]).map(|code| format!("{LINK}{code}")),
        picture: words(&thread["picture"]["direct_path"]).or_else(|| words(&thread["preview"]["direct_path"])),
        id,
    })
}

/// A newsletter that a notification describes; as far as it reads.
pub(in crate::whatsapp) fn told(value: &Value) -> Option<Newsletter> {
    read(value).ok()
}

/// Older answers have one word for it, newer ones a list of settings.
fn muted(viewer: &Value) -> Option<bool> {
    let settings = viewer["settings"].as_array().into_iter().flatten();
    let setting = settings.into_iter().find(|setting| setting["type"] == "MUTE_FOLLOWER_ACTIVITY");
    let word = setting.map_or(&viewer["mute"], |setting| &setting["value"]);
    word.as_str().map(|word| word.eq_ignore_ascii_case("on"))
}

/// What was posted. The library's own request leaves out how often it was seen.
struct Posts {
    newsletter: Jid,
    count: u32,
    before: Option<u64>,
}

impl IqSpec for Posts {
    type Response = Vec<Post>;

    fn build_iq(&self) -> InfoQuery<'static> {
        let mut asked = NodeBuilder::new("messages").attr("count", self.count);
        if let Some(before) = self.before {
            asked = asked.attr("before", before);
        }
        InfoQuery::get(NEWSLETTER_XMLNS, self.newsletter.clone(), Some(NodeContent::Nodes(vec![asked.build()])))
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Self::Response, anyhow::Error> {
        let list = response.get_optional_child("messages").ok_or_else(|| anyhow::anyhow!("no posts in the answer"))?;
        let posts = list.children().unwrap_or_default().iter().filter(|node| node.tag.as_ref() == "message");
        Ok(posts.filter_map(post).collect())
    }
}

/// One without a number cannot be named, and is left out.
fn post(node: &NodeRef<'_>) -> Option<Post> {
    let text = |name: &str| node.get_attr(name).map(|value| value.as_str().into_owned());
    let number = |name: &str| text(name)?.parse::<u64>().ok();
    let plain = node.get_optional_child("plaintext").and_then(|part| match part.content.as_ref() {
        Some(NodeContentRef::Bytes(bytes)) => wa::Message::decode_from_slice(bytes).ok(),
        _ => None,
    });
    let (kind, content) = kind_and_fields(&plain.unwrap_or_default());
    let views = node.get_optional_child("views_count").and_then(|views| views.get_attr("count"));
    let counts = node.get_optional_child("reactions").and_then(|reactions| reactions.children()).unwrap_or_default();
    let reaction = |node: &NodeRef<'_>| {
        let emoji = node.get_attr("code")?.as_str().into_owned();
        let count = node.get_attr("count")?.as_str().parse().ok()?;
        (!emoji.is_empty()).then_some(ReactionCount { emoji, count })
    };
    Some(Post {
        server_id: number("server_id")?,
        message_id: text("id").filter(|id| !id.is_empty()),
        timestamp: number("t").unwrap_or(0),
        from_me: text("is_sender").is_some_and(|word| word == "true"),
        r#type: kind.to_owned(),
        content,
        views: views.and_then(|views| views.as_str().parse().ok()),
        reactions: counts.iter().filter_map(reaction).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newsletter_is_read_in_either_spelling() {
        let newsletter = |role: &str, viewer: Value| {
            let mut viewer = viewer;
            viewer["role"] = role.into();
            let thread = json!({
                "name": { "text": "Bakery" }, "description": { "text": "" }, "invite": "0029Va",
                "subscribers_count": "12", "creation_time": "1700000000", "verification": "VERIFIED",
                "picture": null, "preview": { "direct_path": "/m1/v/p" },
            });
            let id = "120363400000000001@newsletter";
            json!({ "id": id, "state": { "type": "ACTIVE" }, "thread_metadata": thread, "viewer_metadata": viewer })
        };
        let settings = json!({ "settings": [{ "type": "MUTE_FOLLOWER_ACTIVITY", "value": "ON" }], "mute": "OFF" });

        let (old, new) = (newsletter("subscriber", json!({ "mute": "ON" })), newsletter("SUBSCRIBER", settings));

        let expected = Newsletter {
            id: "120363400000000001@newsletter".into(),
            name: "Bakery".into(),
            description: None,
            subscribers: Some(12),
            verified: true,
            state: "active".into(),
            role: Some("subscriber".into()),
            muted: Some(true),
            creation: Some(1_700_000_000),
            link: Some("https://whatsapp.com/channel/0029Va".into()),
            picture: Some("/m1/v/p".into()),
        };
        assert_eq!(told(&old).as_ref(), Some(&expected));
        assert_eq!(told(&new).as_ref(), Some(&expected));
        assert_eq!(told(&json!({ "name": "no id" })), None);
    }

    #[test]
    fn posts_are_read_with_what_people_made_of_them() {
        let message = wa::Message { conversation: Some("we open at nine".into()), ..Default::default() };
        let plain = NodeBuilder::new("plaintext").bytes(message.encode_to_vec()).build();
        let reaction = NodeBuilder::new("reaction").attr("code", "👍").attr("count", "3").build();
        let reactions = NodeBuilder::new("reactions").children([reaction]).build();
        let views = NodeBuilder::new("views_count").attr("count", "40").build();
        let full = NodeBuilder::new("message")
            .attr("id", "3EB0AA")
            .attr("server_id", "107")
            .attr("t", "1700000000")
            .attr("is_sender", "true")
            .children([plain, views, reactions])
            .build();
        let bare = NodeBuilder::new("message").attr("server_id", "106").build();
        let unnamed = NodeBuilder::new("message").attr("id", "3EB0CC").build();
        let list = NodeBuilder::new("messages").children([full, bare, unnamed]).build();
        let asked = Posts { newsletter: Jid::newsletter("1"), count: 3, before: None };

        let posts = asked.parse_response(&NodeBuilder::new("iq").children([list]).build().as_node_ref());

        let posts = posts.expect("it reads");
        assert_eq!(posts.len(), 2);
        assert_eq!((posts[0].server_id, posts[0].message_id.as_deref(), posts[0].from_me), (107, Some("3EB0AA"), true));
        assert_eq!((posts[0].r#type.as_str(), &posts[0].content), ("text", &json!({ "text": "we open at nine" })));
        assert_eq!((posts[0].views, posts[0].reactions[0].count), (Some(40), 3));
        assert_eq!((posts[1].r#type.as_str(), posts[1].message_id.as_deref()), ("unsupported", None));
    }
}
