//! The HTTP client that the library uses for media: WhatsApp's media hosts, or the simulator in their place.
//!
//! Files pass as streams. The library reads and writes them on threads that may block; the exchange itself runs on the
//! runtime, which those threads wait for.

use async_trait::async_trait;
use bytes::Bytes;
use std::io::{self, Read};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use wacore::net::{HttpClient, HttpRequest, HttpResponse, StreamingHttpResponse, UploadBody};

/// For an exchange that is held in memory.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(120);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);
/// Without a byte, however long the whole takes.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(30);
/// Read from a file at once; the media hosts see no difference.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces between the thread that reads a file and the one that sends it.
const PIECES_QUEUED_MAX: usize = 4;

pub(super) struct MediaHttp {
    client: reqwest::Client,
    /// The simulator's base address: every host is looked for there.
    simulator: Option<url::Url>,
    runtime: Handle,
}

impl MediaHttp {
    /// Within a runtime, which carries the exchanges.
    pub(super) fn new(simulator: Option<url::Url>) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIME_MAX)
            .read_timeout(SILENCE_TIME_MAX)
            .build()?;
        Ok(Self { client, simulator, runtime: Handle::current() })
    }

    fn target(&self, text: &str) -> anyhow::Result<url::Url> {
        let mut url = url::Url::parse(text)?;
        if let Some(simulator) = &self.simulator {
            let mut mapped = simulator.clone();
            mapped.set_path(url.path());
            mapped.set_query(url.query());
            url = mapped;
        }
        Ok(url)
    }

    fn request(&self, request: &HttpRequest) -> anyhow::Result<reqwest::RequestBuilder> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())?;
        let mut outgoing = self.client.request(method, self.target(&request.url)?);
        for (name, value) in &request.headers {
            outgoing = outgoing.header(name, value);
        }
        Ok(outgoing)
    }
}

#[async_trait]
impl HttpClient for MediaHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let mut outgoing = self.request(&request)?.timeout(REQUEST_TIME_MAX);
        if let Some(body) = request.body {
            outgoing = outgoing.body(body);
        }
        let answer = outgoing.send().await?;
        Ok(HttpResponse { status_code: answer.status().as_u16(), body: answer.bytes().await?.to_vec() })
    }

    fn supports_streaming(&self) -> bool {
        true
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        let answer = self.runtime.block_on(self.request(&request)?.send())?;
        let status_code = answer.status().as_u16();
        let body = Incoming { answer, piece: Bytes::new(), runtime: self.runtime.clone() };
        Ok(StreamingHttpResponse { status_code, body: Box::new(body) })
    }

    fn supports_upload_streaming(&self) -> bool {
        true
    }

    fn execute_upload(&self, request: HttpRequest, body: UploadBody, length: u64) -> anyhow::Result<HttpResponse> {
        let (pieces, queue) = mpsc::channel(PIECES_QUEUED_MAX);
        // Ends when all is read, or when nobody takes the pieces any more.
        let reading = self.runtime.spawn_blocking(move || pump(body.take(length), &pieces));
        let stream = futures_util::stream::unfold(queue, |mut queue| async move {
            let piece = queue.recv().await?;
            Some((piece, queue))
        });
        // With the length said, it is not sent in chunks, which the media hosts refuse.
        let outgoing = self.request(&request)?.header("content-length", length);
        let outgoing = outgoing.body(reqwest::Body::wrap_stream(stream));
        self.runtime.block_on(async {
            let answer = outgoing.send().await?;
            let status_code = answer.status().as_u16();
            let body = answer.bytes().await?.to_vec();
            reading.await?;
            Ok(HttpResponse { status_code, body })
        })
    }
}

fn pump(mut body: impl Read, pieces: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let read = body.read(&mut piece);
        let over = !matches!(read, Ok(1..));
        let piece = match read {
            Ok(0) => return,
            Ok(count) => {
                piece.truncate(count);
                Ok(Bytes::from(piece))
            }
            Err(error) => Err(error),
        };
        if pieces.blocking_send(piece).is_err() || over {
            return;
        }
    }
}

/// The body of an answer, for a thread that may block.
struct Incoming {
    answer: reqwest::Response,
    piece: Bytes,
    runtime: Handle,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.answer.chunk()).map_err(io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let taken = self.piece.len().min(into.len());
        into[..taken].copy_from_slice(&self.piece.split_to(taken));
        Ok(taken)
    }
}
