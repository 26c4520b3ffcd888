//! Kinds that carry a file, and those that announce several.

use super::{Said, received};
use serde_json::json;
use waproto::whatsapp as wa;

pub(super) fn said(message: &wa::Message) -> Option<Said> {
    if let Some(image) = message.image_message.as_option() {
        return received(
            "image",
            json!({
                "caption": image.caption,
                "mimeType": image.mimetype,
                "size": image.file_length,
                "width": image.width,
                "height": image.height,
                "viewOnce": image.view_once,
            }),
        );
    }
    if let Some(video) = message.video_message.as_option().or(message.ptv_message.as_option()) {
        return received(
            "video",
            json!({
                "caption": video.caption,
                "mimeType": video.mimetype,
                "size": video.file_length,
                "width": video.width,
                "height": video.height,
                "seconds": video.seconds,
                "viewOnce": video.view_once,
                "ptv": !message.video_message.is_set(),
            }),
        );
    }
    if let Some(audio) = message.audio_message.as_option() {
        return received(
            "audio",
            json!({
                "mimeType": audio.mimetype,
                "size": audio.file_length,
                "ptt": audio.ptt,
                "seconds": audio.seconds,
                "viewOnce": audio.view_once,
            }),
        );
    }
    if let Some(document) = message.document_message.as_option() {
        return received(
            "document",
            json!({
                "fileName": document.file_name,
                "caption": document.caption,
                "mimeType": document.mimetype,
                "size": document.file_length,
            }),
        );
    }
    if let Some(sticker) = message.sticker_message.as_option() {
        return received("sticker", json!({ "mimeType": sticker.mimetype, "size": sticker.file_length }));
    }
    if let Some(pack) = message.sticker_pack_message.as_option() {
        return received(
            "sticker_pack",
            json!({
                "name": pack.name,
                "publisher": pack.publisher,
                "description": pack.pack_description,
                "caption": pack.caption,
                "stickerCount": pack.stickers.len(),
            }),
        );
    }
    let album = message.album_message.as_option()?;
    // Its files follow, each as a message of its own.
    received("album", json!({ "imageCount": album.expected_image_count, "videoCount": album.expected_video_count }))
}
