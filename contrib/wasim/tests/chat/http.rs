//! The server of files, as any HTTP client finds it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wacore_binary::builder::NodeBuilder;
use wasim::{Content, MediaKind, Observation, Options, Server};

use super::support::pair_raw;
use super::support::raw::{Keys, RawClient, text};
use super::{CONTACT, LONG, PHONE};

/// The SHA-256 of `abcdef`, as it stands in URLs.
const TOKEN: &str = "vvV-x_U6bUC-tkCngKY5yDvCmsipgW8fxsXG3Nk8RyE";

/// Sends a request as it is. Returns status and body.
async fn exchange(server: &Server, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

fn post(query: &str, body: &str) -> String {
    format!(
        "POST /mms/document/{TOKEN}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What a device has to show to upload something.
async fn permission(server: &Server) -> String {
    let keys = Keys::generate();
    pair_raw(server, &keys, PHONE).await;
    let login = Keys::login(PHONE.parse().unwrap(), 1);
    let mut client = RawClient::connect(server, &keys, &login, usize::MAX).await;
    assert_eq!(client.next().await.unwrap().tag, "success");
    let ask = NodeBuilder::new("iq")
        .attr("to", "s.whatsapp.net")
        .attr("type", "set")
        .attr("xmlns", "w:m")
        .attr("id", "media")
        .children([NodeBuilder::new("media_conn").build()])
        .build();
    client.send(&[ask]).await;
    let answer = client.next().await.unwrap();
    let hosts = answer.get_optional_child("media_conn").unwrap();
    let host = hosts.get_optional_child("host").unwrap();
    assert_eq!(text(host, "hostname"), server.address().to_string());
    text(hosts, "auth")
}

#[tokio::test]
async fn uploads_go_on_where_they_broke_off_and_are_checked() {
    let server = Server::start(Options::default()).await.unwrap();
    let auth = format!("auth={}&token={TOKEN}", permission(&server).await);
    assert_eq!(
        exchange(&server, &post("auth=wrong", "abcdef")).await.0,
        401
    );
    assert_eq!(exchange(&server, &post(&auth, "abcdex")).await.0, 400);
    let resume = format!("{auth}&resume=1");
    assert_eq!(exchange(&server, &post(&resume, "")).await.0, 404);

    // It breaks off after four of six bytes.
    let whole = post(&auth, "abcdef");
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream
        .write_all(&whole.as_bytes()[..whole.len() - 2])
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut nothing = Vec::new();
    stream.read_to_end(&mut nothing).await.unwrap();
    assert!(nothing.is_empty());
    let (status, answer) = exchange(&server, &post(&resume, "")).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["resume"]), (200, &"4".into()));
    let rest = format!("{auth}&file_offset=4");
    let (status, answer) = exchange(&server, &post(&rest, "ef")).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let path = answer["direct_path"].as_str().unwrap().to_owned();
    assert_eq!(status, 200);
    assert!(answer["url"].as_str().unwrap().ends_with(&path));
    let (_, answer) = exchange(&server, &post(&resume, "")).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["resume"], "complete");

    let get = |more: &str| format!("GET {path}?auth=x HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    assert_eq!(
        exchange(&server, &get("")).await,
        (200, "abcdef".to_owned())
    );
    assert_eq!(
        exchange(&server, &get("Range: bytes=2-3\r\n")).await,
        (206, "cd".to_owned())
    );
    assert_eq!(exchange(&server, &get("Range: bytes=6-\r\n")).await.0, 416);
    let chunked = format!(
        "POST /mms/image/{TOKEN}?{auth} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n"
    );
    assert_eq!(exchange(&server, &chunked).await.0, 200);
    let stored = |seen: &Observation| {
        matches!(
            seen,
            Observation::MediaStored {
                status: 200,
                size: 6
            }
        )
    };
    for _ in 0..2 {
        server.wait_for(stored, LONG).await.unwrap();
    }
    server.shutdown().await;
}

#[tokio::test]
async fn the_key_of_a_file_is_a_secret_and_other_paths_are_none() {
    let server = Server::start(Options::default()).await.unwrap();
    let plain = b"nobody shall read this".as_slice();
    let content = Content::media(MediaKind::Document, "text/plain", plain);
    let before = server.secrets().len();
    let id = server.say_content(CONTACT, PHONE, content).await.unwrap();
    // Its key, in both forms.
    assert_eq!(server.secrets().len(), before + 2);
    assert_eq!(server.media(&id).await.unwrap(), plain);
    let missing = "GET /v/none HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(exchange(&server, missing).await.0, 404);
    server.shutdown().await;
}
