//! What is posted in a newsletter: read as WhatsApp has it, and reacted to. Posting, editing and deleting are messages.

use super::named;
use crate::api::Api;
use crate::api::caller::{OwnDevice, Reads, Sends};
use crate::api::envelope::{Answer, Done, Envelope, done, enveloped};
use crate::api::error::ApiError;
use crate::api::extract::{Path, Query};
use crate::api::fields::Fields;
use crate::api::v1::limit;
use crate::domain::allowance::SendKind;
use crate::domain::outgoing::EMOJI_CHARS_MAX;
use crate::limits::Key;
use crate::whatsapp::Post;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Posts on a page; WhatsApp gives about as many.
const LIMIT_MAX: u32 = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct PostPage {
    /// 1 to 100; 50 when left out. WhatsApp gives about as many.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// Only what was posted before this one: a `serverId`, such as `nextBefore` of the page before.
    #[param(value_type = Option<u64>, minimum = 1)]
    before: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct NewsletterPosts {
    posts: Vec<Post>,
    count: usize,
    /// For the next page, which may have no posts: then it is null, and that was all.
    next_before: Option<u64>,
}

/// What was posted in a newsletter
///
/// As WhatsApp has it now, newest first, with reactions and views; also from before the account followed it.
#[utoipa::path(get, path = "/devices/{device}/newsletters/{newsletter}/messages", operation_id = "listNewsletterPosts",
    tag = "Newsletters", params(PostPage),
    responses((status = 200, body = Envelope<NewsletterPosts>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn list(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, newsletter)): Path<(String, String)>,
    Query(page): Query<PostPage>,
) -> Answer<NewsletterPosts> {
    let newsletter = named(&newsletter)?;
    let before = page.before.as_deref().map(server_id).transpose();
    let before = before.map_err(|why| ApiError::field("before", why));
    let (limit, before) = ApiError::both(limit(page.limit.as_deref(), LIMIT_MAX), before)?;
    let posts = device.account(&api)?.newsletter_posts(&newsletter, limit, before).await?;
    let next_before = posts.last().map(|post| post.server_id);
    Ok(enveloped(NewsletterPosts { count: posts.len(), next_before, posts }))
}

fn server_id(text: &str) -> Result<u64, &'static str> {
    // What clients with signed numbers can say, and the API document does.
    let id = text.parse().ok().filter(|id| (1..=i64::MAX.unsigned_abs()).contains(id));
    id.ok_or("must be the serverId of a post, a whole number from 1")
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct PostReaction {
    /// An empty one takes the reaction back.
    #[schema(max_length = 32, example = "👍")]
    emoji: String,
}

/// React to a post
///
/// By its `serverId`. A live request, unlike a reaction to a message: done when WhatsApp says so.
#[utoipa::path(post, path = "/devices/{device}/newsletters/{newsletter}/messages/{post}/reaction",
    operation_id = "reactInNewsletter", tag = "Newsletters", request_body = PostReaction,
    responses((status = 200, body = Envelope<Done>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn react(
    State(api): State<Api>,
    device: OwnDevice<Sends>,
    Path((_, newsletter, post)): Path<(String, String, String)>,
    mut fields: Fields,
) -> Answer<Done> {
    let newsletter = named(&newsletter)?;
    let post = server_id(&post).map_err(|_| ApiError::NotFound("post"))?;
    let emoji = fields.text("emoji", 0..=EMOJI_CHARS_MAX, true);
    fields.finish()?;
    let account = device.account(&api)?;
    api.limits.charge_own(&Key::Sent(SendKind::Reaction, device.id().clone()), &device.tenant.allowance)?;
    account.react_in_newsletter(&newsletter, post, &emoji.unwrap_or_default()).await?;
    Ok(done("whatsapp has the reaction"))
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct LiveUpdates {
    /// Ask again before then.
    seconds: u64,
}

/// Be told of reactions as they come
///
/// For some minutes, as `newsletter.reactions`; WhatsApp says how many.
#[utoipa::path(post, path = "/devices/{device}/newsletters/{newsletter}/live-updates",
    operation_id = "watchNewsletter", tag = "Newsletters",
    responses((status = 200, body = Envelope<LiveUpdates>), (status = 409, response = crate::api::openapi::Refusal)))]
pub(in crate::api) async fn watch(
    State(api): State<Api>,
    device: OwnDevice<Reads>,
    Path((_, newsletter)): Path<(String, String)>,
) -> Answer<LiveUpdates> {
    let newsletter = named(&newsletter)?;
    Ok(enveloped(LiveUpdates { seconds: device.account(&api)?.watch_newsletter(&newsletter).await? }))
}
