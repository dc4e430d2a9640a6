//! Finds secrets in what was written, in whatever form.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

/// Nothing shorter is looked for: it would be found by chance.
const SHORTEST: usize = 6;

/// What is looked for.
#[derive(Default)]
pub(crate) struct Hunt {
    secrets: BTreeSet<Vec<u8>>,
    /// What a form is of, by its first bytes and itself.
    forms: HashMap<[u8; SHORTEST], BTreeMap<Vec<u8>, String>>,
}

impl Hunt {
    /// A secret as a person or a program writes it. Where it is a key in base64 or hexadecimal, the key
    /// itself is looked for, too.
    pub(crate) fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= SHORTEST, "{what} is too short");
        self.add_bytes(what, secret.as_bytes());
        // `2@` and `3@` stand before references; a QR code's parts stand between commas.
        for part in secret.split([',', '@']) {
            for bytes in [from_base64(part), from_hex(part)].into_iter().flatten() {
                if bytes.len() >= 16 {
                    self.add_bytes(what, &bytes);
                }
            }
        }
    }

    pub(crate) fn add_bytes(&mut self, what: &str, secret: &[u8]) {
        if !self.secrets.insert(secret.to_owned()) {
            return;
        }
        for (name, form) in forms(secret) {
            let form = squeezed(&form);
            if let Some(head) = form.first_chunk() {
                let of = format!("{what}, {name}");
                self.forms.entry(*head).or_default().insert(form, of);
            }
        }
    }

    pub(crate) fn secrets(&self) -> usize {
        self.secrets.len()
    }

    pub(crate) fn forms(&self) -> usize {
        self.forms.values().map(BTreeMap::len).sum()
    }

    /// What is found, and what stands around it.
    pub(crate) fn find(&self, text: &[u8]) -> Vec<String> {
        let text = squeezed(text);
        let mut found = Vec::new();
        for at in 0..text.len() {
            let rest = &text[at..];
            let Some(forms) = rest.first_chunk().and_then(|head| self.forms.get(head)) else {
                continue;
            };
            for (_, of) in forms.iter().filter(|(form, _)| rest.starts_with(form)) {
                let around = &text[at.saturating_sub(200)..(at + 100).min(text.len())];
                found.push(format!("{of}: {}", String::from_utf8_lossy(around)));
            }
        }
        found
    }

    pub(crate) fn assert_none(&self, place: &str, text: &[u8]) {
        let found = self.find(text);
        assert!(
            found.is_empty(),
            "{place} holds {} secrets:\n{}",
            found.len(),
            found.join("\n")
        );
    }
}

/// Lists are written on one line or on many.
fn squeezed(text: &[u8]) -> Vec<u8> {
    let shown = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    shown.copied().collect()
}

/// Every form in which bytes are usually written.
fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |separator: &str, show: fn(u8) -> String| {
        let shown: Vec<_> = bytes.iter().map(|byte| show(*byte)).collect();
        shown.join(separator).into_bytes()
    };
    let mut forms = vec![
        ("raw", bytes.to_owned()),
        ("in hexadecimal", each("", |b| format!("{b:02x}"))),
        ("in capital hexadecimal", each("", |b| format!("{b:02X}"))),
        (
            "in hexadecimal with colons",
            each(":", |b| format!("{b:02x}")),
        ),
        ("as a list", each(",", |b| b.to_string())),
        ("as a list in hexadecimal", each(",", |b| format!("{b:x}"))),
        (
            "as a list in full hexadecimal",
            each(",", |b| format!("{b:02x}")),
        ),
        ("as a list with 0x", each(",", |b| format!("{b:#x}"))),
        ("escaped", bytes.escape_ascii().to_string().into_bytes()),
    ];
    // Within something longer it may begin at any of three places of a group.
    for before in 0..3 {
        let text = base64(&[&[0; 2][..before], bytes].concat());
        // What the neighbours have a part in is left out.
        let from = (before * 8).div_ceil(6);
        let to = (before + bytes.len()) * 8 / 6;
        let own = &text[from..to];
        forms.push(("in base64", own.as_bytes().to_owned()));
        let url = own.replace('+', "-").replace('/', "_");
        forms.push(("in base64 for links", url.into_bytes()));
    }
    forms
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let number = u32::from_be_bytes(padded);
        for place in 0..4 {
            let index = (number >> (18 - 6 * place)) & 63;
            let letter = ALPHABET[index as usize];
            text.push(if place <= group.len() {
                letter.into()
            } else {
                '='
            });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for letter in text.trim_end_matches('=').bytes() {
        let index = ALPHABET.iter().position(|known| *known == letter)?;
        bits = (bits << 6 | u32::try_from(index).ok()?) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    Some(bytes)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    digits
        .len()
        .is_multiple_of(2)
        .then(|| pairs.collect())
        .flatten()
}

// ---- that it can find ---------------------------------------------------------------------------

/// 32 bytes, as random as a key's.
const KEY: [u8; 32] = [
    0xd3, 0x0a, 0xff, 0xfb, 0x3e, 0x00, 0x91, 0x7f, 0x20, 0x41, 0xc6, 0x5e, 0x88, 0xfe, 0x12, 0x6b,
    0x05, 0xf0, 0x9d, 0x77, 0xab, 0x2c, 0xe1, 0x34, 0x58, 0xbf, 0x66, 0x99, 0x0d, 0xca, 0xfa, 0x13,
];

#[test]
fn a_planted_key_is_found_in_every_form() {
    let mut planted = vec![
        format!("{KEY:?}"),
        format!("{KEY:#?}"),
        format!("{KEY:x?}"),
        format!("{KEY:02x?}"),
        format!("{KEY:#x?}"),
        format!("b\"{}\"", KEY.escape_ascii()),
    ];
    let hex = KEY.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    });
    planted.extend([hex.clone(), hex.to_uppercase()]);
    for before in 0..4 {
        for after in 0..4 {
            let message = [&b"xyzt"[..before], &KEY, &b"xyzt"[..after]].concat();
            let text = base64(&message);
            let url = text.replace('+', "-").replace('/', "_");
            let bare = text.trim_end_matches('=').to_owned();
            planted.extend([text.clone(), url, bare]);
        }
    }
    let known_as = [base64(&KEY), hex];
    for name in known_as {
        let mut hunt = Hunt::default();
        hunt.add("a key", &name);
        for form in &planted {
            let line = format!("12:00:01 INFO session: the key={form}. What else?\n");
            assert!(!hunt.find(line.as_bytes()).is_empty(), "{form}");
        }
        let raw = [b"KEY\n".as_slice(), &KEY, b"\n"].concat();
        assert!(!hunt.find(&raw).is_empty(), "raw");
        let other = KEY.map(|byte| byte ^ 1);
        for innocent in [
            base64(&other),
            format!("{other:?}"),
            "12:00 INFO".to_owned(),
        ] {
            assert_eq!(hunt.find(innocent.as_bytes()), Vec::<String>::new());
        }
    }
}

#[test]
fn a_planted_code_is_found_in_every_form() {
    let code = format!("2@{},{}", base64(&[KEY, KEY].concat()), base64(&KEY));
    for secret in ["ABCD1234", "ABCD-1234", "appeal-4711-x", code.as_str()] {
        let mut hunt = Hunt::default();
        hunt.add("a code", secret);
        for form in [
            secret.to_owned(),
            format!("{secret:?}"),
            format!("{:?}", secret.as_bytes()),
            base64(secret.as_bytes()),
            base64(format!("the code: {secret}.").as_bytes()),
        ] {
            let line = format!("12:00:01 WARN refused: {form}\n");
            assert!(!hunt.find(line.as_bytes()).is_empty(), "{form}");
        }
        assert_eq!(hunt.find(b"12:00:01 WARN refused: [redacted]"), [""; 0]);
    }
    let mut hunt = Hunt::default();
    hunt.add("a code", &code);
    assert!(
        !hunt.find(base64(&KEY).as_bytes()).is_empty(),
        "a part of it"
    );
}

#[test]
fn base64_is_what_the_standard_says() {
    for (bytes, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(bytes.as_bytes()), text);
        assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()));
    }
    assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
}
