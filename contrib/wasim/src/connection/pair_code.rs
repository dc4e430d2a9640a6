//! Pairing by a code that the client shows and a person types on the phone.
//!
//! The client sends a key of its own, encrypted with the code, and the phone answers in the same way. Both
//! then share a secret. Nobody without the code has it, not even the server.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::crypto::aes_256_gcm_decrypt;

use super::{Connection, Phase, Step};
use crate::Error;
use crate::account::phone_number;
use crate::crypto::{Key, Pair, aes_ctr, hkdf_sha256, pbkdf2_sha256, random};
use crate::fault::Fault;
use crate::observation::Observation;
use crate::order::{Outcome, Typed};
use crate::shared::now;
use crate::stanza::{attr, child_content, error_of, result_of};
use crate::wire::Goodbye;

/// How often the code is hashed before it is a key.
const ROUNDS: u32 = 131_072;

/// A salt, an initialisation vector, a key.
const WRAPPED: usize = 32 + 16 + 32;

/// How far the pairing by code is.
#[derive(Default)]
pub(super) struct Code {
    /// What the client was given to recognise the phone's answer by.
    reference: Option<Vec<u8>>,
    typed: Option<Box<Typed>>,
}

impl Connection {
    pub(super) async fn answer_pair_code(&mut self, stanza: &Node, request: &Node) -> Step {
        match attr(request, "stage").as_deref() {
            Some("companion_hello") => self.companion_hello(stanza, request).await,
            Some("companion_finish") => self.companion_finish(stanza, request).await,
            _ => self.send(&error_of(stanza, 400, "bad-request")).await,
        }
    }

    /// The client shows a code for this phone number.
    async fn companion_hello(&mut self, stanza: &Node, request: &Node) -> Step {
        let phone = attr(request, "jid")
            .and_then(|jid| phone_number(jid.split('@').next().unwrap_or_default()).ok());
        let wrapped = child_content(request, "link_code_pairing_wrapped_companion_ephemeral_pub");
        let (Some(phone), Some(wrapped)) =
            (phone, wrapped.filter(|wrapped| wrapped.len() == WRAPPED))
        else {
            return self.send(&error_of(stanza, 400, "bad-request")).await;
        };
        let wrapped = wrapped.to_vec();
        self.who.phone = Some(phone.clone());
        let refused = self.fault(|fault| match fault {
            Fault::RefusePairCode(code) => Some(*code),
            _ => None,
        });
        let refused = refused.or_else(|| (!is_browser(request)).then_some(400));
        self.shared.see(Observation::PairCodeRequested {
            connection: self.id,
            phone: phone.clone(),
            refused,
        });
        if let Some(code) = refused {
            return self.send(&error_of(stanza, code, refusal(code))).await;
        }
        let Phase::Pairing(pairing) = &mut self.phase else {
            return Step::Continue(());
        };
        let reference = format!("3@{}", Key(random()).base64());
        self.shared.world().secrets.insert(reference.clone());
        let reference = reference.into_bytes();
        pairing.code = Code {
            reference: Some(reference.clone()),
            typed: None,
        };
        {
            let mut world = self.shared.world();
            let showing = world
                .links
                .get_mut(&self.id)
                .and_then(|link| link.showing.as_mut());
            if let Some(showing) = showing {
                showing.code = Some((phone, wrapped));
            }
        }
        let answer = NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "companion_hello")
            .children([NodeBuilder::new("link_code_pairing_ref")
                .bytes(reference)
                .build()])
            .build();
        self.send(&result_of(stanza).children([answer]).build())
            .await?;
        if self.has_fault(&Fault::CloseAfterPairCode) {
            return Step::Break(Goodbye::Close);
        }
        Step::Continue(())
    }

    /// WhatsApp wants the client to show another code: this one is not good any more.
    pub(super) async fn refresh_code(&mut self, force: bool) -> Step {
        let reference = match &mut self.phase {
            Phase::Pairing(pairing) => std::mem::take(&mut pairing.code).reference,
            _ => None,
        };
        let Some(reference) = reference else {
            return Step::Continue(());
        };
        if let Some(showing) = self
            .shared
            .world()
            .links
            .get_mut(&self.id)
            .and_then(|link| link.showing.as_mut())
        {
            showing.code = None;
        }
        let mut refresh = NodeBuilder::new("link_code_companion_reg").attr("stage", "refresh_code");
        if force {
            refresh = refresh.attr("force_manual_refresh", "true");
        }
        let refresh = refresh
            .children([NodeBuilder::new("link_code_pairing_ref")
                .bytes(reference)
                .build()])
            .build();
        let notification = self.notification("link_code_companion_reg", vec![refresh]);
        self.send(&notification).await
    }

    /// The person has typed a code: the phone sends its key.
    pub(super) async fn typed(&mut self, typed: Typed) -> Step {
        let reference = match &self.phase {
            Phase::Pairing(pairing) => pairing.code.reference.clone(),
            _ => None,
        };
        let (Phase::Pairing(pairing), Some(reference)) = (&mut self.phase, reference) else {
            let _ = typed.outcome.send(Err(Error::CodeExpired));
            return Step::Continue(());
        };
        let identity = self
            .shared
            .world()
            .account(&typed.phone, now())
            .identity
            .public();
        let hello = NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "primary_hello")
            .children([
                NodeBuilder::new("link_code_pairing_wrapped_primary_ephemeral_pub")
                    .bytes(typed.wrapped.clone())
                    .build(),
                NodeBuilder::new("primary_identity_pub")
                    .bytes(identity.to_vec())
                    .build(),
                NodeBuilder::new("link_code_pairing_ref")
                    .bytes(reference)
                    .build(),
            ])
            .build();
        pairing.code.typed = Some(Box::new(typed));
        let notification = self.notification("link_code_companion_reg", vec![hello]);
        self.send(&notification).await
    }

    /// The client sends its identity in a bundle that only the right code opens.
    async fn companion_finish(&mut self, stanza: &Node, request: &Node) -> Step {
        let Phase::Pairing(pairing) = &mut self.phase else {
            return Step::Continue(());
        };
        let current =
            child_content(request, "link_code_pairing_ref") == pairing.code.reference.as_deref();
        let Some(typed) = pairing.code.typed.take_if(|_| current) else {
            return self.send(&error_of(stanza, 400, "bad-request")).await;
        };
        // The server cannot tell a right bundle from a wrong one: it takes either. Only the phone
        // can.
        self.send(&result_of(stanza).build()).await?;
        let Typed {
            phone,
            ours,
            client,
            outcome,
            ..
        } = *typed;
        let account = self.shared.world().account(&phone, now()).identity.clone();
        let bundle =
            child_content(request, "link_code_pairing_wrapped_key_bundle").unwrap_or_default();
        let identity = child_content(request, "companion_identity_public").unwrap_or_default();
        match open(bundle, identity, &ours, &client, &account) {
            Some(adv_secret) => {
                self.shared.world().keep_secret(&Key(adv_secret));
                self.claim(phone, &adv_secret, outcome).await
            }
            None => self.wrong_code(phone, outcome),
        }
    }

    fn wrong_code(&self, phone: String, outcome: Outcome) -> Step {
        self.shared.see(Observation::PairingFailed {
            connection: self.id,
            phone,
            error: Error::WrongCode.to_string(),
        });
        let _ = outcome.send(Err(Error::WrongCode));
        Step::Continue(())
    }
}

/// Opens the bundle, checks whose keys are in it, and derives the secret that both sides now share.
fn open(
    bundle: &[u8],
    identity: &[u8],
    ours: &Pair,
    client: &Key,
    account: &Pair,
) -> Option<[u8; 32]> {
    let (salt, rest) = bundle.split_first_chunk::<32>()?;
    let (nonce, sealed) = rest.split_first_chunk::<12>()?;
    let shared = ours.agree(&client.0)?;
    let mut key = [0; 32];
    hkdf_sha256(
        &shared,
        Some(salt),
        b"link_code_pairing_key_bundle_encryption_key",
        &mut key,
    );
    let mut plain = Vec::new();
    aes_256_gcm_decrypt(&key, nonce, b"", sealed, &mut plain).ok()?;

    let (bundled, rest) = plain.split_first_chunk::<32>()?;
    let (primary, rest) = rest.split_first_chunk::<32>()?;
    let random: &[u8; 32] = rest.try_into().ok()?;
    if bundled != identity || *primary != account.public() {
        return None;
    }
    let identities = account.agree(bundled)?;
    let mut secret = [0; 32];
    hkdf_sha256(
        &[shared, identities, *random].concat(),
        None,
        b"adv_secret",
        &mut secret,
    );
    Some(secret)
}

/// Encrypts a key with a code. Slow on purpose: keep it off the threads that serve connections.
pub(crate) fn wrap(key: [u8; 32], code: &str) -> Vec<u8> {
    let (salt, iv) = (random::<32>(), random::<16>());
    let mut key = key;
    aes_ctr(
        &pbkdf2_sha256(code.as_bytes(), &salt, ROUNDS),
        &iv,
        &mut key,
    );
    [salt.as_slice(), &iv, &key].concat()
}

/// Decrypts a key with a code; with a wrong code, to something else. Slow, as [`wrap`] is.
pub(crate) fn unwrap(wrapped: &[u8], code: &str) -> Option<Key> {
    let (salt, rest) = wrapped.split_first_chunk::<32>()?;
    let (iv, sealed) = rest.split_first_chunk::<16>()?;
    let mut key: [u8; 32] = sealed.try_into().ok()?;
    aes_ctr(&pbkdf2_sha256(code.as_bytes(), salt, ROUNDS), iv, &mut key);
    Some(Key(key))
}

/// The code as it is hashed: as people read it, without the dash.
pub(crate) fn normalize(code: &str) -> Result<String, Error> {
    let code: String = code
        .chars()
        .filter(|letter| !matches!(letter, '-' | ' '))
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    if code.len() == 8 && code.bytes().all(|letter| letter.is_ascii_alphanumeric()) {
        Ok(code)
    } else {
        Err(Error::Invalid(
            "a pair code has eight letters and digits".to_owned(),
        ))
    }
}

/// The browsers that a client may say it is.
const BROWSERS: [&str; 7] = [
    "Chrome", "Edge", "Firefox", "IE", "Opera", "Safari", "Android",
];

/// The operating systems that it may say it runs on.
const SYSTEMS: [&str; 12] = [
    "Windows",
    "Mac OS",
    "Mac OS X",
    "macOS",
    "Mac",
    "Linux",
    "Ubuntu",
    "Debian",
    "Fedora",
    "Chrome OS",
    "Android",
    "iOS",
];

/// Whether a request for a pair code names a browser and a system as WhatsApp wants them: `Chrome (Linux)`. Other
/// names, such as a product's, are refused.
fn is_browser(request: &Node) -> bool {
    let display = child_content(request, "companion_platform_display");
    let display = display.and_then(|display| std::str::from_utf8(display).ok());
    let names = display
        .and_then(|display| display.strip_suffix(')'))
        .and_then(|display| display.split_once(" ("));
    let platform = child_content(request, "companion_platform_id").unwrap_or_default();
    // Zero is the number of a platform that nobody knows.
    let known = !platform.is_empty() && platform != b"0" && platform != [0];
    known
        && names.is_some_and(|(browser, system)| {
            BROWSERS.contains(&browser) && SYSTEMS.contains(&system)
        })
}

fn refusal(code: u16) -> &'static str {
    match code {
        400 => "bad-request",
        403 => "forbidden",
        429 => "rate-overlimit",
        452 => "feature-not-available",
        500 => "internal-server-error",
        _ => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_code_unwraps_a_key() {
        let key = [7; 32];
        let wrapped = wrap(key, "ABCD1234");
        assert_eq!(wrapped.len(), WRAPPED);
        assert_eq!(unwrap(&wrapped, "ABCD1234"), Some(Key(key)));
        assert_ne!(unwrap(&wrapped, "ABCD1235"), Some(Key(key)));
        assert_eq!(unwrap(&wrapped[1..], "ABCD1234"), None);
    }

    #[test]
    fn only_browsers_on_systems_are_given_codes() {
        let request = |display: &str, id: &str| {
            let child = |tag, text: &str| NodeBuilder::new(tag).bytes(text.as_bytes()).build();
            let children = [
                child("companion_platform_display", display),
                child("companion_platform_id", id),
            ];
            NodeBuilder::new("link_code_companion_reg")
                .children(children)
                .build()
        };
        for good in [
            "Chrome (Linux)",
            "Firefox (Ubuntu)",
            "Safari (Mac OS)",
            "Edge (Windows)",
        ] {
            assert!(is_browser(&request(good, "1")), "{good}");
        }
        for bad in [
            "",
            "Chrome",
            "Chrome (Acme)",
            "Acme (Linux)",
            "Chrome(Linux)",
            "Chrome (Linux",
            "chrome (linux)",
            "Chrome () (Linux)",
        ] {
            assert!(!is_browser(&request(bad, "1")), "{bad}");
        }
        assert!(!is_browser(&request("Chrome (Linux)", "0")));
        assert!(!is_browser(&request("Chrome (Linux)", "")));
        assert!(!is_browser(&NodeBuilder::new("none").build()));
    }

    #[test]
    fn codes_are_taken_as_people_write_them() {
        assert_eq!(normalize("abcd-1234").unwrap(), "ABCD1234");
        assert!(normalize("abcd-123").is_err());
        assert!(normalize("abcd+1234").is_err());
    }
}
