//! Files of messages: encrypted, and kept under paths that are good until somebody says otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use wacore_libsignal::crypto::{aes_256_cbc_decrypt_into, aes_256_cbc_encrypt_into};

use crate::content::{FileReference, MediaKind};
use crate::crypto::{hex, hkdf_sha256, hmac_sha256, random};

/// How long the check sum at the end of an encrypted file is.
const SUM: usize = 10;

/// The block size of the cipher.
const BLOCK: usize = 16;

/// The files of a server, and uploads that have not come to an end.
#[derive(Debug)]
pub(crate) struct MediaStore {
    files: BTreeMap<String, StoredFile>,
    partial: BTreeMap<String, Vec<u8>>,
    /// What clients have to show to upload something.
    auth: String,
    next: u64,
}

/// A file under a path.
#[derive(Clone, Debug)]
struct StoredFile {
    sealed: Arc<Vec<u8>>,
    /// The HTTP status of whoever asks, once it is gone.
    gone: Option<u16>,
    /// Whether no phone has it any more either.
    for_good: bool,
}

impl Default for MediaStore {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            partial: BTreeMap::new(),
            auth: URL_SAFE_NO_PAD.encode(random::<24>()),
            next: 1,
        }
    }
}

impl MediaStore {
    pub(crate) fn auth(&self) -> &str {
        &self.auth
    }

    /// Makes clients ask for another permission to upload.
    pub(crate) fn renew_auth(&mut self) {
        self.auth = URL_SAFE_NO_PAD.encode(random::<24>());
    }

    /// Keeps an encrypted file. Returns its path.
    pub(crate) fn put(&mut self, sealed: Vec<u8>) -> String {
        let path = format!("/v/t62.{}-24/{}.enc", self.next, hex(&random::<12>()));
        self.next += 1;
        let sealed = Arc::new(sealed);
        let file = StoredFile {
            sealed,
            gone: None,
            for_good: false,
        };
        self.files.insert(path.clone(), file);
        path
    }

    /// The file under a path, or the HTTP status in its place.
    pub(crate) fn get(&self, path: &str) -> Result<Arc<Vec<u8>>, u16> {
        let path = path.split('?').next().unwrap_or_default();
        let file = self.files.get(path).ok_or(404u16)?;
        match file.gone {
            Some(status) => Err(status),
            None => Ok(Arc::clone(&file.sealed)),
        }
    }

    /// Whoever asks for the file gets this status from now on; `for_good`: the phone does not have it either. False:
    /// there is no such file.
    pub(crate) fn lose(&mut self, path: &str, status: u16, for_good: bool) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let Some(file) = self.files.get_mut(path) else {
            return false;
        };
        file.gone = Some(status);
        file.for_good = for_good;
        true
    }

    /// Uploads a file once more, from the phone. Returns its new path; None when the phone has lost it too.
    pub(crate) fn upload_again(&mut self, path: &str) -> Option<String> {
        let path = path.split('?').next().unwrap_or_default();
        let file = self.files.get(path).filter(|file| !file.for_good)?;
        let sealed = file.sealed.to_vec();
        Some(self.put(sealed))
    }

    /// What has come of an upload that has not come to its end.
    pub(crate) fn partial(&self, token: &str) -> usize {
        self.partial.get(token).map_or(0, Vec::len)
    }

    /// Keeps the beginning of an upload, up to where it broke off.
    pub(crate) fn keep_partial(&mut self, token: &str, offset: usize, bytes: &[u8]) {
        let kept = self.partial.entry(token.to_owned()).or_default();
        kept.truncate(offset);
        if kept.len() == offset {
            kept.extend_from_slice(bytes);
        }
    }

    /// The whole of an upload that goes on from `offset`. None: what came before is not there.
    pub(crate) fn take_whole(
        &mut self,
        token: &str,
        offset: usize,
        bytes: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let before = self.partial.remove(token).unwrap_or_default();
        if offset == 0 {
            return Some(bytes);
        }
        let mut whole = before.get(..offset)?.to_vec();
        whole.extend(bytes);
        Some(whole)
    }

    /// The path of a file with this hash, if it was uploaded before.
    pub(crate) fn path_of(&self, token: &str) -> Option<String> {
        let found = self
            .files
            .iter()
            .find(|(_, file)| file.gone.is_none() && token_of(&file.sealed) == token)?;
        Some(found.0.clone())
    }
}

/// The hash of an encrypted file, as it stands in URLs.
pub(crate) fn token_of(sealed: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(sealed))
}

/// What opens a file: derived from its key, for one kind of file.
struct FileKeys {
    iv: [u8; BLOCK],
    cipher: [u8; 32],
    sum: [u8; 32],
}

impl FileKeys {
    fn new(key: &[u8], kind: MediaKind) -> Self {
        let mut out = [0; 112];
        hkdf_sha256(key, None, kind.purpose(), &mut out);
        let (mut iv, mut cipher, mut sum) = ([0; BLOCK], [0; 32], [0; 32]);
        iv.copy_from_slice(&out[..16]);
        cipher.copy_from_slice(&out[16..48]);
        sum.copy_from_slice(&out[48..80]);
        Self { iv, cipher, sum }
    }
}

/// Encrypts a file with a new key. Returns what it is on the wire, and what the message says of it, without a path.
pub(crate) fn seal(kind: MediaKind, plain: &[u8]) -> (Vec<u8>, FileReference) {
    let key = random::<32>();
    let keys = FileKeys::new(&key, kind);
    let mut sealed = Vec::new();
    aes_256_cbc_encrypt_into(plain, &keys.cipher, &keys.iv, &mut sealed)
        .expect("invariant: AES-256-CBC takes a key of 32 and a vector of 16 bytes");
    let sum = hmac_sha256(&keys.sum, &[&keys.iv, &sealed]);
    sealed.extend_from_slice(&sum[..SUM]);
    let reference = FileReference {
        key: key.to_vec(),
        sha256: Sha256::digest(plain).to_vec(),
        sealed_sha256: Sha256::digest(&sealed).to_vec(),
        size: plain.len() as u64,
        ..FileReference::default()
    };
    (sealed, reference)
}

/// Decrypts a file and checks all that its message says of it.
pub(crate) fn open(
    kind: MediaKind,
    reference: &FileReference,
    sealed: &[u8],
) -> Result<Vec<u8>, &'static str> {
    if Sha256::digest(sealed).to_vec() != reference.sealed_sha256 {
        return Err("the encrypted file has another hash than its message says");
    }
    let split = sealed.len().checked_sub(SUM);
    let split = split.filter(|split| *split > 0 && split % BLOCK == 0);
    let (body, sum) = sealed.split_at(split.ok_or("the encrypted file has no whole blocks")?);
    let keys = FileKeys::new(&reference.key, kind);
    if hmac_sha256(&keys.sum, &[&keys.iv, body])[..SUM] != *sum {
        return Err("the encrypted file has a wrong check sum");
    }
    let mut plain = Vec::new();
    aes_256_cbc_decrypt_into(body, &keys.cipher, &keys.iv, &mut plain)
        .map_err(|_| "the encrypted file has no padding")?;
    if Sha256::digest(&plain).to_vec() != reference.sha256 {
        return Err("the file has another hash than its message says");
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_by_its_own_key_and_kind() {
        for length in [0, 1, 15, 16, 17, 5000] {
            let plain = vec![7; length];
            let (sealed, reference) = seal(MediaKind::Image, &plain);
            assert_eq!(open(MediaKind::Image, &reference, &sealed).unwrap(), plain);
            assert!(open(MediaKind::Video, &reference, &sealed).is_err());
            let mut other = sealed.clone();
            other[0] ^= 1;
            assert!(open(MediaKind::Image, &reference, &other).is_err());
            let wrong = FileReference {
                sha256: vec![0; 32],
                ..reference
            };
            assert!(open(MediaKind::Image, &wrong, &sealed).is_err());
        }
    }

    #[test]
    fn a_lost_file_comes_back_under_another_path() {
        let mut store = MediaStore::default();
        let path = store.put(b"sealed".to_vec());
        assert_eq!(
            store.get(&format!("{path}?auth=x")).unwrap().as_slice(),
            b"sealed"
        );
        assert!(store.lose(&path, 410, false));
        assert_eq!(store.get(&path), Err(410));
        assert_eq!(store.path_of(&token_of(b"sealed")), None);
        let again = store.upload_again(&path).unwrap();
        assert_ne!(again, path);
        assert!(store.get(&again).is_ok());
        assert_eq!(store.get("/v/none"), Err(404));
        assert!(store.lose(&again, 404, true));
        assert_eq!(store.upload_again(&again), None);
    }

    #[test]
    fn an_upload_goes_on_where_it_broke_off() {
        let mut store = MediaStore::default();
        store.keep_partial("t", 0, b"abcd");
        assert_eq!(store.partial("t"), 4);
        store.keep_partial("t", 2, b"xy");
        let whole = store.take_whole("t", 4, b"ef".to_vec()).unwrap();
        assert_eq!(whole, b"abxyef");
        assert_eq!(store.take_whole("t", 4, b"ef".to_vec()), None);
    }
}
