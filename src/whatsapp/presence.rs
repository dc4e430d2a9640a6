//! What the account's contacts and its phone learn of a session's presence.
//!
//! The library says `available` after each login with a name, after the first name and after renames, and
//! has no switch for that. While a linked device is available, the owner's phone is silent: it shows no
//! notifications. A stanza that takes the `available` back would leave behind others that were queued
//! before. So an `available` that nobody here asked for leaves as `unavailable`: the place where every
//! stanza passes in order, before it is encrypted, is the library's crypto provider.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use whatsapp_rust::wacore::libsignal::crypto::{
    CryptoProviderError, GcmInPlaceBuffer, RustCryptoProvider, SignalCryptoProvider, TransportAead,
    set_crypto_provider,
};

/// What a session that is online says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// The phone goes on to show notifications.
    #[default]
    Unavailable,
    /// Contacts see the account online for as long as the session is, and the phone may stay silent.
    Available,
}

/// What may leave a link.
#[derive(Debug, Clone, Default)]
pub(super) struct Announcements(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether `available` may leave.
    available: AtomicBool,
    /// How many times `available` may leave all the same, because the daemon itself says it.
    passes: AtomicUsize,
    /// Wakes whoever waits until one was held back.
    held_back: Notify,
}

tokio::task_local! {
    /// The announcements of the link whose task runs.
    static PRESENT: Announcements;
}

impl Announcements {
    /// Runs a task of the link. Connections that it makes follow these rules.
    pub(super) async fn scope<T>(self, task: impl Future<Output = T>) -> T {
        PRESENT.scope(self, task).await
    }

    /// Sets what the link says of itself. Returns whether that is new.
    pub(super) fn set(&self, presence: Presence) -> bool {
        let available = presence == Presence::Available;
        self.0.available.swap(available, Ordering::SeqCst) != available
    }

    pub(super) fn present(&self) -> Presence {
        if self.0.available.load(Ordering::SeqCst) {
            Presence::Available
        } else {
            Presence::Unavailable
        }
    }

    /// Lets the next `available` pass.
    pub(super) fn let_one_pass(&self) {
        self.0.passes.store(1, Ordering::SeqCst);
    }

    pub(super) fn let_none_pass(&self) {
        self.0.passes.store(0, Ordering::SeqCst);
    }

    /// Waits until an `available` was held back.
    pub(super) async fn held_back(&self) {
        self.0.held_back.notified().await;
    }

    /// Whether an `available` must not leave now.
    fn holds_back(&self) -> bool {
        let passes = &self.0.passes;
        let takes = |passes: usize| passes.checked_sub(1);
        let hold = self.present() == Presence::Unavailable
            && passes
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, takes)
                .is_err();
        if hold {
            self.0.held_back.notify_one();
        }
        hold
    }

    /// Looks at a stanza that is about to leave, and makes an `available` that must not leave an
    /// `unavailable`.
    fn look_at(&self, stanza: &mut [u8]) {
        if let Some(word) = available_in(stanza)
            && self.holds_back()
        {
            *word = UNAVAILABLE;
        }
    }
}

/// How a `<presence type="available">` begins: the flags, the head of a short list with the number of its
/// items, and then words that are tokens of one byte. The library writes `type` first. What follows, above all
/// the account's name, is not read: not every name that can be written can be read back.
const FLAGS: u8 = 0;
const SHORT_LIST: u8 = 248;
const PRESENCE: u8 = 31;
const TYPE: u8 = 4;
const AVAILABLE: u8 = 136;
const UNAVAILABLE: u8 = 48;

/// The word `available` in the stanza, if it is a `<presence type="available">`.
fn available_in(stanza: &mut [u8]) -> Option<&mut u8> {
    match stanza {
        [FLAGS, SHORT_LIST, _, PRESENCE, TYPE, word @ AVAILABLE, ..] => Some(word),
        _ => None,
    }
}

/// Puts the crypto provider in place that every stanza passes. It must be there before the first link.
/// Returns whether it is.
pub(super) fn watch_stanzas() -> bool {
    static IN_PLACE: OnceLock<bool> = OnceLock::new();
    *IN_PLACE.get_or_init(|| set_crypto_provider(Provider).is_ok())
}

/// The library's own crypto provider; only the connections are watched.
struct Provider;

static LIBRARY: RustCryptoProvider = RustCryptoProvider;

impl SignalCryptoProvider for Provider {
    fn aes_256_cbc_encrypt(
        &self,
        key: &[u8; 32],
        iv: &[u8; 16],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoProviderError> {
        LIBRARY.aes_256_cbc_encrypt(key, iv, plaintext, out)
    }

    fn aes_256_cbc_decrypt(
        &self,
        key: &[u8; 32],
        iv: &[u8; 16],
        ciphertext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoProviderError> {
        LIBRARY.aes_256_cbc_decrypt(key, iv, ciphertext, out)
    }

    fn aes_256_cbc_decrypt_in_place(
        &self,
        key: &[u8; 32],
        iv: &[u8; 16],
        buffer: &mut Vec<u8>,
    ) -> Result<(), CryptoProviderError> {
        LIBRARY.aes_256_cbc_decrypt_in_place(key, iv, buffer)
    }

    fn aes_256_gcm_encrypt(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoProviderError> {
        LIBRARY.aes_256_gcm_encrypt(key, nonce, aad, plaintext, out)
    }

    fn aes_256_gcm_decrypt(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext_with_tag: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoProviderError> {
        LIBRARY.aes_256_gcm_decrypt(key, nonce, aad, ciphertext_with_tag, out)
    }

    fn hmac_sha256(&self, key: &[u8], input: &[u8]) -> [u8; 32] {
        LIBRARY.hmac_sha256(key, input)
    }

    fn hmac_sha256_two_part(&self, key: &[u8], first: &[u8], second: &[u8]) -> [u8; 32] {
        LIBRARY.hmac_sha256_two_part(key, first, second)
    }

    fn aes_256_gcm_encrypt_in_place(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut dyn GcmInPlaceBuffer,
    ) -> Result<(), CryptoProviderError> {
        LIBRARY.aes_256_gcm_encrypt_in_place(key, nonce, aad, buffer)
    }

    fn aes_256_gcm_decrypt_in_place(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut dyn GcmInPlaceBuffer,
    ) -> Result<(), CryptoProviderError> {
        LIBRARY.aes_256_gcm_decrypt_in_place(key, nonce, aad, buffer)
    }

    fn transport_aead(
        &'static self,
        key: &[u8; 32],
    ) -> Result<Box<dyn TransportAead>, CryptoProviderError> {
        let cipher = LIBRARY.transport_aead(key)?;
        Ok(match PRESENT.try_with(Announcements::clone) {
            Ok(announcements) => Box::new(Watched {
                cipher,
                announcements,
            }),
            // The other end of a rehearsal in this process.
            Err(_) => cipher,
        })
    }
}

/// The encryption of a connection, which every stanza passes in order.
struct Watched {
    cipher: Box<dyn TransportAead>,
    announcements: Announcements,
}

impl TransportAead for Watched {
    fn encrypt_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut dyn GcmInPlaceBuffer,
    ) -> Result<(), CryptoProviderError> {
        self.announcements.look_at(buffer.as_mut_slice());
        self.cipher.encrypt_in_place(nonce, aad, buffer)
    }

    fn decrypt_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut dyn GcmInPlaceBuffer,
    ) -> Result<(), CryptoProviderError> {
        self.cipher.decrypt_in_place(nonce, aad, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use whatsapp_rust::wacore_binary::builder::NodeBuilder;
    use whatsapp_rust::wacore_binary::marshal::{marshal, marshal_exact};

    fn presence(kind: &str, name: &str) -> Vec<u8> {
        let node = NodeBuilder::new("presence");
        let node = node.attr("type", kind).attr("name", name).build();
        marshal_exact(&node).expect("a stanza")
    }

    #[test]
    fn an_available_leaves_as_unavailable() {
        let quiet = Announcements::default();
        // A name that is a token, one with digits only, one of another alphabet, a long one.
        for name in [
            "Alice",
            "name",
            "12345678",
            "Ålïçé 😀",
            &"x".repeat(300),
            "",
            "Bob @ Work",
            "info@shop.example",
            "@alice",
            "a_5@lid",
        ] {
            let mut stanza = presence("available", name);
            quiet.look_at(&mut stanza);
            assert_eq!(stanza, presence("unavailable", name), "{name}");
        }
    }

    #[test]
    fn what_is_asked_for_and_what_is_no_available_stays() {
        let announcements = Announcements::default();
        let renamed = NodeBuilder::new("presence").attr("name", "Bob").build();
        let to = NodeBuilder::new("presence");
        let subscribed = to.attr("type", "subscribe").attr("to", "1@lid").build();
        let message = NodeBuilder::new("message")
            .attr("type", "available")
            .build();
        let untouched = [renamed, subscribed, message].map(|node| marshal(&node).expect("bytes"));
        for before in untouched.into_iter().chain([vec![], vec![0, 248, 3, 31]]) {
            let mut stanza = before.clone();
            announcements.look_at(&mut stanza);
            assert_eq!(stanza, before);
        }
        let (available, unavailable) = (
            presence("available", "Alice"),
            presence("unavailable", "Alice"),
        );
        let leaves_as = |expected: &[u8]| {
            let mut stanza = available.clone();
            announcements.look_at(&mut stanza);
            assert_eq!(stanza, expected);
        };
        announcements.let_one_pass();
        leaves_as(&available);
        leaves_as(&unavailable);
        assert!(announcements.set(Presence::Available));
        leaves_as(&available);
        assert!(!announcements.set(Presence::Available));
        assert!(announcements.set(Presence::Unavailable));
        leaves_as(&unavailable);
    }
}
