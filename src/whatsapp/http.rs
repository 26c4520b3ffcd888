//! The HTTP client that the library uses for media: WhatsApp's media hosts, or the simulator in their place.

use async_trait::async_trait;
use std::time::Duration;
use wacore::net::{HttpClient, HttpRequest, HttpResponse};

const REQUEST_TIME_MAX: Duration = Duration::from_secs(120);

pub(super) struct MediaHttp {
    client: reqwest::Client,
    /// The simulator's base address: every host is looked for there.
    simulator: Option<url::Url>,
}

impl MediaHttp {
    pub(super) fn new(simulator: Option<url::Url>) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().no_proxy().timeout(REQUEST_TIME_MAX).build()?;
        Ok(Self { client, simulator })
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
}

#[async_trait]
impl HttpClient for MediaHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())?;
        let mut outgoing = self.client.request(method, self.target(&request.url)?);
        for (name, value) in &request.headers {
            outgoing = outgoing.header(name, value);
        }
        if let Some(body) = request.body {
            outgoing = outgoing.body(body);
        }
        let answer = outgoing.send().await?;
        Ok(HttpResponse { status_code: answer.status().as_u16(), body: answer.bytes().await?.to_vec() })
    }
}
