//! The hashing methods: bytes in, digest out. What bytes are hashed is left to the filter, and
//! `MURMUR3` to `murmur`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384, Sha512};

/// A digest function, with its HMAC key where there is one.
pub(crate) enum DigestFunction {
    /// A plain digest.
    Plain(Algorithm),
    /// HMAC-SHA1.
    KeyedSha1(Box<Hmac<Sha1>>),
    /// HMAC-SHA256.
    KeyedSha256(Box<Hmac<Sha256>>),
    /// HMAC-SHA384.
    KeyedSha384(Box<Hmac<Sha384>>),
    /// HMAC-SHA512.
    KeyedSha512(Box<Hmac<Sha512>>),
    /// HMAC-MD5.
    KeyedMd5(Box<Hmac<Md5>>),
}

/// The digests that take a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// MD5.
    Md5,
}

impl DigestFunction {
    /// The digest, or with a key (an empty one too) its HMAC.
    pub(crate) fn new(algorithm: Algorithm, key: Option<&str>) -> Self {
        let Some(key) = key else { return DigestFunction::Plain(algorithm) };
        match algorithm {
            Algorithm::Sha1 => DigestFunction::KeyedSha1(Box::new(keyed(key))),
            Algorithm::Sha256 => DigestFunction::KeyedSha256(Box::new(keyed(key))),
            Algorithm::Sha384 => DigestFunction::KeyedSha384(Box::new(keyed(key))),
            Algorithm::Sha512 => DigestFunction::KeyedSha512(Box::new(keyed(key))),
            Algorithm::Md5 => DigestFunction::KeyedMd5(Box::new(keyed(key))),
        }
    }

    /// The digest of `text` as hexadecimal digits, or in Base64.
    pub(crate) fn digest(&self, text: &str, base64encode: bool) -> String {
        let bytes = text.as_bytes();
        match self {
            DigestFunction::Plain(Algorithm::Sha1) => print(&Sha1::digest(bytes), base64encode),
            DigestFunction::Plain(Algorithm::Sha256) => print(&Sha256::digest(bytes), base64encode),
            DigestFunction::Plain(Algorithm::Sha384) => print(&Sha384::digest(bytes), base64encode),
            DigestFunction::Plain(Algorithm::Sha512) => print(&Sha512::digest(bytes), base64encode),
            DigestFunction::Plain(Algorithm::Md5) => print(&Md5::digest(bytes), base64encode),
            DigestFunction::KeyedSha1(mac) => print(&finish(mac.as_ref(), bytes), base64encode),
            DigestFunction::KeyedSha256(mac) => print(&finish(mac.as_ref(), bytes), base64encode),
            DigestFunction::KeyedSha384(mac) => print(&finish(mac.as_ref(), bytes), base64encode),
            DigestFunction::KeyedSha512(mac) => print(&finish(mac.as_ref(), bytes), base64encode),
            DigestFunction::KeyedMd5(mac) => print(&finish(mac.as_ref(), bytes), base64encode),
        }
    }
}

/// MurmurHash3, x64, 128 bits, seed 2, as the 16 bytes in memory order.
pub(crate) fn murmur3_128(bytes: &[u8], base64encode: bool) -> String {
    let mut bytes = bytes;
    match murmur3::murmur3_x64_128(&mut bytes, 2) {
        Ok(hash) => print(&hash.to_le_bytes(), base64encode),
        Err(error) => unreachable!("reading memory failed: {error}"),
    }
}

/// A random UUID (version 4) made of 16 random bytes.
pub(crate) fn uuid(random: [u8; 16]) -> String {
    let mut bytes = random;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hexadecimal(&bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn keyed<M: KeyInit>(key: &str) -> M {
    match M::new_from_slice(key.as_bytes()) {
        Ok(mac) => mac,
        Err(error) => unreachable!("HMAC takes keys of any length: {error}"),
    }
}

fn finish<M: Mac + Clone>(mac: &M, bytes: &[u8]) -> Vec<u8> {
    let mut mac = mac.clone();
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

fn print(digest: &[u8], base64encode: bool) -> String {
    if base64encode { STANDARD.encode(digest) } else { hexadecimal(digest) }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        digits.push(char::from(DIGITS[usize::from(byte >> 4)]));
        digits.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_say_their_version() {
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid([255; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn an_empty_key_is_a_key() {
        let plain = DigestFunction::new(Algorithm::Sha1, None).digest("v", false);
        let keyed = DigestFunction::new(Algorithm::Sha1, Some("")).digest("v", false);
        assert_eq!(plain, "7a38d8cbd20d9932ba948efaa364bb62651d5ad4");
        assert_eq!(keyed, "00738a4c0f158d65c0eda823b6c62650c910b06a");
    }
}
