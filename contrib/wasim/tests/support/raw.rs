//! A client made from the protocol alone: Noise by the `snow` crate, frames cut as the test likes.

use buffa::{Message as _, MessageField};
use futures_util::{SinkExt as _, StreamExt as _};
use snow::{Builder, TransportState};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, OwnedNodeRef};
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;
use waproto::whatsapp::handshake_message::{ClientFinish, ClientHello};
use waproto::whatsapp::{
    ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC, CertChain, ClientPayload,
    HandshakeMessage,
};
use wasim::Server;

const PROLOGUE: [u8; 4] = *b"WA\x06\x03";

/// What a client is made of.
pub(crate) struct Keys {
    pub(crate) noise: snow::Keypair,
    pub(crate) identity: KeyPair,
    pub(crate) prekey: KeyPair,
    pub(crate) adv_secret: [u8; 32],
}

impl Keys {
    pub(crate) fn generate() -> Self {
        let builder = Builder::new("Noise_XX_25519_AESGCM_SHA256".parse().unwrap());
        Self {
            noise: builder.generate_keypair().unwrap(),
            identity: KeyPair::generate(&mut rand::rng()),
            prekey: KeyPair::generate(&mut rand::rng()),
            adv_secret: [9; 32],
        }
    }

    pub(crate) fn identity_public(&self) -> Vec<u8> {
        self.identity.public_key.public_key_bytes().to_vec()
    }

    pub(crate) fn registration(&self) -> ClientPayload {
        let signature = self
            .identity
            .calculate_signature(&self.prekey.public_key.serialize(), &mut rand::rng())
            .unwrap();
        ClientPayload {
            device_pairing_data: MessageField::some(DevicePairingRegistrationData {
                e_regid: Some(vec![0, 0, 1, 2]),
                e_keytype: Some(vec![5]),
                e_ident: Some(self.identity_public()),
                e_skey_id: Some(vec![0, 0, 1]),
                e_skey_val: Some(self.prekey.public_key.public_key_bytes().to_vec()),
                e_skey_sig: Some(signature.to_vec()),
                ..DevicePairingRegistrationData::default()
            }),
            ..ClientPayload::default()
        }
    }

    pub(crate) fn login(phone: u64, device: u32) -> ClientPayload {
        ClientPayload {
            username: Some(phone),
            device: Some(device),
            passive: Some(true),
            ..ClientPayload::default()
        }
    }

    pub(crate) fn qr(&self, reference: &str) -> String {
        let fields = [
            &self.noise.public,
            &self.identity_public(),
            &self.adv_secret.to_vec(),
        ];
        fields.iter().fold(reference.to_owned(), |text, field| {
            format!("{text},{}", base64(field))
        })
    }
}

pub(crate) struct RawClient {
    wire: Wire,
    noise: TransportState,
    /// The server's static key, proved by its certificate.
    pub(crate) server_key: Vec<u8>,
}

/// The byte stream in the WebSocket.
struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    read: Vec<u8>,
    /// The size of the pieces in which bytes are sent.
    cut: usize,
}

impl RawClient {
    /// XX, with everything the server says checked against its root.
    pub(crate) async fn connect(
        server: &Server,
        keys: &Keys,
        payload: &ClientPayload,
        cut: usize,
    ) -> Self {
        Self::connect_to(&server.url(), &server.root_key(), keys, payload, cut).await
    }

    pub(crate) async fn connect_to(
        url: &str,
        root: &[u8; 32],
        keys: &Keys,
        payload: &ClientPayload,
        cut: usize,
    ) -> Self {
        let mut wire = Wire::open(url, cut).await;
        let pattern = "Noise_XX_25519_AESGCM_SHA256".parse().unwrap();
        let mut noise =
            Builder::with_resolver(pattern, Box::new(super::resolver::Resolver::default()))
                .prologue(&PROLOGUE)
                .unwrap()
                .local_private_key(&keys.noise.private)
                .unwrap()
                .build_initiator()
                .unwrap();
        let mut buffer = vec![0; 65535];
        let length = noise.write_message(&[], &mut buffer).unwrap();
        let hello = hello(&buffer[..length], None);
        wire.send(
            &[b"ED\0\x01\0\0\x03abc".as_slice(), &PROLOGUE].concat(),
            &hello,
        )
        .await;

        let answer = wire.next().await.expect("a server hello");
        let answer = HandshakeMessage::decode_from_slice(&answer)
            .unwrap()
            .server_hello
            .into_option()
            .unwrap();
        let message = [
            answer.ephemeral.unwrap(),
            answer.r#static.unwrap(),
            answer.payload.unwrap(),
        ]
        .concat();
        let length = noise.read_message(&message, &mut buffer).unwrap();
        let server_key = noise.get_remote_static().unwrap().to_vec();
        verify_chain(&buffer[..length], &server_key, root);

        let length = noise
            .write_message(&payload.encode_to_vec(), &mut buffer)
            .unwrap();
        let (client_key, sealed) = buffer[..length].split_at(48);
        let finish = HandshakeMessage {
            client_finish: MessageField::some(ClientFinish {
                r#static: Some(client_key.to_vec()),
                payload: Some(sealed.to_vec()),
                ..ClientFinish::default()
            }),
            ..HandshakeMessage::default()
        };
        wire.send(&[], &finish.encode_to_vec()).await;
        Self {
            wire,
            noise: noise.into_transport_mode().unwrap(),
            server_key,
        }
    }

    /// IK, with a server key known from before. None when the server does not take it.
    pub(crate) async fn resume(
        server: &Server,
        keys: &Keys,
        server_key: &[u8],
        payload: &ClientPayload,
    ) -> Option<Self> {
        let mut wire = Wire::open(&server.url(), usize::MAX).await;
        let mut noise = Builder::new("Noise_IK_25519_AESGCM_SHA256".parse().unwrap())
            .prologue(&PROLOGUE)
            .unwrap()
            .local_private_key(&keys.noise.private)
            .unwrap()
            .remote_public_key(server_key)
            .unwrap()
            .build_initiator()
            .unwrap();
        let mut buffer = vec![0; 65535];
        let length = noise
            .write_message(&payload.encode_to_vec(), &mut buffer)
            .unwrap();
        let (ephemeral, rest) = buffer[..length].split_at(32);
        let hello = hello(ephemeral, Some(rest.split_at(48)));
        wire.send(&PROLOGUE, &hello).await;
        let answer = wire.next().await?;
        let answer = HandshakeMessage::decode_from_slice(&answer)
            .unwrap()
            .server_hello
            .into_option()?;
        if answer.r#static.is_some() {
            return None;
        }
        let message = [answer.ephemeral.unwrap(), answer.payload.unwrap()].concat();
        let length = noise.read_message(&message, &mut buffer).unwrap();
        verify_chain(&buffer[..length], server_key, &server.root_key());
        Some(Self {
            wire,
            noise: noise.into_transport_mode().unwrap(),
            server_key: server_key.to_vec(),
        })
    }

    /// Sends stanzas, all in one piece unless the client cuts.
    pub(crate) async fn send(&mut self, nodes: &[Node]) {
        let mut bytes = Vec::new();
        for node in nodes {
            let plain = wacore_binary::marshal(node).unwrap();
            let mut sealed = vec![0; plain.len() + 16];
            let length = self.noise.write_message(&plain, &mut sealed).unwrap();
            bytes.extend(frame(&sealed[..length]));
        }
        self.wire.write(&bytes).await;
    }

    /// The next stanza; None when the server has closed.
    pub(crate) async fn next(&mut self) -> Option<Node> {
        let sealed = self.wire.next().await?;
        let mut plain = vec![0; sealed.len()];
        let length = self.noise.read_message(&sealed, &mut plain).unwrap();
        assert_eq!(plain[0], 0, "not compressed");
        Some(
            OwnedNodeRef::new(plain[1..length].to_vec())
                .unwrap()
                .to_owned_node(),
        )
    }

    /// How the connection ends: `close` (WebSocket), `end` (FIN) or `reset` (RST).
    pub(crate) async fn ending(&mut self) -> &'static str {
        match self.wire.socket.next().await {
            Some(Ok(message)) if message.is_close() => "close",
            Some(Ok(_)) => "data",
            Some(Err(tokio_websockets::Error::Io(error))) => match error.kind() {
                std::io::ErrorKind::ConnectionReset => "reset",
                _ => "end",
            },
            Some(Err(_)) | None => "end",
        }
    }

    /// The references to show, and the id of the request they came with.
    pub(crate) async fn refs(&mut self) -> (Vec<String>, String) {
        let request = self.next().await.expect("a request");
        let offer = request
            .get_optional_child("pair-device")
            .expect("an offer to pair");
        let refs = offer
            .get_children_by_tag("ref")
            .map(|node| node.content_as_string().unwrap().to_string());
        (refs.collect(), text(&request, "id"))
    }

    /// Answers `<pair-success>` with a signature by `signer`.
    pub(crate) async fn sign(&mut self, keys: &Keys, success: &Node, signer: &KeyPair) {
        let bytes = |node: &Node| match node.content.clone() {
            Some(wacore_binary::NodeContent::Bytes(bytes)) => bytes,
            other => panic!("not bytes: {other:?}"),
        };
        let identity = success
            .get_optional_child("pair-success")
            .and_then(|success| success.get_optional_child("device-identity"))
            .expect("a device identity");
        let container = ADVSignedDeviceIdentityHMAC::decode_from_slice(&bytes(identity)).unwrap();
        let mut statement =
            ADVSignedDeviceIdentity::decode_from_slice(&container.details.unwrap()).unwrap();
        let message = [
            [6, 1].as_slice(),
            statement.details.as_deref().unwrap(),
            &keys.identity_public(),
            statement.account_signature_key.as_deref().unwrap(),
        ]
        .concat();
        let signature = signer
            .calculate_signature(&message, &mut rand::rng())
            .unwrap();
        statement.device_signature = Some(signature.to_vec());
        statement.account_signature_key = None;
        let identity = NodeBuilder::new("device-identity")
            .attr("key-index", 1)
            .bytes(statement.encode_to_vec())
            .build();
        let answer = NodeBuilder::new("iq")
            .attr("to", "s.whatsapp.net")
            .attr("type", "result")
            .attr("id", text(success, "id"))
            .children([NodeBuilder::new("pair-device-sign")
                .children([identity])
                .build()])
            .build();
        self.send(&[answer]).await;
    }
}

impl Wire {
    async fn open(url: &str, cut: usize) -> Self {
        let url = url.parse().unwrap();
        let (socket, _) = ClientBuilder::from_uri(url).connect().await.unwrap();
        Self {
            socket,
            read: Vec::new(),
            cut,
        }
    }

    async fn send(&mut self, introduction: &[u8], payload: &[u8]) {
        self.write(&[introduction, &frame(payload)].concat()).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.cut.min(bytes.len())) {
            self.socket
                .send(Message::binary(piece.to_vec()))
                .await
                .unwrap();
        }
    }

    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let [a, b, c, rest @ ..] = self.read.as_slice() {
                let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
                if rest.len() >= length {
                    let frame = rest[..length].to_vec();
                    self.read.drain(..3 + length);
                    return Some(frame);
                }
            }
            let message = self.socket.next().await?.ok()?;
            if message.is_close() {
                return None;
            }
            self.read.extend_from_slice(message.as_payload());
        }
    }
}

pub(crate) fn text(node: &Node, name: &str) -> String {
    node.attrs
        .get(name)
        .map(|value| value.as_str().into_owned())
        .unwrap_or_default()
}

fn hello(ephemeral: &[u8], resumption: Option<(&[u8], &[u8])>) -> Vec<u8> {
    let hello = ClientHello {
        ephemeral: Some(ephemeral.to_vec()),
        r#static: resumption.map(|(key, _)| key.to_vec()),
        payload: resumption.map(|(_, payload)| payload.to_vec()),
        ..ClientHello::default()
    };
    HandshakeMessage {
        client_hello: MessageField::some(hello),
        ..HandshakeMessage::default()
    }
    .encode_to_vec()
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], payload].concat()
}

fn verify_chain(chain: &[u8], server_key: &[u8], root: &[u8; 32]) {
    use waproto::whatsapp::cert_chain::noise_certificate::Details;
    let chain = CertChain::decode_from_slice(chain).unwrap();
    let verify = |issuer: &[u8], certificate: &waproto::whatsapp::cert_chain::NoiseCertificate| {
        let details = certificate.details.clone().unwrap();
        let issuer = PublicKey::from_djb_public_key_bytes(issuer).unwrap();
        assert!(issuer.verify_signature(&details, certificate.signature.as_deref().unwrap()));
        Details::decode_from_slice(&details).unwrap()
    };
    let intermediate = verify(root, &chain.intermediate);
    let leaf = verify(intermediate.key.as_deref().unwrap(), &chain.leaf);
    assert_eq!(intermediate.issuer_serial, Some(0));
    assert_eq!(leaf.issuer_serial, intermediate.serial);
    assert_eq!(leaf.key.as_deref(), Some(server_key));
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
