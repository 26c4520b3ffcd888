//! Files on their way to WhatsApp and from there. Both ways are streams: memory does not grow with a file.
//!
//! Out: the file is encrypted as WhatsApp wants it into a file of its own below the media folder, uploaded from there, and
//! where it lies is remembered, so that a repeat after a crash, and the same file for somebody else, uploads nothing.
//! In: what a message says of its file is taken out of the message before that is stored, and kept sealed with the file's row.

use super::device::Environment;
use super::wrappers::inside_mut;
use crate::domain::ids::{DeviceId, MediaId, TenantId};
use crate::domain::media::{Dimensions, MediaKind, RemoteMedia, UploadedMedia, settle_kind};
use crate::domain::outgoing::{MediaContent, Outcome};
use crate::media::{Draft, KeepError, Media, SealedWriter};
use crate::store::{MediaRow, MediaState, NewRemoteMedia, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use buffa::MessageField;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use wacore::download::{DownloadWriter, MediaType};
use wacore::upload::{UploadSource, encrypt_media_streaming};
use wacore_binary::Jid;
use waproto::whatsapp as wa;
use whatsapp_rust::client::Client;
use whatsapp_rust::download::DownloadParams;
use whatsapp_rust::features::{MediaRetryResult, MediaReuploadRequest};

/// Files of one device that are made ready and uploaded at once; one more waits.
const UPLOADS_AT_ONCE_MAX: usize = 4;
/// How long an upload is used again. WhatsApp keeps files longer; its own clients forward what is older by uploading anew.
const UPLOAD_USED_MS_MAX: i64 = 12 * 3_600_000;
/// For making a file ready and uploading it; then the message is tried again.
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(600);
/// For one try to fetch a file, without the time its phone may take to give it again.
const DOWNLOAD_TIME_MAX: Duration = Duration::from_secs(600);

/// Why a received file did not come.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("whatsapp has the file no more, and its phone does not give it again")]
    Expired,
    #[error("what came is not what the message describes")]
    Corrupt,
    #[error("the file is larger than the gateway takes")]
    TooLarge,
    /// Worth another try.
    #[error("the file did not come: {0}")]
    Unreachable(String),
    #[error(transparent)]
    Keep(KeepError),
}

/// What one connection sends files with.
#[derive(Clone)]
pub(super) struct Files {
    media: Media,
    metrics: Arc<Metrics>,
    store: Store,
    tenant: TenantId,
    device: DeviceId,
    places: Arc<Semaphore>,
}

impl Files {
    pub(super) fn new(env: &Environment) -> Self {
        Self {
            media: env.media.clone(),
            metrics: env.metrics.clone(),
            store: env.store.clone(),
            tenant: env.tenant.clone(),
            device: env.device.clone(),
            places: Arc::new(Semaphore::new(UPLOADS_AT_ONCE_MAX)),
        }
    }

    /// The message that shows this file, which is at WhatsApp when this returns; or how the try ended.
    pub(super) async fn attach(
        &self,
        client: &Client,
        content: &MediaContent,
        context: Option<wa::ContextInfo>,
    ) -> Result<wa::Message, Outcome> {
        let row = match self.store.media(&self.tenant, &content.media_id).await {
            Ok(row) if row.state == MediaState::Stored => row,
            Ok(_) | Err(StoreError::NotFound) => {
                return Err(Outcome::Impossible { detail: "the media of this message is not there any more".into() });
            }
            Err(error) => return Err(Outcome::Unknown { detail: format!("the media could not be read: {error}") }),
        };
        // The API looks before it accepts; what a plugin sends is looked at here.
        let mime = content.mime_type.as_deref().unwrap_or(&row.mime);
        if let Err(why) = settle_kind(Some(content.kind), mime) {
            return Err(Outcome::Impossible { detail: why.to_string() });
        }
        let bytes_max = content.kind.bytes_max();
        if row.size > bytes_max {
            let detail = format!("the media has {} bytes, and {} takes {bytes_max}", row.size, content.kind.as_str());
            return Err(Outcome::Impossible { detail });
        }
        let began = Instant::now();
        let uploaded = tokio::time::timeout(UPLOAD_TIME_MAX, self.uploaded(client, &row, content.kind)).await;
        let uploaded = uploaded.unwrap_or_else(|_| Err(anyhow::anyhow!("it took too long")));
        let outcome = if uploaded.is_ok() { "done" } else { "failed" };
        self.metrics.media_transfer("upload", outcome, began.elapsed());
        match uploaded {
            Ok(uploaded) => Ok(shown(content, &row, &uploaded, context)),
            Err(error) => Err(Outcome::Unknown { detail: format!("the media was not uploaded: {error}") }),
        }
    }

    async fn uploaded(&self, client: &Client, row: &MediaRow, kind: MediaKind) -> anyhow::Result<UploadedMedia> {
        let after = self.store.clock().now_ms() - UPLOAD_USED_MS_MAX;
        if let Some(known) = self.store.media_upload(&self.device, &row.id, kind, after).await? {
            return Ok(known);
        }
        let _place = self.places.acquire().await?;
        let mut reader = self.media.reader(&self.tenant, &row.id).await?;
        let staged = Staged(self.media.staging_file());
        let (info, length, staged) = tokio::task::spawn_blocking(move || {
            let file = File::create_new(&staged.0)?;
            let info = encrypt_media_streaming(&mut reader, io::BufWriter::new(&file), type_of(kind))?;
            anyhow::Ok((info, file.metadata()?.len(), staged))
        })
        .await??;
        let done = client.upload_stream(StagedSource { file: Arc::new(staged), length }, info, type_of(kind)).await?;
        let uploaded = UploadedMedia {
            url: done.url,
            direct_path: done.direct_path,
            key: done.media_key.to_vec(),
            sha256: done.file_sha256.to_vec(),
            sealed_sha256: done.file_enc_sha256.to_vec(),
            size: done.file_length,
            key_at: done.media_key_timestamp,
            sidecar: done.streaming_sidecar,
        };
        self.store.remember_upload(&self.device, &row.id, kind, &uploaded).await?;
        Ok(uploaded)
    }
}

/// Fetches a received file into its place, asking its phone for it again when WhatsApp has it no more.
pub(super) async fn download(client: &Client, remote: &RemoteMedia, draft: &mut Draft) -> Result<(), DownloadError> {
    let writer = draft.take_writer().map_err(DownloadError::Keep)?;
    let writer = match fetch(client, remote, &remote.direct_path, writer).await {
        Err(Missed::Gone) => {
            let path = reuploaded(client, remote).await?;
            draft.reopen().await.map_err(DownloadError::Keep)?;
            let writer = draft.take_writer().map_err(DownloadError::Keep)?;
            fetch(client, remote, &path, writer).await.map_err(Missed::end)?
        }
        other => other.map_err(Missed::end)?,
    };
    draft.put_back(writer);
    Ok(())
}

enum Missed {
    /// WhatsApp does not know the path any more.
    Gone,
    Ended(DownloadError),
}

impl Missed {
    fn end(self) -> DownloadError {
        match self {
            Self::Gone => DownloadError::Expired,
            Self::Ended(error) => error,
        }
    }
}

async fn fetch(
    client: &Client,
    remote: &RemoteMedia,
    path: &str,
    writer: SealedWriter,
) -> Result<SealedWriter, Missed> {
    // Here alone: errors that are derived meet a method of the same name elsewhere.
    use whatsapp_rust::ErrorChainExt;
    let type_ = type_of(remote.kind);
    let params =
        DownloadParams::encrypted(path, &remote.key, &remote.sha256, &remote.sealed_sha256, remote.size, type_);
    let fetching = client.download_from_params_to_writer(&params, Target(writer));
    let fetched = tokio::time::timeout(DOWNLOAD_TIME_MAX, fetching).await;
    let error = match fetched {
        Ok(Ok(Target(writer))) => return Ok(writer),
        Ok(Err(error)) => error,
        Err(_) => return Err(Missed::Ended(DownloadError::Unreachable("it took too long".into()))),
    };
    let refused: &(dyn std::error::Error + 'static) = error.as_ref();
    if matches!(refused.http_status(), Some(403 | 404 | 410)) {
        return Err(Missed::Gone);
    }
    let cause = |kind: io::ErrorKind| {
        error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| error.kind() == kind)
    };
    let corrupt = error.chain().any(|cause| cause.is::<wacore::download::MediaDecryptionError>());
    Err(Missed::Ended(if cause(io::ErrorKind::FileTooLarge) {
        DownloadError::TooLarge
    } else if corrupt {
        DownloadError::Corrupt
    } else {
        DownloadError::Unreachable(error.to_string())
    }))
}

/// Where the phone that has the file put it again.
async fn reuploaded(client: &Client, remote: &RemoteMedia) -> Result<String, DownloadError> {
    let jid = |text: &str| text.parse::<Jid>().map_err(|_| DownloadError::Expired);
    let (chat, sender) = (jid(&remote.chat)?, jid(&remote.sender)?);
    let request = MediaReuploadRequest {
        msg_id: &remote.wa_id,
        chat_jid: &chat,
        media_key: &remote.key,
        is_from_me: remote.from_me,
        participant: remote.is_group.then_some(&sender),
    };
    match client.media_reupload().request(&request).await {
        Ok(MediaRetryResult::Success { direct_path }) => Ok(direct_path),
        Ok(MediaRetryResult::NotFound | MediaRetryResult::GeneralError | MediaRetryResult::DecryptionError) => {
            Err(DownloadError::Expired)
        }
        Err(error) => Err(DownloadError::Unreachable(format!("the phone was asked for it again: {error}"))),
    }
}

fn type_of(kind: MediaKind) -> MediaType {
    match kind {
        MediaKind::Image => MediaType::Image,
        MediaKind::Video => MediaType::Video,
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Document => MediaType::Document,
        MediaKind::Sticker => MediaType::Sticker,
    }
}

/// The library rewinds what it writes to, before it begins and when it is done; a sealed file only begins anew.
struct Target(SealedWriter);

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Target {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if to == SeekFrom::Start(0) { Ok(0) } else { Err(io::ErrorKind::Unsupported.into()) }
    }
}

impl DownloadWriter for Target {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if length == 0 { self.0.restart() } else { Err(io::ErrorKind::Unsupported.into()) }
    }
}

/// An encrypted file that is about to be uploaded; gone when it is dropped.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, "a file made ready for an upload is still there; the next start removes it");
        }
    }
}

struct StagedSource {
    file: Arc<Staged>,
    length: u64,
}

impl UploadSource for StagedSource {
    fn len(&self) -> u64 {
        self.length
    }

    fn reader_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.file.0)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

fn shown(
    content: &MediaContent,
    row: &MediaRow,
    uploaded: &UploadedMedia,
    context: Option<wa::ContextInfo>,
) -> wa::Message {
    let mime = content.mime_type.clone().unwrap_or_else(|| row.mime.clone());
    let (url, direct_path) = (Some(uploaded.url.clone()), Some(uploaded.direct_path.clone()));
    let (media_key, media_key_timestamp) = (Some(uploaded.key.clone()), Some(uploaded.key_at));
    let (file_sha256, file_enc_sha256) = (Some(uploaded.sha256.clone()), Some(uploaded.sealed_sha256.clone()));
    let (file_length, mimetype) = (Some(uploaded.size), Some(mime));
    let Dimensions { width, height, seconds } = row.dimensions;
    let caption = content.caption.clone();
    let view_once = content.view_once.then_some(true);
    let context_info = context.map_or_else(MessageField::none, MessageField::some);
    let streaming_sidecar = uploaded.sidecar.clone();
    let mut message = wa::Message::default();
    match content.kind {
        MediaKind::Image => {
            message.image_message = MessageField::some(wa::message::ImageMessage {
                url,
                mimetype,
                caption,
                file_sha256,
                file_length,
                height,
                width,
                media_key,
                file_enc_sha256,
                direct_path,
                media_key_timestamp,
                context_info,
                view_once,
                ..Default::default()
            });
        }
        MediaKind::Video => {
            message.video_message = MessageField::some(wa::message::VideoMessage {
                url,
                mimetype,
                caption,
                file_sha256,
                file_length,
                seconds,
                media_key,
                file_enc_sha256,
                direct_path,
                media_key_timestamp,
                context_info,
                streaming_sidecar,
                view_once,
                ..Default::default()
            });
        }
        MediaKind::Audio => {
            message.audio_message = MessageField::some(wa::message::AudioMessage {
                url,
                mimetype,
                file_sha256,
                file_length,
                seconds,
                ptt: Some(content.ptt),
                media_key,
                file_enc_sha256,
                direct_path,
                media_key_timestamp,
                context_info,
                streaming_sidecar,
                view_once,
                ..Default::default()
            });
        }
        MediaKind::Sticker => {
            message.sticker_message = MessageField::some(wa::message::StickerMessage {
                url,
                mimetype,
                file_sha256,
                file_length,
                height,
                width,
                media_key,
                file_enc_sha256,
                direct_path,
                media_key_timestamp,
                context_info,
                ..Default::default()
            });
        }
        MediaKind::Document => {
            let file_name = content.file_name.clone().or_else(|| row.file_name.clone());
            message.document_message = MessageField::some(wa::message::DocumentMessage {
                url,
                mimetype,
                title: file_name.clone(),
                file_name,
                caption,
                file_sha256,
                file_length,
                media_key,
                file_enc_sha256,
                direct_path,
                media_key_timestamp,
                context_info,
                ..Default::default()
            });
            if content.caption.is_some() {
                let document_with_caption_message = within(message);
                message = wa::Message { document_with_caption_message, ..Default::default() };
            }
        }
    }
    if content.view_once && matches!(content.kind, MediaKind::Image | MediaKind::Video | MediaKind::Audio) {
        message = wa::Message { view_once_message: within(message), ..Default::default() };
    }
    message
}

fn within(message: wa::Message) -> MessageField<wa::message::FutureProofMessage> {
    MessageField::some(wa::message::FutureProofMessage { message: MessageField::some(message) })
}

/// What a stored or quoted message shows of a file that was sent: enough for a phone to name it.
pub(super) fn preview(content: &MediaContent) -> wa::Message {
    let (mimetype, caption) = (content.mime_type.clone(), content.caption.clone());
    let mut message = wa::Message::default();
    match content.kind {
        MediaKind::Image => {
            let image = wa::message::ImageMessage { mimetype, caption, ..Default::default() };
            message.image_message = MessageField::some(image);
        }
        MediaKind::Video => {
            let video = wa::message::VideoMessage { mimetype, caption, ..Default::default() };
            message.video_message = MessageField::some(video);
        }
        MediaKind::Audio => {
            let audio = wa::message::AudioMessage { mimetype, ptt: Some(content.ptt), ..Default::default() };
            message.audio_message = MessageField::some(audio);
        }
        MediaKind::Document => {
            let file_name = content.file_name.clone();
            let document = wa::message::DocumentMessage { mimetype, caption, file_name, ..Default::default() };
            message.document_message = MessageField::some(document);
        }
        MediaKind::Sticker => {
            let sticker = wa::message::StickerMessage { mimetype, ..Default::default() };
            message.sticker_message = MessageField::some(sticker);
        }
    }
    message
}

/// From whom a message came, as far as asking for its file again needs it.
pub(super) struct Origin {
    pub(super) chat: String,
    pub(super) sender: String,
    pub(super) wa_id: String,
    pub(super) from_me: bool,
    pub(super) is_group: bool,
}

/// Takes what opens a message's file out of the message. `None` when it carries no file that could be fetched; what would
/// open it is taken out all the same.
pub(super) fn take_file(message: &mut wa::Message, origin: impl FnOnce() -> Origin) -> Option<NewRemoteMedia> {
    macro_rules! taken {
        ($part:expr, $kind:expr, $file_name:expr, $dimensions:expr) => {{
            let part = $part;
            let key = part.media_key.take();
            let (direct_path, url) = (part.direct_path.take(), part.url.take());
            let (sha256, sealed_sha256) = (part.file_sha256.clone(), part.file_enc_sha256.clone());
            let direct_path = direct_path.or_else(|| path_of(url.as_deref()?))?;
            let origin = origin();
            let remote = RemoteMedia {
                kind: $kind,
                direct_path,
                key: key?,
                sha256: sha256?,
                sealed_sha256: sealed_sha256?,
                size: part.file_length.unwrap_or(0),
                chat: origin.chat,
                sender: origin.sender,
                wa_id: origin.wa_id,
                from_me: origin.from_me,
                is_group: origin.is_group,
            };
            let mime = part.mimetype.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
            let file_name = $file_name(part);
            let dimensions = $dimensions(part);
            Some(NewRemoteMedia { id: MediaId::generate(), mime, file_name, dimensions, remote })
        }};
    }
    let inner = inside_mut(message);
    if let Some(image) = inner.image_message.as_option_mut() {
        return taken!(
            image,
            MediaKind::Image,
            |_: &wa::message::ImageMessage| None,
            |image: &wa::message::ImageMessage| {
                Dimensions { width: image.width, height: image.height, seconds: None }
            }
        );
    }
    let video = if inner.video_message.is_set() { &mut inner.video_message } else { &mut inner.ptv_message };
    if let Some(video) = video.as_option_mut() {
        return taken!(
            video,
            MediaKind::Video,
            |_: &wa::message::VideoMessage| None,
            |video: &wa::message::VideoMessage| {
                Dimensions { width: video.width, height: video.height, seconds: video.seconds }
            }
        );
    }
    if let Some(audio) = inner.audio_message.as_option_mut() {
        return taken!(
            audio,
            MediaKind::Audio,
            |_: &wa::message::AudioMessage| None,
            |audio: &wa::message::AudioMessage| { Dimensions { seconds: audio.seconds, ..Dimensions::default() } }
        );
    }
    if let Some(document) = inner.document_message.as_option_mut() {
        let name = |document: &wa::message::DocumentMessage| {
            crate::domain::media::file_name(document.file_name.as_deref().or(document.title.as_deref())?)
        };
        return taken!(document, MediaKind::Document, name, |_: &wa::message::DocumentMessage| Dimensions::default());
    }
    if let Some(sticker) = inner.sticker_message.as_option_mut() {
        return taken!(
            sticker,
            MediaKind::Sticker,
            |_: &wa::message::StickerMessage| None,
            |sticker: &wa::message::StickerMessage| {
                Dimensions { width: sticker.width, height: sticker.height, seconds: None }
            }
        );
    }
    None
}

/// Whether a message shows a file.
pub(super) fn shows_file(message: &mut wa::Message) -> bool {
    let inner = inside_mut(message);
    inner.image_message.is_set()
        || inner.video_message.is_set()
        || inner.ptv_message.is_set()
        || inner.audio_message.is_set()
        || inner.document_message.is_set()
        || inner.sticker_message.is_set()
}

/// Gives a message back what [`take_file`] took.
pub(super) fn give_file(message: &mut wa::Message, file: &RemoteMedia) {
    let inner = inside_mut(message);
    macro_rules! give {
        ($($part:ident),+) => {$(
            if let Some(part) = inner.$part.as_option_mut() {
                part.media_key = Some(file.key.clone());
                part.direct_path = Some(file.direct_path.clone());
            }
        )+};
    }
    give!(image_message, video_message, ptv_message, audio_message, document_message, sticker_message);
}

/// The path of an address of WhatsApp's media hosts.
fn path_of(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    Some(url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        let jid = || "62811@s.whatsapp.net".to_owned();
        Origin { chat: jid(), sender: jid(), wa_id: "3EB0".into(), from_me: false, is_group: false }
    }

    fn image() -> wa::Message {
        wa::Message {
            image_message: MessageField::some(wa::message::ImageMessage {
                url: Some("https://mmg.whatsapp.net/v/one?ccb=1".into()),
                direct_path: Some("/v/one".into()),
                media_key: Some(vec![7; 32]),
                file_sha256: Some(vec![1; 32]),
                file_enc_sha256: Some(vec![2; 32]),
                file_length: Some(9),
                mimetype: Some("image/png".into()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn what_opens_a_file_leaves_the_message_though_it_is_wrapped() {
        let mut message = wa::Message { view_once_message_v2: within(image()), ..Default::default() };

        let file = take_file(&mut message, origin).expect("a file");

        assert_eq!((file.remote.direct_path.as_str(), &file.remote.key), ("/v/one", &vec![7; 32]));
        let inner = inside_mut(&mut message);
        let image = inner.image_message.as_option().expect("an image");
        assert_eq!((&image.media_key, &image.direct_path, &image.url), (&None, &None, &None));
        assert_eq!(image.mimetype.as_deref(), Some("image/png"), "what is shown stays");
        give_file(&mut message, &file.remote);
        let image = inside_mut(&mut message).image_message.as_option().expect("an image");
        assert_eq!((image.media_key.as_ref(), image.direct_path.as_deref()), (Some(&vec![7; 32]), Some("/v/one")));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_none_and_its_key_is_taken_all_the_same() {
        let mut message = image();
        message.image_message.get_or_insert_default().file_enc_sha256 = None;
        assert!(take_file(&mut message, origin).is_none());
        assert_eq!(message.image_message.as_option().expect("an image").media_key, None);
        assert!(
            take_file(&mut wa::Message { conversation: Some("hi".into()), ..Default::default() }, origin).is_none()
        );
    }
}
