//! What a file's own bytes say: its type by its beginning, and what is cheap to read of its size in pixels or seconds.

use crate::domain::media::{Dimensions, essence};
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Bytes from the beginning of a file by which its type is told.
pub(super) const BEGINNING_BYTES: usize = 8 << 10;
/// Boxes of an MP4 file that are passed over in search of one.
const BOXES_MAX: usize = 64;
/// Bytes from the end of an Ogg file in which its last page begins: a page has at most 65,307.
const LAST_PAGE_BYTES: u64 = 66_000;

/// The type that the beginning of a file shows; `None` when it shows none, as plain text does.
pub(super) fn sniffed(beginning: &[u8]) -> Option<&'static str> {
    infer::get(beginning).map(|found| match found.mime_type() {
        "audio/opus" => "audio/ogg; codecs=opus",
        "audio/x-wav" => "audio/wav",
        mime => mime,
    })
}

/// What of a file of this type is known without decoding it. A file that does not read as what it is said to be says nothing.
pub(super) fn dimensions(mime: &str, file: impl Read + Seek) -> Dimensions {
    let mut file = BufReader::new(file);
    let type_ = essence(mime);
    match type_.as_str() {
        _ if type_.starts_with("image/") => {
            let size = imagesize::reader_size(&mut file).ok();
            let pixels = |number: usize| u32::try_from(number).ok();
            Dimensions {
                width: size.as_ref().and_then(|size| pixels(size.width)),
                height: size.as_ref().and_then(|size| pixels(size.height)),
                seconds: None,
            }
        }
        "audio/ogg" | "audio/opus" => Dimensions { seconds: ogg_seconds(&mut file), ..Dimensions::default() },
        "video/mp4" | "audio/mp4" | "audio/m4a" | "audio/x-m4a" | "video/quicktime" | "video/3gpp" => {
            Dimensions { seconds: mp4_seconds(&mut file), ..Dimensions::default() }
        }
        _ => Dimensions::default(),
    }
}

/// Opus in Ogg counts 48,000 samples a second, whatever it was recorded with (RFC 7845); the last page tells the last sample.
fn ogg_seconds(file: &mut (impl Read + Seek)) -> Option<u32> {
    const SAMPLES_A_SECOND: u64 = 48_000;
    let size = file.seek(SeekFrom::End(0)).ok()?;
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(LAST_PAGE_BYTES))).ok()?;
    file.take(LAST_PAGE_BYTES).read_to_end(&mut end).ok()?;
    let last = end.windows(4).rposition(|four| four == b"OggS")?;
    let sample: [u8; 8] = end.get(last + 6..last + 14)?.try_into().ok()?;
    let samples = u64::from_le_bytes(sample);
    // All ones: no sample ends on that page.
    (samples != u64::MAX).then(|| u32::try_from(samples.div_ceil(SAMPLES_A_SECOND)).ok()).flatten()
}

/// The movie header's duration (ISO/IEC 14496-12, `moov` and in it `mvhd`).
fn mp4_seconds(file: &mut (impl Read + Seek)) -> Option<u32> {
    file.rewind().ok()?;
    let movie = find_box(file, b"moov", u64::MAX)?;
    let header = find_box(file, b"mvhd", movie)?;
    let mut bytes = Vec::new();
    file.take(header.min(32)).read_to_end(&mut bytes).ok()?;
    let number = |from: usize, length: usize| {
        let bytes = bytes.get(from..from + length)?;
        Some(bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (scale, duration) = match bytes.first()? {
        0 => (number(12, 4)?, number(16, 4)?),
        1 => (number(20, 4)?, number(24, 8)?),
        _ => return None,
    };
    let seconds = duration.checked_add(scale / 2)?.checked_div(scale)?;
    u32::try_from(seconds).ok()
}

/// Goes to the content of the first box of this name within `length` bytes from here; returns how long it is.
fn find_box(file: &mut (impl Read + Seek), name: &[u8; 4], length: u64) -> Option<u64> {
    let mut left = length;
    for _ in 0..BOXES_MAX {
        let mut head = [0; 8];
        file.read_exact(&mut head).ok()?;
        let (size, kind) = head.split_first_chunk::<4>()?;
        let (size, head_bytes) = match u32::from_be_bytes(*size) {
            0 => (left, 8),
            1 => {
                let mut large = [0; 8];
                file.read_exact(&mut large).ok()?;
                (u64::from_be_bytes(large), 16)
            }
            size => (u64::from(size), 8),
        };
        let content = size.checked_sub(head_bytes)?;
        if kind == name {
            return Some(content);
        }
        left = left.checked_sub(size)?;
        file.seek(SeekFrom::Current(i64::try_from(content).ok()?)).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).expect("small");
        [&size.to_be_bytes()[..], name, content].concat()
    }

    #[test]
    fn a_type_is_told_by_the_beginning() {
        assert_eq!(sniffed(b"\x89PNG\r\n\x1a\n and more"), Some("image/png"));
        assert_eq!(sniffed(b"\xff\xd8\xff\xe0 and more"), Some("image/jpeg"));
        assert_eq!(sniffed(b"%PDF-1.7"), Some("application/pdf"));
        assert_eq!(sniffed(b"plain words"), None);
        assert_eq!(sniffed(b""), None);
    }

    #[test]
    fn the_length_of_a_film_stands_in_its_header() {
        let header = [&[0; 12][..], &1_000_u32.to_be_bytes(), &61_700_u32.to_be_bytes()].concat();
        let film = [
            boxed(b"ftyp", b"isom0000"),
            boxed(b"free", &[7; 300]),
            boxed(b"moov", &[boxed(b"udta", b"x"), boxed(b"mvhd", &header)].concat()),
        ];
        let known = dimensions("video/mp4", Cursor::new(film.concat()));
        assert_eq!(known.seconds, Some(62));
        assert_eq!(dimensions("video/mp4", Cursor::new(b"no film".to_vec())), Dimensions::default());
    }

    #[test]
    fn the_length_of_a_voice_note_stands_on_its_last_page() {
        let page = |sample: u64| [&b"OggS\0\0"[..], &sample.to_le_bytes(), &[0; 50]].concat();
        let note = [page(0), page(48_000), page(48_000 * 3 + 5)].concat();
        assert_eq!(dimensions("audio/ogg; codecs=opus", Cursor::new(note)).seconds, Some(4));
        assert_eq!(dimensions("audio/ogg", Cursor::new(page(u64::MAX))).seconds, None);
    }

    #[test]
    fn a_picture_tells_its_size() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 0, 4, 0, 0, 0, 3, 8, 2, 0, 0, 0]);
        let known = dimensions("image/png", Cursor::new(png));
        assert_eq!((known.width, known.height), (Some(4), Some(3)));
    }
}
