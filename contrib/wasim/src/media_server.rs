//! The server of files: HTTP on the same port as the WebSocket.
//!
//! Clients make `https` URLs of the host they are given. One that rehearses has to be told to use plain HTTP with it.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fault::{Fault, Who};
use crate::media::token_of;
use crate::observation::Observation;
use crate::shared::Shared;
use crate::wire::{LINGER, drain};

/// The biggest file that is taken.
const MAX_FILE: usize = 256 * 1024 * 1024;

/// The start of the path of an upload.
const UPLOADS: &str = "/mms/";

/// The start of the path of a file.
const FILES: &str = "/v/";

/// A request about a file.
pub(crate) struct MediaRequest {
    post: bool,
    /// Path and query.
    target: String,
    length: Option<usize>,
    chunked: bool,
    expects: bool,
    range: Option<(usize, Option<usize>)>,
}

impl MediaRequest {
    /// None for a request about anything else.
    pub(crate) fn read(head: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(head).ok()?;
        let target = request.path?.to_owned();
        let post = request.method? == "POST";
        if !(target.starts_with(UPLOADS) && post || target.starts_with(FILES)) {
            return None;
        }
        let header = |name: &str| {
            let mut found = request.headers.iter();
            let found = found.find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(found.value).ok().map(str::trim)
        };
        Some(Self {
            post,
            target,
            length: header("content-length").and_then(|length| length.parse().ok()),
            chunked: header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")),
            expects: header("expect").is_some(),
            range: header("range").and_then(range),
        })
    }

    fn query(&self) -> HashMap<&str, &str> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect()
    }

    /// The last part of the path.
    fn token(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }
}

/// `bytes=from-to`; the end may be left out.
fn range(text: &str) -> Option<(usize, Option<usize>)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()))
}

/// What is answered.
struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(status: u16) -> Self {
        Self {
            status,
            headers: String::new(),
            body: Vec::new(),
        }
    }

    fn json(value: &serde_json::Value) -> Self {
        Self {
            status: 200,
            headers: "Content-Type: application/json\r\n".to_owned(),
            body: value.to_string().into_bytes(),
        }
    }
}

/// Answers one request. `rest` is what came of its body already.
pub(crate) async fn serve(
    shared: &Shared,
    mut stream: TcpStream,
    request: MediaRequest,
    rest: Vec<u8>,
) {
    let answer = if request.post {
        upload(shared, &mut stream, &request, rest).await
    } else {
        Some(download(shared, &request))
    };
    // A client that has gone away gets no answer.
    let Some(answer) = answer else { return };
    let head = format!(
        "HTTP/1.1 {} As Told\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n",
        answer.status,
        answer.body.len(),
        answer.headers,
    );
    let sent = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&answer.body).await?;
        stream.flush().await
    };
    if sent.await.is_ok() {
        drain(stream, LINGER).await;
    }
}

fn download(shared: &Shared, request: &MediaRequest) -> Answer {
    let told = shared.fault(&Who::default(), |fault| match fault {
        Fault::MediaStatus(status) => Some(*status),
        _ => None,
    });
    let found = match told {
        Some(status) => Err(status),
        None => shared.world().media.get(&request.target),
    };
    let status = found.as_ref().err().copied().unwrap_or(200);
    let size = found.as_ref().map_or(0, |file| file.len());
    shared.see(Observation::MediaFetched { status, size });
    let file = match found {
        Ok(file) => file,
        Err(status) => return Answer::status(status),
    };
    let Some((from, to)) = request.range else {
        return Answer {
            status: 200,
            headers: "Content-Type: application/octet-stream\r\n".to_owned(),
            body: file.to_vec(),
        };
    };
    let end = to.map_or(file.len(), |to| to.saturating_add(1).min(file.len()));
    match file.get(from..end) {
        Some(part) if !part.is_empty() => Answer {
            status: 206,
            headers: format!("Content-Range: bytes {from}-{}/{}\r\n", end - 1, file.len()),
            body: part.to_vec(),
        },
        _ => Answer::status(416),
    }
}

/// None: the client is gone.
async fn upload(
    shared: &Shared,
    stream: &mut TcpStream,
    request: &MediaRequest,
    rest: Vec<u8>,
) -> Option<Answer> {
    let (query, token) = (request.query(), request.token().to_owned());
    let told = shared.fault(&Who::default(), |fault| match fault {
        Fault::UploadStatus(status) => Some(*status),
        _ => None,
    });
    let wrong_auth = query.get("auth") != Some(&shared.world().media.auth());
    let refused = told.or(wrong_auth.then_some(401));
    if query.get("resume") == Some(&"1") {
        return Some(progress(shared, &token, refused));
    }
    let offset: usize = query
        .get("file_offset")
        .and_then(|offset| offset.parse().ok())
        .unwrap_or_default();
    if request.expects
        && stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .is_err()
    {
        return None;
    }
    let body = match body(stream, request, rest).await {
        Ok(body) => body,
        Err(part) => {
            shared.world().media.keep_partial(&token, offset, &part);
            return None;
        }
    };
    let stored = match refused {
        Some(status) => Err(status),
        None => store(shared, &token, offset, body),
    };
    let (status, size) = match &stored {
        Ok((_, size)) => (200, *size),
        Err(status) => (*status, 0),
    };
    shared.see(Observation::MediaStored { status, size });
    Some(match stored {
        Ok((path, _)) => Answer::json(&located(shared, &path)),
        Err(status) => Answer::status(status),
    })
}

/// Keeps a file whose hash is the one in its URL. Returns its path and size.
fn store(
    shared: &Shared,
    token: &str,
    offset: usize,
    body: Vec<u8>,
) -> Result<(String, usize), u16> {
    let mut world = shared.world();
    let whole = world.media.take_whole(token, offset, body).ok_or(416u16)?;
    let size = whole.len();
    if token_of(&whole) != token {
        return Err(400);
    }
    Ok((world.media.put(whole), size))
}

/// How far an upload got.
fn progress(shared: &Shared, token: &str, refused: Option<u16>) -> Answer {
    if let Some(status) = refused {
        return Answer::status(status);
    }
    let (whole, partial) = {
        let world = shared.world();
        (world.media.path_of(token), world.media.partial(token))
    };
    match (whole, partial) {
        (Some(path), _) => {
            let mut located = located(shared, &path);
            located["resume"] = "complete".into();
            Answer::json(&located)
        }
        (None, 0) => Answer::status(404),
        (None, partial) => Answer::json(&serde_json::json!({ "resume": partial.to_string() })),
    }
}

fn located(shared: &Shared, path: &str) -> serde_json::Value {
    serde_json::json!({ "url": shared.media_url(path), "direct_path": path })
}

/// The body of a request; what there is of it, if the client goes away before its end.
async fn body(
    stream: &mut TcpStream,
    request: &MediaRequest,
    rest: Vec<u8>,
) -> Result<Vec<u8>, Vec<u8>> {
    if request.chunked {
        return chunks(stream, rest).await;
    }
    let length = request.length.unwrap_or_default().min(MAX_FILE);
    let mut body = rest;
    while body.len() < length {
        match stream.read_buf(&mut body).await {
            Ok(read) if read > 0 => {}
            _ => return Err(body),
        }
    }
    body.truncate(length);
    Ok(body)
}

/// A body that comes in chunks, each with its length before it.
async fn chunks(stream: &mut TcpStream, mut raw: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
    let mut body = Vec::new();
    loop {
        while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(&raw) {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size == 0 {
                return Ok(body);
            }
            if size > MAX_FILE || body.len() + size > MAX_FILE {
                return Err(body);
            }
            let Some(chunk) = raw.get(start..start + size) else {
                break;
            };
            if raw.len() < start + size + 2 {
                break;
            }
            body.extend_from_slice(chunk);
            raw.drain(..start + size + 2);
        }
        match stream.read_buf(&mut raw).await {
            Ok(read) if read > 0 => {}
            _ => return Err(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_about_files_are_told_from_others() {
        let read = |text: &str| MediaRequest::read(text.as_bytes());
        let upload = read(
            "POST /mms/image/TOKEN?auth=a&token=TOKEN&file_offset=5 HTTP/1.1\r\n\
             Content-Length: 7\r\nExpect: 100-continue\r\n\r\n",
        )
        .unwrap();
        assert_eq!((upload.token(), upload.length), ("TOKEN", Some(7)));
        assert_eq!(upload.query()["file_offset"], "5");
        assert!(upload.post && upload.expects && !upload.chunked);
        let download = read("GET /v/t62/x.enc?auth=a HTTP/1.1\r\nRange: bytes=3-\r\n\r\n").unwrap();
        assert_eq!(download.range, Some((3, None)));
        for other in [
            "GET /ws/chat HTTP/1.1\r\n\r\n",
            "GET /mms/x HTTP/1.1\r\n\r\n",
            "x",
        ] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
