//! A webhook receiver with its own listener: it keeps what arrives, and answers as the test says at that moment.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// One request that arrived.
#[derive(Clone)]
pub struct Arrival {
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Arrival {
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answering = Box<dyn Fn(&Arrival) -> (StatusCode, HeaderMap) + Send>;

struct Inside {
    answering: Mutex<Answering>,
    arrived: Mutex<Vec<Arrival>>,
}

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    inside: Arc<Inside>,
}

impl Receiver {
    /// Answers 204 until it is told otherwise.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let answering: Answering = Box::new(|_| (StatusCode::NO_CONTENT, HeaderMap::new()));
        let inside = Arc::new(Inside { answering: Mutex::new(answering), arrived: Mutex::default() });
        let router = Router::new().fallback(take).with_state(inside.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inside }
    }

    /// From now on the answer to every request.
    pub fn answer(&self, status: u16) {
        let status = StatusCode::from_u16(status).unwrap();
        self.answer_by(move |_| (status, HeaderMap::new()));
    }

    pub fn answer_by(&self, answering: impl Fn(&Arrival) -> (StatusCode, HeaderMap) + Send + 'static) {
        *self.inside.answering.lock().unwrap() = Box::new(answering);
    }

    pub fn arrived(&self) -> Vec<Arrival> {
        self.inside.arrived.lock().unwrap().clone()
    }
}

async fn take(State(inside): State<Arc<Inside>>, request: Request) -> (StatusCode, HeaderMap) {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
    let arrival = Arrival { uri: parts.uri, headers: parts.headers, body };
    let answer = (inside.answering.lock().unwrap())(&arrival);
    inside.arrived.lock().unwrap().push(arrival);
    answer
}
