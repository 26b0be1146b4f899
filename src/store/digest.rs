//! Digests of files: by them an index or a verdict names exactly the bytes that it is about.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

/// `sha256:` and the SHA-256 of the bytes in lower-case hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    named(&Sha256::digest(bytes))
}

/// The same of a file, which is read piece by piece.
///
/// # Errors
/// When it cannot be read.
pub fn digest_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(named(&hash.finalize())),
            n => hash.update(&piece[..n]),
        }
    }
}

fn named(hash: &[u8]) -> String {
    let hex: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", hex.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for bytes in [&b""[..], b"abc", &vec![7; 200_000]] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(digest_file(&path).unwrap(), digest(bytes));
        }
        // FIPS 180-4, the example of one block.
        let known = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), known);
        assert!(digest_file(&dir.path().join("none")).is_err());
    }
}
