//! Images and films.

use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::v1::messages::media::{Shown, take};
use crate::domain::ids::MediaId;
use crate::domain::media::MediaKind;
use crate::outbound::accept::Receipt;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct PostMedia {
    /// Where the file is to be fetched from, now: it must answer 200, and redirects are not followed.
    #[schema(required = false, format = "uri")]
    media_url: String,
    /// The file in base64, also as a `data:` URL; at most 16 MiB.
    #[schema(required = false)]
    media_buffer: String,
    /// A file that was uploaded, or that came with a message.
    #[schema(required = false)]
    media_id: MediaId,
    /// Left out, the type is told by the file's beginning.
    #[schema(required = false, max_length = 127)]
    mime_type: String,
    #[schema(required = false, max_length = 4096)]
    caption: String,
    /// Phone numbers or JIDs of people. Left out: those of the account's address book, as its phone shares it, when they are
    /// at most 1,000.
    #[schema(required = false, min_items = 1, max_items = 1000, example = json!(["6281234567890"]))]
    recipients: Vec<String>,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// The same fields as parts of a form, with the file in place of where it is.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Form` reads it")]
pub(in crate::api) struct PostMediaForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    #[schema(required = false, max_length = 127)]
    mime_type: String,
    #[schema(required = false, max_length = 4096)]
    caption: String,
    /// With commas between them.
    #[schema(required = false)]
    recipients: String,
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

macro_rules! route {
    ($name:ident, $path:literal, $id:literal, $kind:expr, $title:literal, $about:literal) => {
        #[doc = $title]
        #[doc = ""]
        #[doc = $about]
        #[utoipa::path(post, path = $path, operation_id = $id, tag = "Status",
                    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
                            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
                    request_body(content((PostMedia = "application/json"), (PostMediaForm = "multipart/form-data"))),
                    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal)))]
        pub(in crate::api) async fn $name(
            State(api): State<Api>,
            device: OwnDevice<Sends>,
            headers: HeaderMap,
            request: Request,
        ) -> Bare<Receipt> {
            take(&api, &device, &headers, request, Some($kind), Shown::AsStatus).await
        }
    };
}

route!(
    image,
    "/devices/{device}/status/image",
    "postStatusImage",
    MediaKind::Image,
    "Post an image to the status",
    "JPEG, PNG or WebP, at most 16 MiB, brought as `POST .../messages/image` takes it; otherwise as `POST .../status/text`."
);
route!(
    video,
    "/devices/{device}/status/video",
    "postStatusVideo",
    MediaKind::Video,
    "Post a film to the status",
    "MP4, 3GPP or QuickTime, at most 100 MiB. Phones cut their own to a minute or so; what is longer is sent as it is. \
     Otherwise as `POST .../status/image`."
);
