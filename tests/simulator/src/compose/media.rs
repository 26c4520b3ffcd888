//! A file that a phone writes: sealed, and described by a message of its kind.

use super::{Unfit, Writer, Written, wrong};
use crate::attachment::{self, Kind, Sealed};
use crate::handlers::MEDIA_HOST;
use crate::wa;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

/// A file a phone writes; a larger one is refused.
const MEDIA_BYTES_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Media {
    kind: Kind,
    mime: Option<String>,
    caption: Option<String>,
    file_name: Option<String>,
    /// Whether it is a video note, which phones show as a circle.
    #[serde(default)]
    round: bool,
    /// The file, base64.
    data: Option<String>,
    /// Or how many bytes of made-up content.
    size: Option<u64>,
}

impl Media {
    pub(super) fn written(&self, by: &Writer, context: Option<wa::ContextInfo>) -> Result<Written, Unfit> {
        let file = self.file()?;
        let sealed = attachment::seal(self.kind, &file).map_err(Unfit::Failed)?;
        let message = self.message(by, &sealed, context);
        Ok(Written { message, file: Some(sealed) })
    }

    fn file(&self) -> Result<Vec<u8>, Unfit> {
        let too_large = || wrong(format!("media may have at most {MEDIA_BYTES_MAX} bytes"));
        match (&self.data, self.size) {
            (Some(data), None) => {
                let file = BASE64.decode(data).map_err(|_| wrong("media.data is no base64"))?;
                if u64::try_from(file.len()).is_ok_and(|length| length <= MEDIA_BYTES_MAX) {
                    Ok(file)
                } else {
                    Err(too_large())
                }
            }
            (None, Some(size)) if size <= MEDIA_BYTES_MAX => Ok((0..size).map(|at| (at * 31 % 251) as u8).collect()),
            (None, Some(_)) => Err(too_large()),
            _ => Err(wrong("media has either data or size")),
        }
    }

    fn message(&self, by: &Writer, sealed: &Sealed, context: Option<wa::ContextInfo>) -> wa::Message {
        let context_info = context.map(Box::new);
        let url = Some(format!("https://{}{}", MEDIA_HOST, sealed.path));
        let mime = self.mime.clone().unwrap_or_else(|| self.kind.usual_mime().to_owned());
        let voice = mime.starts_with("audio/ogg");
        let (mimetype, caption) = (Some(mime), self.caption.clone());
        let media_key = Some(sealed.key.to_vec());
        let (file_sha256, file_enc_sha256) = (Some(sealed.sha256.to_vec()), Some(sealed.sealed_sha256.to_vec()));
        let (file_length, direct_path) = (Some(sealed.length), Some(sealed.path.clone()));
        let media_key_timestamp = Some(by.now_ms / 1_000);
        let mut message = wa::Message::default();
        match self.kind {
            Kind::Image => {
                message.image_message = Some(Box::new(wa::ImageMessage {
                    url,
                    mimetype,
                    caption,
                    file_sha256,
                    file_length,
                    media_key,
                    file_enc_sha256,
                    direct_path,
                    media_key_timestamp,
                    context_info,
                    ..Default::default()
                }));
            }
            Kind::Video => {
                let video = Some(Box::new(wa::VideoMessage {
                    url,
                    mimetype,
                    caption,
                    file_sha256,
                    file_length,
                    media_key,
                    file_enc_sha256,
                    direct_path,
                    media_key_timestamp,
                    context_info,
                    ..Default::default()
                }));
                if self.round {
                    message.ptv_message = video;
                } else {
                    message.video_message = video;
                }
            }
            Kind::Audio => {
                message.audio_message = Some(Box::new(wa::AudioMessage {
                    url,
                    mimetype,
                    file_sha256,
                    file_length,
                    media_key,
                    file_enc_sha256,
                    direct_path,
                    media_key_timestamp,
                    context_info,
                    ptt: Some(voice),
                    ..Default::default()
                }));
            }
            Kind::Sticker => {
                message.sticker_message = Some(Box::new(wa::StickerMessage {
                    url,
                    mimetype,
                    file_sha256,
                    file_length,
                    media_key,
                    file_enc_sha256,
                    direct_path,
                    media_key_timestamp,
                    context_info,
                }));
            }
            Kind::Document | Kind::History | Kind::AppState => {
                message.document_message = Some(Box::new(wa::DocumentMessage {
                    url,
                    mimetype,
                    title: self.file_name.clone(),
                    file_name: self.file_name.clone(),
                    caption,
                    file_sha256,
                    file_length,
                    media_key,
                    file_enc_sha256,
                    direct_path,
                    media_key_timestamp,
                    context_info,
                }));
                if self.caption.is_some() {
                    let inside = wa::FutureProofMessage { message: Some(Box::new(message)) };
                    message =
                        wa::Message { document_with_caption_message: Some(Box::new(inside)), ..Default::default() };
                }
            }
        }
        message
    }
}
