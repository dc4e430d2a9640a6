//! The HTTP upgrade from a TCP connection to a WebSocket.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_websockets::{Limits, ServerBuilder, WebSocketStream};

use crate::fault::{Fault, Stage, Who};
use crate::frame::MAX_FRAME;
use crate::media_server::{self, MediaRequest};
use crate::observation::Observation;
use crate::shared::Shared;
use crate::wire::{LINGER, closed, drain};

/// How long a client may take to send its request.
const DEADLINE: Duration = Duration::from_secs(10);

/// The longest request that is read.
const MAX_HEAD: usize = 16 * 1024;

/// The empty line after a request.
const END: &[u8] = b"\r\n\r\n";

/// The path clients ask for; the real server takes anything below it too.
const PATH: &str = "/ws/chat";

/// Answers a client's request for a WebSocket. None when the client was refused, and is gone.
pub(crate) async fn accept(
    shared: &Shared,
    mut stream: TcpStream,
) -> Option<WebSocketStream<TcpStream>> {
    let anyone = Who::default();
    if shared
        .fault(&anyone, |fault| {
            matches!(fault, Fault::CloseOnAccept).then_some(())
        })
        .is_some()
    {
        shared.see(Observation::UpgradeRefused { status: 0 });
        drain(stream, LINGER).await;
        return None;
    }
    let (head, rest) = tokio::time::timeout(DEADLINE, read_head(&mut stream))
        .await
        .ok()??;
    if let Some(request) = MediaRequest::read(&head) {
        media_server::serve(shared, stream, request, rest).await;
        return None;
    }
    if shared
        .fault(&anyone, |fault| {
            matches!(fault, Fault::NoUpgrade).then_some(())
        })
        .is_some()
    {
        shared.see(Observation::UpgradeRefused { status: 0 });
        // Until the client gives up.
        let mut buffer = [0; 1024];
        while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {}
        return None;
    }
    if let Some(delay) = shared.delay(&anyone, Stage::Upgrade) {
        tokio::select! {
            biased;
            () = closed(&stream) => return None,
            () = tokio::time::sleep(delay) => {}
        }
    }
    let status = shared.fault(&anyone, |fault| match fault {
        Fault::HttpStatus(status) => Some(*status),
        _ => None,
    });
    let answer = status.map_or_else(|| accept_key(&head), Err);
    match answer {
        Ok(key) => {
            let response = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {key}\r\n\r\n"
            );
            stream.write_all(response.as_bytes()).await.ok()?;
            let limits = Limits::default().max_payload_len(Some(MAX_FRAME + 1024));
            Some(ServerBuilder::new().limits(limits).serve(stream))
        }
        Err(status) => {
            shared.see(Observation::UpgradeRefused { status });
            let response = format!(
                "HTTP/1.1 {status} {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                reason(status)
            );
            stream.write_all(response.as_bytes()).await.ok()?;
            drain(stream, LINGER).await;
            None
        }
    }
}

/// Reads up to the empty line. Returns that, and what came after it. None when the request is too long, or the client
/// goes away.
async fn read_head(stream: &mut TcpStream) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    let mut searched = 0usize;
    loop {
        let from = searched.saturating_sub(END.len());
        if let Some(found) = head[from..]
            .windows(END.len())
            .position(|window| window == END)
        {
            let rest = head.split_off(from + found + END.len());
            return Some((head, rest));
        }
        searched = head.len();
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
}

/// The value of `Sec-WebSocket-Accept`, or the status that refuses the request.
fn accept_key(head: &[u8]) -> Result<String, u16> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).map_err(|_| 400u16)?;
    if request.method != Some("GET") {
        return Err(405);
    }
    let path = request
        .path
        .unwrap_or_default()
        .split('?')
        .next()
        .unwrap_or_default();
    let below = path.strip_prefix(PATH).ok_or(404u16)?;
    if !below.is_empty() && !below.starts_with('/') {
        return Err(404);
    }
    let header = |name: &str| {
        let found = request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let upgrades = header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    if !upgrades || header("sec-websocket-version") != Some("13") {
        return Err(426);
    }
    let key = header("sec-websocket-key").ok_or(400u16)?;
    let digest = Sha1::new()
        .chain_update(key)
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        .finalize();
    Ok(STANDARD.encode(digest))
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "As Told",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str, headers: &str) -> Vec<u8> {
        format!("{line}\r\nHost: x\r\n{headers}\r\n").into_bytes()
    }

    const HEADERS: &str = "upgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    #[test]
    fn the_key_is_answered_as_the_standard_says() {
        // RFC 6455, section 1.3.
        for path in ["/ws/chat", "/ws/chat/", "/ws/chat?ED=abc", "/ws/chat/x?y"] {
            let head = request(&format!("GET {path} HTTP/1.1"), HEADERS);
            assert_eq!(
                accept_key(&head).unwrap(),
                "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_no_upgrade_is_refused() {
        let cases = [
            ("POST /ws/chat HTTP/1.1", HEADERS, 405),
            ("GET / HTTP/1.1", HEADERS, 404),
            ("GET /ws/chatter HTTP/1.1", HEADERS, 404),
            ("GET /ws/chat HTTP/1.1", "", 426),
            ("nonsense", "", 400),
        ];
        for (line, headers, status) in cases {
            assert_eq!(accept_key(&request(line, headers)), Err(status), "{line}");
        }
    }
}
