//! What is in a QR code: a reference, the client's keys, and a secret for the phone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;
use crate::crypto::Key;

/// The text of a QR code, taken apart.
#[derive(Debug)]
pub(crate) struct QrCode {
    pub reference: String,
    pub noise_key: Key,
    pub identity: Key,
    pub adv_secret: [u8; 32],
}

impl QrCode {
    /// Reads `reference,noise key,identity key,secret` with or without further fields, and with or
    /// without the link that newer clients put in front of a `#`.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let text = text.split_once('#').map_or(text, |(_, text)| text);
        let mut fields = text.split(',');
        let reference = fields.next().filter(|reference| !reference.is_empty());
        let reference = reference.ok_or_else(|| Error::BadQr("it has no reference".to_owned()))?;
        let mut key = |what: &str| {
            let bytes = fields.next().and_then(|field| STANDARD.decode(field).ok());
            bytes
                .and_then(|bytes| Key::from_slice(&bytes))
                .ok_or_else(|| Error::BadQr(format!("its {what} is not 32 bytes in base64")))
        };
        Ok(Self {
            reference: reference.to_owned(),
            noise_key: key("noise key")?,
            identity: key("identity key")?,
            adv_secret: key("secret")?.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_clients_make_are_read() {
        let key = |byte| Key([byte; 32]).base64();
        let plain = format!("2@abc,{},{},{}", key(1), key(2), key(3));
        let shapes = [
            plain.clone(),
            format!("{plain},1"),
            format!("https://wa.me/settings/linked_devices#{plain},1\n"),
        ];
        for shape in shapes {
            let code = QrCode::read(&shape).unwrap();
            assert_eq!(code.reference, "2@abc");
            assert_eq!(code.noise_key, Key([1; 32]));
            assert_eq!(code.identity, Key([2; 32]));
            assert_eq!(code.adv_secret, [3; 32]);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ",,,",
            "2@abc",
            "2@abc,AAAA,AAAA,AAAA",
            "https://example.org",
        ] {
            assert!(matches!(QrCode::read(text), Err(Error::BadQr(_))), "{text}");
        }
    }
}
