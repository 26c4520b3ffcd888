//! Messages with a file: an image, a film, a sound, a document or a sticker; and status posts with one.
//!
//! Wherever the file comes from, it is on disk before the request is answered; WhatsApp gets it when the message is sent.

use super::{acceptance, charged, idempotency_key, quoted_message_id, recipient_anywhere};
use crate::api::Api;
use crate::api::caller::{OwnDevice, Sends};
use crate::api::envelope::Bare;
use crate::api::error::ApiError;
use crate::api::fields::{Fields, content_type};
use crate::api::v1::account::missing::{POST_FILES, missing};
use crate::api::v1::media::form::Form;
use crate::api::v1::media::{here, no_media};
use crate::api::v1::status::{self, Recipients};
use crate::domain::allowance::SendKind;
use crate::domain::ids::{DeviceId, MediaId, TenantId};
use crate::domain::jid::ChatId;
use crate::domain::media::{self, CAPTION_CHARS_MAX, FILE_NAME_CHARS_MAX, MediaKind, settle_kind, settle_type};
use crate::domain::outgoing::{Content, MediaContent};
use crate::domain::status_post::StatusPost;
use crate::egress::EgressError;
use crate::media::{Claim, Draft};
use crate::outbound::accept::{AcceptError, Outgoing, Receipt, Taken};
use crate::store::MediaRow;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use utoipa::ToSchema;

/// Bytes of a file within JSON, which is held in memory several times; a larger one is 413, and comes as a form or an upload.
const BASE64_FILE_BYTES_MAX: usize = 16 << 20;
/// Bytes of such a body: base64 makes four of three, and the other fields need room.
const JSON_BYTES_MAX: usize = BASE64_FILE_BYTES_MAX / 3 * 4 + (1 << 20);
const MIME_CHARS_MAX: usize = 127;

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Fields` reads it")]
pub(in crate::api) struct SendMedia {
    /// A phone number in international form, with or without `+`, spaces and dashes; or a JID of a person or a group.
    #[schema(example = "6281234567890")]
    to: String,
    /// As what it is shown; left out, as its type asks for. Where the path names it, the path counts.
    #[schema(required = false)]
    media_type: MediaKind,
    /// Where the file is to be fetched from, now: it must answer 200, and redirects are not followed.
    #[schema(required = false, format = "uri")]
    media_url: String,
    /// The file in base64, also as a `data:` URL; at most 16 MiB.
    #[schema(required = false, min_length = 1)]
    media_buffer: String,
    /// A file that was uploaded, or that came with a message.
    #[schema(required = false)]
    media_id: MediaId,
    /// Left out, the type is told by the file's beginning.
    #[schema(required = false, min_length = 1, max_length = 127)]
    mime_type: String,
    /// Sounds and stickers show none.
    #[schema(required = false, max_length = 4096)]
    caption: String,
    #[schema(required = false, max_length = 255)]
    file_name: String,
    /// Shows a sound as a voice note: Opus in Ogg, for phones to play it.
    #[schema(required = false)]
    ptt: bool,
    /// For images, films and sounds.
    #[schema(required = false)]
    view_once: bool,
    /// A message of this chat, by our id or WhatsApp's. One that is not known is left out.
    #[schema(required = false, min_length = 1, max_length = 128)]
    quoted_message_id: String,
    /// As the header `Idempotency-Key`, which wins.
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// The same fields as parts of a form, with the file in place of where it is.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "the form of the body, for the API document; `Form` reads it")]
pub(in crate::api) struct SendMediaForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    #[schema(example = "6281234567890")]
    to: String,
    #[schema(required = false)]
    media_type: MediaKind,
    #[schema(required = false, min_length = 1, max_length = 127)]
    mime_type: String,
    #[schema(required = false, max_length = 4096)]
    caption: String,
    #[schema(required = false, max_length = 255)]
    file_name: String,
    #[schema(required = false)]
    ptt: bool,
    #[schema(required = false)]
    view_once: bool,
    #[schema(required = false, min_length = 1, max_length = 128)]
    quoted_message_id: String,
    #[schema(required = false, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

macro_rules! route {
    ($name:ident, $path:literal, $id:literal, $kind:expr, $title:literal, $about:literal) => {
        #[doc = $title]
        #[doc = ""]
        #[doc = $about]
        #[utoipa::path(post, path = $path, operation_id = $id, tag = "Messages",
                    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
                            description = "Makes a repeat of this request harmless; kept for 24 hours by default.")),
                    request_body(content((SendMedia = "application/json"), (SendMediaForm = "multipart/form-data"))),
                    responses((status = 200, body = Receipt), (status = 409, response = crate::api::openapi::Refusal),
                        (status = 501, response = crate::api::openapi::NotSupported)))]
        pub(in crate::api) async fn $name(
            State(api): State<Api>,
            device: OwnDevice<Sends>,
            headers: HeaderMap,
            request: Request,
        ) -> Bare<Receipt> {
            take(&api, &device, &headers, request, $kind, Shown::InChat).await
        }
    };
}

route!(
    send,
    "/devices/{device}/messages/media",
    "sendMedia",
    None,
    "Send a file",
    "Named by exactly one of `mediaUrl`, `mediaBuffer`, `mediaId`, or a form's part `file`. On disk when it is answered, \
     and so is the file. The type is told by the file's beginning; a file that is not what it is said to be, or not what \
     the message takes, is 415."
);
route!(
    image,
    "/devices/{device}/messages/image",
    "sendImage",
    Some(MediaKind::Image),
    "Send an image",
    "JPEG, PNG or WebP, at most 16 MiB; otherwise as `POST .../messages/media`."
);
route!(
    video,
    "/devices/{device}/messages/video",
    "sendVideo",
    Some(MediaKind::Video),
    "Send a film",
    "MP4, 3GPP or QuickTime, at most 100 MiB; otherwise as `POST .../messages/media`."
);
route!(
    audio,
    "/devices/{device}/messages/audio",
    "sendAudio",
    Some(MediaKind::Audio),
    "Send a sound",
    "At most 100 MiB; with `ptt` a voice note; otherwise as `POST .../messages/media`."
);
route!(
    document,
    "/devices/{device}/messages/document",
    "sendDocument",
    Some(MediaKind::Document),
    "Send a document",
    "Any file; otherwise as `POST .../messages/media`."
);
route!(
    sticker,
    "/devices/{device}/messages/sticker",
    "sendSticker",
    Some(MediaKind::Sticker),
    "Send a sticker",
    "WebP, 512 by 512 pixels for phones to show it well, at most 1 MiB; otherwise as `POST .../messages/media`."
);

/// Where the file is.
enum Source {
    Url(Url),
    Bytes(Bytes),
    Id(MediaId),
    Brought(Box<Draft>, Claim),
}

/// Where the file is to be seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::api::v1) enum Shown {
    InChat,
    AsStatus,
}

/// What was asked for.
struct Asked {
    chat: ChatId,
    /// Of a status post.
    recipients: Option<Recipients>,
    kind: Option<MediaKind>,
    mime: Option<String>,
    caption: Option<String>,
    file_name: Option<String>,
    ptt: bool,
    view_once: bool,
    quoted_message_id: Option<String>,
    idempotency_key: Option<String>,
}

pub(in crate::api::v1) async fn take(
    api: &Api,
    device: &OwnDevice<Sends>,
    headers: &HeaderMap,
    request: Request,
    kind: Option<MediaKind>,
    shown: Shown,
) -> Bare<Receipt> {
    let (asked, source) = read(api, device, headers, request, kind, shown).await?;
    let window = if shown == Shown::AsStatus { SendKind::Status } else { SendKind::Media };
    charged(api, device, window, taken(api, device, asked, source)).await
}

async fn read(
    api: &Api,
    device: &OwnDevice<Sends>,
    headers: &HeaderMap,
    request: Request,
    kind: Option<MediaKind>,
    shown: Shown,
) -> Result<(Asked, Source), ApiError> {
    let (mut fields, file) = match content_type(&request) {
        Some(type_) if type_.starts_with("multipart/") => {
            let form = Form::read(api, device, request).await?;
            (form.fields, form.file)
        }
        _ => (json_body(api, headers, request).await?, None),
    };
    let (to, recipients) = match shown {
        Shown::InChat => (recipient_anywhere(&mut fields), None),
        Shown::AsStatus => (Some(ChatId::status()), Some(Recipients::read(&mut fields))),
    };
    let unknown = "must be image, video, audio, document or sticker";
    let named = fields.parsed("mediaType", false, |text| MediaKind::parse(text).ok_or(unknown));
    let kind = kind.or(named);
    let mut mime = fields.text("mimeType", 1..=MIME_CHARS_MAX, false);
    let caption = fields.text("caption", 0..=CAPTION_CHARS_MAX, false).filter(|caption| !caption.is_empty());
    let file_name = fields.text("fileName", 0..=FILE_NAME_CHARS_MAX, false).as_deref().and_then(media::file_name);
    let (ptt, view_once, quoted_message_id) = match shown {
        Shown::InChat => (fields.flag("ptt"), fields.flag("viewOnce"), quoted_message_id(&mut fields)),
        Shown::AsStatus => (None, None, None),
    };
    let (ptt, view_once) = (ptt.unwrap_or(false), view_once.unwrap_or(false));
    let idempotency_key = idempotency_key(headers, &mut fields);
    let named = ["mediaUrl", "mediaBuffer", "mediaId"].iter().filter(|field| fields.has(field)).count();
    if named + usize::from(file.is_some()) != 1 {
        fields.wrong("media", "give exactly one of mediaUrl, mediaBuffer, mediaId, or the part file of a form");
    }
    let url = fields.parsed("mediaUrl", false, |text| api.egress.check_url(text)).map(Source::Url);
    let id = fields.parsed("mediaId", false, MediaId::parse).map(Source::Id);
    let buffer = fields.taken("mediaBuffer").map(|text| decoded(&text)).transpose().unwrap_or_else(|why| {
        fields.wrong("mediaBuffer", why);
        None
    });
    let bytes = buffer.map(|(bytes, type_)| {
        mime = mime.take().or(type_);
        Source::Bytes(bytes)
    });
    let brought = file.map(|(draft, claim)| Source::Brought(Box::new(draft), claim));
    let source = [url, id, bytes, brought].into_iter().flatten().next();
    fields.finish()?;
    let (Some(chat), Some(source)) = (to, source) else { return Err(ApiError::field("body", "is incomplete")) };
    if chat.is_newsletter() {
        return Err(missing(&POST_FILES));
    }
    let asked =
        Asked { chat, recipients, kind, mime, caption, file_name, ptt, view_once, quoted_message_id, idempotency_key };
    Ok((asked, source))
}

/// A body that may carry a file. Those that are larger than other bodies may be are read in turn.
async fn json_body(api: &Api, headers: &HeaderMap, request: Request) -> Result<Fields, ApiError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let _place = match length {
        Some(length) if length <= api.settings.body_bytes_max => None,
        _ => {
            let busy = |_| ApiError::Overloaded("other files are being read; try again, or bring the file as a form");
            Some(api.large_bodies.clone().try_acquire_owned().map_err(busy)?)
        }
    };
    Fields::read(request, JSON_BYTES_MAX.max(api.settings.body_bytes_max)).await
}

/// The bytes, and the type that a `data:` URL gives with them.
fn decoded(text: &str) -> Result<(Bytes, Option<String>), String> {
    let (data, mime) = match text.strip_prefix("data:") {
        None => (text, None),
        Some(url) => {
            let (head, data) = url.split_once(',').ok_or("is a data: URL without a comma")?;
            let mime = head.strip_suffix(";base64").ok_or("must be base64 when it is a data: URL")?;
            (data, Some(mime.to_owned()).filter(|mime| !mime.is_empty()))
        }
    };
    // Some encoders break lines.
    let plain: String;
    let data = if data.contains(char::is_whitespace) {
        plain = data.split_whitespace().collect();
        &plain
    } else {
        data
    };
    let bytes = BASE64.decode(data).map_err(|_| "must be base64")?;
    match bytes.len() {
        0 => Err("is empty".to_owned()),
        length if length > BASE64_FILE_BYTES_MAX => {
            Err(format!("has more than {BASE64_FILE_BYTES_MAX} bytes; bring the file as a form or upload it"))
        }
        _ => Ok((bytes.into(), mime)),
    }
}

async fn taken(api: &Api, device: &OwnDevice<Sends>, asked: Asked, source: Source) -> Result<Taken, ApiError> {
    let acceptance = acceptance(api, device);
    let mut fingerprint = asked.fingerprint(&source);
    let known_by_now = !matches!(source, Source::Brought(..));
    if let Some(key) = asked.idempotency_key.as_deref().filter(|_| known_by_now)
        && let Some(earlier) = acceptance.earlier(Some(key), &fingerprint).await?
    {
        return Ok(earlier);
    }
    if known_by_now && !device.row.linked {
        return Err(AcceptError::NotLinked.into());
    }
    let audience = match &asked.recipients {
        Some(recipients) => Some(status::audience(api, device, recipients).await?),
        None => None,
    };
    let is_new = !matches!(source, Source::Id(_));
    let row = kept(api, device, &asked, source).await?;
    if !known_by_now {
        fingerprint["file"] = json!(hex::encode(row.sha256.as_deref().unwrap_or_default()));
    }
    let accepted = match asked.content(&row) {
        Ok(content) => {
            let content = match audience {
                Some(audience) => {
                    let shown = Box::new(content);
                    Content::Status(StatusPost { shown, background: None, font: None, audience })
                }
                None => content,
            };
            let Asked { chat, idempotency_key, .. } = asked;
            let outgoing = Outgoing { chat, content, idempotency_key };
            acceptance.accept_as(&fingerprint, outgoing).await.map_err(ApiError::from)
        }
        Err(error) => Err(error),
    };
    // Nobody but this request knows of the file.
    let unused = is_new && !accepted.as_ref().is_ok_and(|taken| taken.is_new);
    if unused && let Err(error) = api.media.delete(&device.tenant.id, &row.id).await {
        tracing::warn!(media = %row.id, %error, "a file that no message uses is kept until its time is over");
    }
    accepted
}

/// The file, here.
async fn kept(api: &Api, device: &OwnDevice<Sends>, asked: &Asked, source: Source) -> Result<MediaRow, ApiError> {
    let tenant = &device.tenant.id;
    let said = |claim: Claim| Claim {
        mime: asked.mime.clone().or(claim.mime),
        file_name: asked.file_name.clone().or(claim.file_name),
        kind: asked.kind,
        lenient: claim.lenient && asked.mime.is_none(),
        ..claim
    };
    let (draft, claim) = match source {
        Source::Id(id) => {
            let row = api.store.media(tenant, &id).await.map_err(no_media)?;
            return here(api, tenant, row).await;
        }
        Source::Brought(draft, claim) => (*draft, claim),
        Source::Bytes(bytes) => {
            let mut draft = api.media.draft(tenant, device.id()).await?;
            draft.write(bytes).await?;
            (draft, Claim::default())
        }
        Source::Url(url) => fetched(api, tenant, device.id(), &url).await?,
    };
    Ok(draft.keep(said(claim)).await?)
}

/// Fetches the file behind `mediaUrl`, in bounded time; its row will name this device.
pub(in crate::api::v1) async fn fetched(
    api: &Api,
    tenant: &TenantId,
    device: &DeviceId,
    url: &Url,
) -> Result<(Draft, Claim), ApiError> {
    let time = api.media.settings().fetch_timeout;
    let fetched = tokio::time::timeout(time, opened(api, tenant, device, url)).await;
    fetched.map_err(|_| ApiError::UpstreamTimeout("the file behind mediaUrl did not come in time"))?
}

/// Through the same guard as webhooks pass.
async fn opened(api: &Api, tenant: &TenantId, device: &DeviceId, url: &Url) -> Result<(Draft, Claim), ApiError> {
    let refused = |error: EgressError| match error {
        EgressError::Timeout => ApiError::UpstreamTimeout("the file behind mediaUrl did not come in time"),
        other => ApiError::field("mediaUrl", format!("could not be fetched: {other}")),
    };
    let mut answer = api.egress.open(url).await.map_err(refused)?;
    if answer.status() != 200 {
        let why = format!("answered {}; it must answer 200, and redirects are not followed", answer.status());
        return Err(ApiError::field("mediaUrl", why));
    }
    let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let announced = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > api.media.settings().file_bytes_max) {
        return Err(ApiError::PayloadTooLarge);
    }
    // A server's word for a type is often a guess, so that what the file shows wins over it.
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).filter(|name| name.contains('.'));
    let claim = Claim {
        mime: text(CONTENT_TYPE).map(str::to_owned),
        file_name: last.map(str::to_owned),
        lenient: true,
        ..Claim::default()
    };
    let mut draft = api.media.draft(tenant, device).await?;
    while let Some(piece) = answer.piece().await.map_err(refused)? {
        draft.write(piece).await?;
    }
    Ok((draft, claim))
}

impl Asked {
    /// What makes two requests the same. A file that is brought is added when its hash is known.
    fn fingerprint(&self, source: &Source) -> Value {
        let source = match source {
            Source::Url(url) => json!({ "url": url }),
            Source::Bytes(bytes) => json!({ "sha256": hex::encode(Sha256::digest(bytes)) }),
            Source::Id(id) => json!({ "id": id }),
            Source::Brought(..) => Value::Null,
        };
        let mut fingerprint = json!({
            "chat": self.chat,
            "kind": self.kind,
            "mime": self.mime,
            "caption": self.caption,
            "fileName": self.file_name,
            "ptt": self.ptt,
            "viewOnce": self.view_once,
            "quoted": self.quoted_message_id,
            "source": source,
        });
        if let Some(recipients) = &self.recipients {
            fingerprint["recipients"] = json!(recipients.named());
        }
        fingerprint
    }

    fn content(&self, row: &MediaRow) -> Result<Content, ApiError> {
        let said = self.mime.as_deref().map(|mime| settle_type(Some(mime), Some(&row.mime))).transpose();
        let mime = said.map_err(ApiError::WrongMedia)?.unwrap_or_else(|| row.mime.clone());
        let kind = settle_kind(self.kind, &mime).map_err(ApiError::WrongMedia)?;
        if row.size > kind.bytes_max() {
            return Err(ApiError::PayloadTooLarge);
        }
        if self.ptt && kind != MediaKind::Audio {
            return Err(ApiError::field("ptt", format!("is for audio, and this is sent as {}", kind.as_str())));
        }
        if self.view_once && !matches!(kind, MediaKind::Image | MediaKind::Video | MediaKind::Audio) {
            let why = format!("is for images, films and sounds, and this is sent as {}", kind.as_str());
            return Err(ApiError::field("viewOnce", why));
        }
        let shows_caption = !matches!(kind, MediaKind::Audio | MediaKind::Sticker);
        // Phones play a voice note only when they are told its codec.
        let is_bare_ogg = kind == MediaKind::Audio && mime == "audio/ogg";
        let mime = if is_bare_ogg { "audio/ogg; codecs=opus".to_owned() } else { mime };
        Ok(Content::Media(MediaContent {
            media_id: row.id.clone(),
            kind,
            mime_type: (mime != row.mime).then_some(mime),
            file_name: self.file_name.clone(),
            caption: self.caption.clone().filter(|_| shows_caption),
            ptt: self.ptt,
            view_once: self.view_once,
            quoted_message_id: self.quoted_message_id.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_the_forms_in_which_clients_write_it() {
        for text in ["aGVsbG8=", "aGVsbG8", "aGVs\r\nbG8=", "data:text/plain;base64,aGVsbG8="] {
            assert_eq!(decoded(text).map(|(bytes, _)| bytes).as_deref(), Ok(&b"hello"[..]), "{text}");
        }
        let (_, mime) = decoded("data:text/plain;charset=utf-8;base64,aGVsbG8=").expect("reads");
        assert_eq!(mime.as_deref(), Some("text/plain;charset=utf-8"));
        for text in ["", "data:text/plain,hello", "data:;base64", "no base64!"] {
            assert!(decoded(text).is_err(), "{text}");
        }
    }
}
