//! Keys of authors, and signing with them.

use crate::plugins::signature::{self, SigningKey};
use anyhow::{Context, bail, ensure};
use std::io::Write;
use std::path::Path;

/// Makes a key and writes its secret half to a new file that only its owner reads; gives the public half.
pub(super) fn new_key(file: &Path) -> anyhow::Result<String> {
    let seed = zeroize::Zeroizing::new(hex::encode(rand::random::<[u8; 32]>()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let named = || format!("cannot make {}; a key that is there is never written over", file.display());
    let mut made = options.open(file).with_context(named)?;
    made.write_all(format!("{}\n", *seed).as_bytes()).and_then(|()| made.sync_all()).with_context(named)?;
    Ok(key(&seed)?.signer().to_string())
}

/// Signs a component in its place, or into another file.
pub(super) fn sign(file: &Path, key_file: &Path, output: Option<&Path>) -> anyhow::Result<String> {
    let component = std::fs::read(file).with_context(|| file.display().to_string())?;
    // What is no plugin is not signed.
    super::Component::read(&component).with_context(|| file.display().to_string())?;
    let seed = std::fs::read_to_string(key_file).with_context(|| key_file.display().to_string())?;
    let key = key(&zeroize::Zeroizing::new(seed)).with_context(|| key_file.display().to_string())?;
    let signed = key.sign(&component).context("the component cannot be signed")?;
    let output = output.unwrap_or(file);
    // Whole or not at all: a gateway may be watching this file.
    let beside = output.with_extension("wasm.part");
    std::fs::write(&beside, &signed).with_context(|| beside.display().to_string())?;
    std::fs::rename(&beside, output).with_context(|| output.display().to_string())?;
    Ok(format!("signed {} by {}\n  sha256    {}", output.display(), key.signer(), crate::plugins::sha256_hex(&signed)))
}

/// Who signed it, for people.
pub(super) fn signers(component: &[u8]) -> anyhow::Result<Vec<String>> {
    Ok(signature::signers(component)?.iter().map(ToString::to_string).collect())
}

fn key(seed: &str) -> anyhow::Result<SigningKey> {
    ensure!(!seed.trim().is_empty(), "the file is empty");
    match SigningKey::parse(seed) {
        Some(key) => Ok(key),
        None => bail!("this is no key; \"rijan plugin key FILE\" makes one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_written_over_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("author.key");

        let public = new_key(&file).expect("made");

        assert_eq!(public.len(), 64);
        assert!(!std::fs::read_to_string(&file).expect("reads").contains(&public));
        assert!(new_key(&file).expect_err("refused").to_string().contains("never written over"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        }
    }
}
