//! Files as tests send them, and forms to bring them in.

use sha2::{Digest, Sha256};

/// A picture of 4 by 3 pixels as far as its header goes, of so many bytes.
pub fn png(bytes: usize) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x04\0\0\0\x03\x08\x02\0\0\0".to_vec();
    png.extend((png.len()..bytes).map(|at| u8::try_from(at * 31 % 251).unwrap()));
    png
}

/// A film as far as its header goes.
pub fn mp4() -> Vec<u8> {
    [&b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"[..], &[7; 3_000]].concat()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// One part of a form: name, for a file its name and type, content.
pub type Part<'a> = (&'a str, Option<(&'a str, &'a str)>, &'a [u8]);

/// A body of parts, behind the header that announces it.
pub fn form(parts: &[Part<'_>]) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "a-line-that-no-file-has";
    let mut body = Vec::new();
    for (name, file, content) in parts {
        body.extend(format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"").into_bytes());
        if let Some((file_name, type_)) = file {
            body.extend(format!("; filename=\"{file_name}\"\r\ncontent-type: {type_}").into_bytes());
        }
        body.extend(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}
