//! The server's side of the Noise handshake: XX, IK for clients that know the server's key, and the
//! fallback.
//!
//! WhatsApp departs from the Noise specification in one point: the empty payload of the first XX
//! message is not hashed.

use buffa::{Message as _, MessageField};
use thiserror::Error;
use waproto::whatsapp::HandshakeMessage;
use waproto::whatsapp::handshake_message::{ClientFinish, ClientHello, ServerHello};

use crate::certificate::Certificate;
use crate::crypto::{Key, Pair};
use crate::noise::{Cipher, NoiseError, Symmetric};

const XX: &str = "Noise_XX_25519_AESGCM_SHA256";
const IK: &str = "Noise_IK_25519_AESGCM_SHA256";
const FALLBACK: &str = "Noise_XXfallback_25519_AESGCM_SHA256";

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum HandshakeError {
    #[error(transparent)]
    Noise(#[from] NoiseError),
    #[error("not a handshake message: {0}")]
    Malformed(String),
    #[error("{0} is missing or too short")]
    Missing(&'static str),
}

/// What the client hello asks for.
pub(crate) struct Hello {
    ephemeral: [u8; 32],
    /// The encrypted static key and payload of IK.
    resumption: Option<(Vec<u8>, Vec<u8>)>,
}

/// How a handshake was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Xx,
    Ik,
    Fallback,
}

/// What both ends know after a handshake.
pub(crate) struct Established {
    pub pattern: Pattern,
    /// The client's static key, which it has proved to own.
    pub client: Key,
    /// The encoded `ClientPayload`.
    pub payload: Vec<u8>,
    pub read: Cipher,
    pub write: Cipher,
}

/// IK, as far as the client hello goes: the client is known, nothing has been answered.
pub(crate) struct Resumption {
    state: Symmetric,
    ephemeral: [u8; 32],
    client: [u8; 32],
    payload: Vec<u8>,
}

/// XX or its fallback, waiting for the client to finish.
pub(crate) struct Pending {
    state: Symmetric,
    ours: Pair,
    pattern: Pattern,
}

impl Hello {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let hello: ClientHello = decode(bytes)?
            .client_hello
            .into_option()
            .ok_or(HandshakeError::Missing("the client hello"))?;
        let ephemeral = key(hello.ephemeral.as_deref(), "the client's ephemeral key")?;
        let resumption = match (hello.r#static, hello.payload) {
            (Some(client), Some(payload)) => Some((client, payload)),
            _ => None,
        };
        Ok(Self {
            ephemeral,
            resumption,
        })
    }

    /// Whether the client tries to resume with IK.
    pub(crate) fn resumes(&self) -> bool {
        self.resumption.is_some()
    }

    /// Reads the client's key and payload from an IK hello.
    pub(crate) fn resume(
        &self,
        prologue: &[u8],
        certificate: &Certificate,
    ) -> Result<Resumption, HandshakeError> {
        let (client, payload) = self
            .resumption
            .as_ref()
            .ok_or(HandshakeError::Missing("the client's static key"))?;
        let ours = certificate.key();
        let mut state = Symmetric::new(IK, prologue);
        state.mix_hash(&ours.public());
        state.mix_hash(&self.ephemeral);
        state.mix_key(ours.agree(&self.ephemeral))?;
        let client = state.decrypt_and_hash(client)?;
        let client = key(Some(&client), "the client's static key")?;
        state.mix_key(ours.agree(&client))?;
        let payload = state.decrypt_and_hash(payload)?;
        Ok(Resumption {
            state,
            ephemeral: self.ephemeral,
            client,
            payload,
        })
    }

    /// Answers with the server's key and certificate. A client that tried IK falls back.
    pub(crate) fn answer(
        &self,
        prologue: &[u8],
        certificate: &Certificate,
    ) -> Result<(Vec<u8>, Pending), HandshakeError> {
        let (name, pattern) = if self.resumes() {
            (FALLBACK, Pattern::Fallback)
        } else {
            (XX, Pattern::Xx)
        };
        let ours = Pair::generate();
        let mut state = Symmetric::new(name, prologue);
        state.mix_hash(&self.ephemeral);
        state.mix_hash(&ours.public());
        state.mix_key(ours.agree(&self.ephemeral))?;
        let sealed_key = state.encrypt_and_hash(&certificate.key().public());
        state.mix_key(certificate.key().agree(&self.ephemeral))?;
        let sealed_chain = state.encrypt_and_hash(certificate.chain());
        let hello = server_hello(&ours, Some(sealed_key), sealed_chain);
        Ok((
            hello,
            Pending {
                state,
                ours,
                pattern,
            },
        ))
    }
}

impl Resumption {
    /// The encoded `ClientPayload`, known before anything is answered.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn answer(
        mut self,
        certificate: &Certificate,
    ) -> Result<(Vec<u8>, Established), HandshakeError> {
        let ours = Pair::generate();
        self.state.mix_hash(&ours.public());
        self.state.mix_key(ours.agree(&self.ephemeral))?;
        self.state.mix_key(ours.agree(&self.client))?;
        let sealed_chain = self.state.encrypt_and_hash(certificate.chain());
        let hello = server_hello(&ours, None, sealed_chain);
        let (read, write) = self.state.split();
        let established = Established {
            pattern: Pattern::Ik,
            client: Key(self.client),
            payload: self.payload,
            read,
            write,
        };
        Ok((hello, established))
    }
}

impl Pending {
    pub(crate) fn finish(mut self, bytes: &[u8]) -> Result<Established, HandshakeError> {
        let finish: ClientFinish = decode(bytes)?
            .client_finish
            .into_option()
            .ok_or(HandshakeError::Missing("the client's finish"))?;
        let sealed_key = finish
            .r#static
            .ok_or(HandshakeError::Missing("the client's static key"))?;
        let sealed_payload = finish
            .payload
            .ok_or(HandshakeError::Missing("the client's payload"))?;
        let client = self.state.decrypt_and_hash(&sealed_key)?;
        let client = key(Some(&client), "the client's static key")?;
        self.state.mix_key(self.ours.agree(&client))?;
        let payload = self.state.decrypt_and_hash(&sealed_payload)?;
        let (read, write) = self.state.split();
        Ok(Established {
            pattern: self.pattern,
            client: Key(client),
            payload,
            read,
            write,
        })
    }
}

fn server_hello(ours: &Pair, sealed_key: Option<Vec<u8>>, sealed_chain: Vec<u8>) -> Vec<u8> {
    let hello = ServerHello {
        ephemeral: Some(ours.public().to_vec()),
        r#static: sealed_key,
        payload: Some(sealed_chain),
        ..ServerHello::default()
    };
    let message = HandshakeMessage {
        server_hello: MessageField::some(hello),
        ..HandshakeMessage::default()
    };
    message.encode_to_vec()
}

fn decode(bytes: &[u8]) -> Result<HandshakeMessage, HandshakeError> {
    HandshakeMessage::decode_from_slice(bytes)
        .map_err(|error| HandshakeError::Malformed(error.to_string()))
}

fn key(bytes: Option<&[u8]>, what: &'static str) -> Result<[u8; 32], HandshakeError> {
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(HandshakeError::Missing(what))
}
