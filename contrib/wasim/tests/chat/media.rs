//! Files, both ways.

use wasim::{Content, Error, Fault, FaultRule, MediaKind, Observation, Options, Server};
use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::upload::{UploadOptions, UploadResponse};
use whatsapp_rust::wacore::download::MediaType;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::{MediaRetryResult, MediaReuploadRequest};

use super::client::{ChatClient, pn};
use super::{CONTACT, LONG, PHONE};

fn bytes(count: usize) -> Vec<u8> {
    (0..count)
        .map(|place| u8::try_from(place * 7 % 251).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_fetches_what_a_contact_sends_until_it_is_gone() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    let picture = bytes(100_000);
    let content = Content::media(MediaKind::Image, "image/png", &picture);
    let id = server.say_content(CONTACT, PHONE, content).await.unwrap();
    let came = client.message().await;
    let mut image = came.message.image_message.clone().into_option().unwrap();
    assert_eq!(image.file_length, Some(100_000));
    assert_eq!(client.client.download(&image).await.unwrap(), picture);
    assert_eq!(server.media(&id).await.unwrap(), picture);

    for status in [410, 404] {
        server.lose_media(&id, status, false).await.unwrap();
        assert!(client.client.download(&image).await.is_err());
        let gone = |seen: &Observation| matches!(seen, Observation::MediaFetched { status: with, .. } if *with == status);
        server.wait_for(gone, LONG).await.unwrap();
        assert!(matches!(
            server.media(&id).await,
            Err(Error::BadMedia { .. })
        ));
        let key = image.media_key.clone().unwrap();
        let chat = pn(CONTACT);
        let request = || MediaReuploadRequest {
            msg_id: &id,
            chat_jid: &chat,
            media_key: &key,
            is_from_me: false,
            participant: None,
        };
        let again = client.client.media_reupload().request(&request()).await;
        let MediaRetryResult::Success { direct_path } = again.unwrap() else {
            panic!("the phone has it still");
        };
        image.direct_path = Some(direct_path);
        assert_eq!(client.client.download(&image).await.unwrap(), picture);
    }

    server.lose_media(&id, 410, true).await.unwrap();
    let key = image.media_key.clone().unwrap();
    let request = MediaReuploadRequest {
        msg_id: &id,
        chat_jid: &pn(CONTACT),
        media_key: &key,
        is_from_me: false,
        participant: None,
    };
    let again = client.client.media_reupload().request(&request).await;
    assert!(matches!(again.unwrap(), MediaRetryResult::NotFound));
    client.stop().await;
    server.shutdown().await;
}

fn document(upload: &UploadResponse) -> wa::Message {
    wa::Message {
        document_message: MessageField::some(wa::message::DocumentMessage {
            url: Some(upload.url.clone()),
            direct_path: Some(upload.direct_path.clone()),
            media_key: Some(upload.media_key.to_vec()),
            file_sha256: Some(upload.file_sha256.to_vec()),
            file_enc_sha256: Some(upload.file_enc_sha256.to_vec()),
            file_length: Some(upload.file_length),
            mimetype: Some("text/plain".to_owned()),
            file_name: Some("notes.txt".to_owned()),
            ..wa::message::DocumentMessage::default()
        }),
        ..wa::Message::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_fetches_what_a_device_sends() {
    let server = Server::start(Options::default()).await.unwrap();
    let (client, _) = ChatClient::pair(&server, PHONE).await;
    // The second one is so big that the client asks first how much of it is there; the permission is renewed before
    // each.
    for size in [1000, 6 * 1024 * 1024] {
        let file = bytes(size);
        server
            .execute(wasim::Command::RenewMediaAuth)
            .await
            .unwrap();
        let upload =
            client
                .client
                .upload(file.clone(), MediaType::Document, UploadOptions::default());
        let upload = upload.await.unwrap();
        let jid = pn(CONTACT);
        let sent = client.client.send_message(&jid, document(&upload)).await;
        let id = sent.unwrap().message_id;
        let heard = server.wait_heard(CONTACT, LONG).await.unwrap();
        let Some(Content::Media {
            media,
            file_name,
            size: told,
            ..
        }) = heard.content
        else {
            panic!("another kind");
        };
        assert_eq!((media, told), (MediaKind::Document, size as u64));
        assert_eq!(file_name.as_deref(), Some("notes.txt"));
        assert_eq!(server.media(&id).await.unwrap(), file);

        // A message that lies about its file is found out.
        let mut lie = upload.clone();
        lie.file_sha256[0] ^= 1;
        let sent = client.client.send_message(&jid, document(&lie)).await;
        let id = sent.unwrap().message_id;
        server.wait_heard(CONTACT, LONG).await.unwrap();
        assert!(matches!(
            server.media(&id).await,
            Err(Error::BadMedia { .. })
        ));
    }
    let refused = FaultRule::from(Fault::UploadStatus(500)).times(1);
    server.set_fault(refused).await.unwrap();
    let upload = client
        .client
        .upload(bytes(10), MediaType::Image, UploadOptions::default());
    assert!(upload.await.is_err());
    client.stop().await;
    server.shutdown().await;
}
