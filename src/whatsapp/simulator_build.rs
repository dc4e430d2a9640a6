//! A build for the simulator uploads media to it, and downloads them from it.

use std::io::Cursor;
use std::time::Duration;

use tracing::Span;
use whatsapp_rust::Client;
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::download::{DownloadParams, MediaType};
use whatsapp_rust::upload::{UploadOptions, UploadResponse};
use whatsapp_rust::wacore::upload::encrypt_media_streaming;

use super::gateway::{Gateway, GatewaySettings};
use super::{Expected, Link, LinkEvent, Scope};
use crate::blocking::{Rooms, UncancellableWork};
use crate::deadline::Deadline;
use crate::store::{Record, Store};

const PHONE: &str = "15550001001";
const LONG: Duration = Duration::from_mins(1);
/// So big that the library asks first how much of it is there.
const BIG: usize = 6 * 1024 * 1024;

fn file(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

/// Where an uploaded file is.
fn located(upload: &UploadResponse) -> DownloadParams {
    DownloadParams::encrypted(
        upload.direct_path.as_str(),
        &upload.media_key,
        &upload.file_sha256,
        &upload.file_enc_sha256,
        upload.file_length,
        MediaType::Document,
    )
}

/// Uploads a file as a whole.
async fn upload(client: &Client, file: &[u8]) -> UploadResponse {
    let options = UploadOptions::default();
    let upload = client.upload(file.to_vec(), MediaType::Document, options);
    upload.await.expect("an upload")
}

/// Uploads a file piece by piece.
async fn stream(client: &Client, file: &[u8]) -> UploadResponse {
    let mut encrypted = Vec::new();
    let info = encrypt_media_streaming(file, &mut encrypted, MediaType::Document).expect("sealed");
    let source = Bytes::from(encrypted);
    let upload = client.upload_stream(source, info, MediaType::Document);
    upload.await.expect("an upload")
}

/// The client is the one of a link of the daemon, with all that is between it and the network.
#[tokio::test(flavor = "multi_thread")]
async fn media_go_to_the_simulator_and_come_back() {
    let simulator = wasim::Server::start(wasim::Options::default())
        .await
        .expect("start the simulator");
    let settings = GatewaySettings {
        endpoint: Some(simulator.url()),
        version: Some((2, 3000, 1)),
        ..GatewaySettings::default()
    };
    let gateway = Gateway::new(&settings, &Rooms::new()).expect("a gateway");
    let dir = tempfile::tempdir().expect("a directory");
    let scope = Scope::new(Span::none(), UncancellableWork::default());
    let expected = Expected {
        paired: false,
        full_handshake: false,
        to_unlink: false,
    };
    let store = Store::open(dir.path()).expect("a store");
    let alice = "alice".parse().expect("an id");
    store.create(&alice, &Record::new(0)).expect("a session");
    let credentials = store.credentials(&alice);
    let opened = Link::open(&gateway, &credentials, expected, scope).await;
    let (link, mut told) = opened.expect("open");
    let up = async {
        loop {
            match told.recv().await.expect("an event") {
                LinkEvent::Qr {
                    code, number: 1, ..
                } => {
                    let scanned = simulator.scan(code.reveal(), PHONE).await;
                    scanned.expect("scan");
                }
                LinkEvent::Online(_) => break,
                LinkEvent::Ended(ending) => panic!("it ended: {ending:?}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(LONG, up)
        .await
        .expect("it is up in time");
    // Somebody has to take the events while the media travel.
    let events = tokio::spawn(async move { while told.recv().await.is_some() {} });

    let client = &link.handle().client;
    for size in [1000, BIG] {
        let file = file(size);
        for uploaded in [upload(client, &file).await, stream(client, &file).await] {
            let there = located(&uploaded);
            let whole = client.download(&there).await.expect("a download");
            assert!(whole == file, "{} bytes came back", whole.len());
            let written = client.download_to_writer(&there, Cursor::new(Vec::new()));
            let written = written.await.expect("a download").into_inner();
            assert!(written == file, "{} bytes were written", written.len());
        }
    }
    let stored = |seen: &wasim::Seen| {
        let wasim::Observation::MediaStored { status, .. } = seen.observation else {
            return None;
        };
        Some(status)
    };
    let seen = simulator.observations(0).await.expect("what it saw");
    let stored: Vec<_> = seen.iter().filter_map(stored).collect();
    assert_eq!(stored, [200; 4]);

    let deadline = Deadline::within(Duration::from_secs(30));
    link.close(true, deadline).await.expect("close");
    events.await.expect("no panic");
    simulator.shutdown().await;
}
