//! The library's HTTP calls of one link.
//!
//! They are made in a room of their own: a server that hangs takes no thread from the database. And they do not
//! hold up the end of the link: whoever waits for a call learns at once that the link has ended, and the call
//! ends by its own limits.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use whatsapp_rust::anyhow::{self, anyhow};
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::wacore::net::{StreamingHttpResponse, UploadBody};
use whatsapp_rust::wacore::stats::HttpResourceReport;

use super::endpoint::as_served;
use super::scope::Scope;
use crate::blocking::Room;

/// How much of a body is read at a time, and how many such pieces may wait: 256 KiB for a download.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;

const ENDED: &str = "the link has ended";

/// The HTTP client of a link. The library wants one for each; all sessions on the same way share the one
/// behind it.
pub(super) struct LinkHttp {
    pub(super) http: Arc<dyn HttpClient>,
    pub(super) room: Room,
    /// The runtime of the links.
    pub(super) runtime: Handle,
    pub(super) scope: Scope,
}

/// A part of a download.
enum Part {
    Head(Result<u16, anyhow::Error>),
    Piece(io::Result<Bytes>),
}

impl LinkHttp {
    /// Passes on what a call in the room tells, until the link ends: then the receiver finds the end.
    fn until_the_end<T: Send + 'static>(
        &self,
        call: impl FnOnce(mpsc::Sender<T>) + Send + 'static,
    ) -> mpsc::Receiver<T> {
        let (tell, mut told) = mpsc::channel(1);
        let (pass_on, passed_on) = mpsc::channel(PIECES);
        let room = self.room.clone();
        // The caller's thread may belong to another runtime.
        let _inside = self.runtime.enter();
        self.scope.run(async move {
            let pass = async {
                while let Some(part) = told.recv().await {
                    if pass_on.send(part).await.is_err() {
                        break;
                    }
                }
            };
            tokio::join!(room.run(move || call(tell)), pass);
        });
        passed_on
    }
}

/// The request as its host serves it.
fn served(mut request: HttpRequest) -> HttpRequest {
    request.url = as_served(request.url);
    request
}

#[async_trait::async_trait]
impl HttpClient for LinkHttp {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse, anyhow::Error> {
        self.room.lend(self.http.execute(served(request))).await
    }

    fn supports_streaming(&self) -> bool {
        self.http.supports_streaming()
    }

    fn execute_streaming(
        &self,
        request: HttpRequest,
    ) -> Result<StreamingHttpResponse, anyhow::Error> {
        let (http, request) = (Arc::clone(&self.http), served(request));
        let mut parts = self.until_the_end(move |tell| download(&*http, request, &tell));
        match parts.blocking_recv() {
            Some(Part::Head(Ok(status_code))) => Ok(StreamingHttpResponse {
                status_code,
                body: Box::new(Body {
                    parts,
                    piece: Bytes::new(),
                    is_whole: false,
                }),
            }),
            Some(Part::Head(Err(why))) => Err(why),
            Some(Part::Piece(_)) | None => Err(anyhow!(ENDED)),
        }
    }

    fn supports_upload_streaming(&self) -> bool {
        self.http.supports_upload_streaming()
    }

    fn execute_upload(
        &self,
        request: HttpRequest,
        body: UploadBody,
        content_length: u64,
    ) -> Result<HttpResponse, anyhow::Error> {
        let (http, request) = (Arc::clone(&self.http), served(request));
        let mut answers = self.until_the_end(move |tell| {
            let answer = http.execute_upload(request, body, content_length);
            // Nobody waits any more when the link has ended.
            let _ = tell.blocking_send(answer);
        });
        answers
            .blocking_recv()
            .unwrap_or_else(|| Err(anyhow!(ENDED)))
    }

    fn resource_report(&self) -> Option<HttpResourceReport> {
        self.http.resource_report()
    }
}

/// Downloads, and tells each part. Ends when nobody wants the next one.
fn download(http: &dyn HttpClient, request: HttpRequest, tell: &mpsc::Sender<Part>) {
    let mut response = match http.execute_streaming(request) {
        Ok(response) => response,
        Err(why) => return drop(tell.blocking_send(Part::Head(Err(why)))),
    };
    let mut part = Part::Head(Ok(response.status_code));
    let mut buffer = vec![0; PIECE];
    loop {
        if tell.blocking_send(part).is_err() {
            return;
        }
        let read = loop {
            match response.body.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        // An empty piece is the end of the body. Nothing comes after it, or after an error.
        let is_last = matches!(read, Ok(0) | Err(_));
        part = Part::Piece(read.map(|read| Bytes::copy_from_slice(&buffer[..read])));
        if is_last {
            return drop(tell.blocking_send(part));
        }
    }
}

/// The body of a download.
struct Body {
    parts: mpsc::Receiver<Part>,
    piece: Bytes,
    is_whole: bool,
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.is_whole {
            match self.parts.blocking_recv() {
                Some(Part::Piece(piece)) => self.piece = piece?,
                // A body that stops is not whole.
                Some(Part::Head(_)) | None => return Err(io::Error::other(ENDED)),
            }
            self.is_whole = self.piece.is_empty();
        }
        let count = self.piece.len().min(into.len());
        into[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc as blocking;
    use std::time::Duration;

    use tracing::Span;

    use super::*;
    use crate::blocking::UncancellableWork;

    /// A web server: where it is asked from, and a body that comes in pieces and ends, fails or hangs.
    #[derive(Default)]
    struct Web {
        asked_on: Mutex<Vec<String>>,
        hangs: Mutex<Option<blocking::Receiver<()>>>,
        fails: bool,
    }

    impl Web {
        fn note(&self) {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            self.asked_on.lock().expect("no panic").push(thread);
        }
    }

    struct Pieces {
        left: usize,
        hangs: Option<blocking::Receiver<()>>,
        fails: bool,
    }

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.left > 0 {
                self.left -= 1;
                into[..3].copy_from_slice(b"abc");
                return Ok(3);
            }
            if let Some(hangs) = &self.hangs {
                let _ = hangs.recv();
            }
            if self.fails {
                return Err(io::Error::other("reset"));
            }
            Ok(0)
        }
    }

    #[async_trait::async_trait]
    impl HttpClient for Web {
        async fn execute(&self, _: HttpRequest) -> Result<HttpResponse, anyhow::Error> {
            let thread = || std::thread::current().name().unwrap_or_default().to_owned();
            let thread = tokio::task::spawn_blocking(thread).await?;
            self.asked_on.lock().expect("no panic").push(thread);
            Ok(HttpResponse {
                status_code: 200,
                body: Vec::new(),
            })
        }

        fn supports_streaming(&self) -> bool {
            true
        }

        fn execute_streaming(
            &self,
            _: HttpRequest,
        ) -> Result<StreamingHttpResponse, anyhow::Error> {
            self.note();
            let body = Pieces {
                left: 1000,
                hangs: self.hangs.lock().expect("no panic").take(),
                fails: self.fails,
            };
            Ok(StreamingHttpResponse {
                status_code: 206,
                body: Box::new(body),
            })
        }

        fn supports_upload_streaming(&self) -> bool {
            true
        }

        fn execute_upload(
            &self,
            _: HttpRequest,
            mut body: UploadBody,
            content_length: u64,
        ) -> Result<HttpResponse, anyhow::Error> {
            self.note();
            let mut sent = Vec::new();
            body.read_to_end(&mut sent)?;
            assert_eq!(sent.len() as u64, content_length);
            Ok(HttpResponse {
                status_code: 201,
                body: sent,
            })
        }

        fn resource_report(&self) -> Option<HttpResourceReport> {
            Some(HttpResourceReport::default())
        }
    }

    fn of_a_link(web: Web) -> (Arc<LinkHttp>, Arc<Web>, Scope) {
        let web = Arc::new(web);
        let scope = Scope::new(Span::none(), UncancellableWork::default());
        let http = LinkHttp {
            http: Arc::clone(&web) as Arc<dyn HttpClient>,
            room: Room::new("media", 2),
            runtime: Handle::current(),
            scope: scope.clone(),
        };
        (Arc::new(http), web, scope)
    }

    fn get() -> HttpRequest {
        HttpRequest::get("http://localhost/")
    }

    /// Downloads on a thread of a room, as the library does.
    async fn downloaded(http: &Arc<LinkHttp>) -> (u16, Vec<u8>, io::Result<usize>) {
        let http = Arc::clone(http);
        let library = Room::new("library", 1);
        let call = move || {
            let mut response = http.execute_streaming(get()).expect("an answer");
            let mut body = Vec::new();
            let read = response.body.read_to_end(&mut body);
            (response.status_code, body, read)
        };
        library.run(call).await
    }

    #[tokio::test]
    async fn every_call_is_passed_on_and_made_in_the_room() {
        let (http, web, _scope) = of_a_link(Web::default());
        assert!(http.supports_streaming() && http.supports_upload_streaming());
        assert!(http.resource_report().is_some());
        assert_eq!(
            http.execute(get()).await.expect("an answer").status_code,
            200
        );
        let (status, body, read) = downloaded(&http).await;
        assert_eq!((status, read.expect("whole")), (206, 3000));
        assert_eq!(body, b"abc".repeat(1000));
        let uploads = Arc::clone(&http);
        let upload = move || uploads.execute_upload(get(), Box::new(&b"abc"[..]), 3);
        let answer = Room::new("library", 1)
            .run(upload)
            .await
            .expect("an answer");
        assert_eq!(
            (answer.status_code, answer.body.as_slice()),
            (201, &b"abc"[..])
        );
        let asked_on = web.asked_on.lock().expect("no panic").clone();
        assert_eq!(asked_on, ["media", "media", "media"]);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_whole() {
        let (http, ..) = of_a_link(Web {
            fails: true,
            ..Web::default()
        });
        let (_, _, read) = downloaded(&http).await;
        assert_eq!(read.expect_err("not whole").to_string(), "reset");
    }

    #[tokio::test]
    async fn a_server_that_hangs_does_not_hold_up_the_end_of_the_link() {
        let (go, hangs) = blocking::channel();
        let (http, _, scope) = of_a_link(Web {
            hangs: Mutex::new(Some(hangs)),
            ..Web::default()
        });
        let mut download = tokio::spawn(async move { downloaded(&http).await });
        let early = tokio::time::timeout(Duration::from_millis(50), &mut download).await;
        assert!(early.is_err(), "it hangs");
        scope.cancel();
        let (_, body, read) = download.await.expect("no panic");
        assert_eq!(read.expect_err("the link has ended").to_string(), ENDED);
        assert!(body.len() <= 3000);
        drop(go);
    }
}
