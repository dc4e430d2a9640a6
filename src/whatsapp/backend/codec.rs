//! Values as bytes, and parts of names.
//!
//! A value begins with a byte that names its format. Format 1 is, by kind: bytes of the library as they are
//! ([`raw`]), the library's own serde form as JSON ([`named`], for the device: fields come and go by name), or
//! bincode of a type that is declared here and not in the library ([`packed`]). Such a type is the format: when
//! a field comes, it gets a second type and a second number, and the first is still read.

use bincode::config;
use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first and only format so far.
const FORMAT: u8 = 1;

/// How bincode writes: varints, and no claim of a length is believed beyond this.
const BINCODE: config::Configuration<config::LittleEndian, config::Varint, config::Limit<LIMIT>> =
    config::standard().with_limit::<LIMIT>();

/// More than any value: SQLite's own limit is a gigabyte, and a message is at most a few MiB.
const LIMIT: usize = 256 << 20;

/// Why bytes are no value.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// The first byte names no format of this version.
    #[error("its format {0} is unknown here; a newer wasessiond wrote it: start that one again")]
    Format(u8),
    /// It ends too late.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
    /// It cannot be decoded.
    #[error(transparent)]
    Bincode(#[from] DecodeError),
    /// It cannot be decoded. The words of the JSON reader are left out: they may quote the value.
    #[error("it is not the JSON of such a value (line {0}, column {1})")]
    Json(usize, usize),
    /// It was decoded and makes no sense.
    #[error("{0}")]
    Senseless(&'static str),
}

/// Bytes of the library, as they are.
pub(super) fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(1 + bytes.len());
    value.push(FORMAT);
    value.extend_from_slice(bytes);
    value
}

/// The bytes that [`raw`] was given.
pub(super) fn from_raw(mut value: Vec<u8>) -> Result<Vec<u8>, Damage> {
    body(&value)?;
    value.remove(0);
    Ok(value)
}

/// A value of a type declared here.
pub(super) fn packed<T: Serialize>(value: &T) -> Result<Vec<u8>, bincode::error::EncodeError> {
    let mut bytes = vec![FORMAT];
    bytes.extend(bincode::serde::encode_to_vec(value, BINCODE)?);
    Ok(bytes)
}

/// The value that [`packed`] was given.
pub(super) fn from_packed<T: DeserializeOwned>(value: &[u8]) -> Result<T, Damage> {
    let body = body(value)?;
    let (decoded, read) = bincode::serde::decode_from_slice(body, BINCODE)?;
    match body.len() - read {
        0 => Ok(decoded),
        rest => Err(Damage::LeftOver(rest)),
    }
}

/// A value of a type of the library whose fields have names.
pub(super) fn named<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = vec![FORMAT];
    serde_json::to_writer(&mut bytes, value)?;
    Ok(bytes)
}

/// The value that [`named`] was given.
pub(super) fn from_named<T: DeserializeOwned>(value: &[u8]) -> Result<T, Damage> {
    serde_json::from_slice(body(value)?).map_err(|e| Damage::Json(e.line(), e.column()))
}

fn body(value: &[u8]) -> Result<&[u8], Damage> {
    match value.split_first() {
        None => Err(Damage::Empty),
        Some((&FORMAT, body)) => Ok(body),
        Some((&other, _)) => Err(Damage::Format(other)),
    }
}

/// Several parts of a name as one, so that no two lists of parts make the same name.
pub(super) fn joined(parts: &[&str]) -> Vec<u8> {
    let mut name = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        name.extend_from_slice(&length.to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    name
}

/// Spreads names evenly over the numbers below a power of two. It is FNV-1a with 32 bits, and it is on disks:
/// it never changes.
pub(super) fn spread(name: &[u8], below: u8) -> u8 {
    let hash = name.iter().fold(0x811c_9dc5_u32, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let [a, b, c, d] = hash.to_be_bytes();
    (a ^ b ^ c ^ d) & (below - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(from_raw(raw(b"abc")).expect("raw"), b"abc");
        assert_eq!(from_raw(raw(b"")).expect("raw"), b"");
        let value = (7_u32, vec![1_u8, 2], Some("x".to_owned()));
        let bytes = packed(&value).expect("packed");
        assert_eq!(
            from_packed::<(u32, Vec<u8>, Option<String>)>(&bytes).expect("read"),
            value
        );
        let bytes = named(&value).expect("named");
        assert_eq!(
            from_named::<(u32, Vec<u8>, Option<String>)>(&bytes).expect("read"),
            value
        );
    }

    #[test]
    fn what_is_not_whole_is_damaged() {
        let bytes = packed(&"abcdef").expect("packed");
        assert!(matches!(from_packed::<String>(&[]), Err(Damage::Empty)));
        assert!(matches!(from_raw(Vec::new()), Err(Damage::Empty)));
        assert!(matches!(from_raw(vec![2, b'a']), Err(Damage::Format(2))));
        for end in 1..bytes.len() {
            assert!(from_packed::<String>(&bytes[..end]).is_err(), "{end}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(matches!(
            from_packed::<String>(&longer),
            Err(Damage::LeftOver(1))
        ));
        // A length that nothing could hold is refused before it is allocated.
        let claims = [FORMAT, 253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];
        assert!(from_packed::<Vec<u8>>(&claims).is_err());
        assert!(from_packed::<String>(&claims).is_err());
    }

    #[test]
    fn the_words_about_damaged_json_do_not_quote_it() {
        let error = from_named::<u32>(b"\x01\"a secret\"").expect_err("a string");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn names_of_several_parts_are_not_confused() {
        assert_ne!(joined(&["ab", "c"]), joined(&["a", "bc"]));
        assert_ne!(joined(&["a", ""]), joined(&["", "a"]));
        assert_ne!(joined(&["a"]), joined(&["a", ""]));
    }

    #[test]
    fn names_are_spread_as_they_are_on_disks() {
        let names = ["", "a", "100000012345678", "559980000001@s.whatsapp.net"];
        assert_eq!(names.map(|name| spread(name.as_bytes(), 64)), GOLDEN);
        let mut counts = [0_u32; 64];
        for number in 0..6400_u64 {
            let name = format!("{}", 100_000_012_345_678 + number * 7_919);
            counts[usize::from(spread(name.as_bytes(), 64))] += 1;
        }
        assert!(counts.iter().all(|&n| (50..200).contains(&n)), "{counts:?}");
    }

    /// By hand from the definition of FNV-1a.
    const GOLDEN: [u8; 4] = [5, 45, 7, 45];
}
