//! The one HTTP client for addresses that tenants name.

use super::address::{AllowList, is_public};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

#[derive(Debug, Clone)]
pub struct EgressSettings {
    pub allow: AllowList,
    pub connect_timeout: Duration,
    /// Bytes of a webhook's answer that are kept; the rest is not read.
    pub answer_bytes_max: usize,
}

/// Why a URL is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    #[error("is not a URL")]
    Syntax,
    #[error("must start with https:// or http://")]
    Scheme,
    #[error("must not carry a user name or password; use headers")]
    Credentials,
    #[error("names no host")]
    Host,
    #[error("names an address that is not public; the operator can open it under egress.allow")]
    NotPublic,
}

/// Why there is no answer. The text is fit for a tenant: it names no address that was resolved.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    #[error("the url {0}")]
    Target(#[from] InvalidTarget),
    #[error("no answer in time")]
    Timeout,
    #[error("the host name does not resolve to a public address")]
    NotPublic,
    #[error("the connection failed")]
    Connect(#[source] reqwest::Error),
    #[error("the exchange failed")]
    Exchange(#[source] reqwest::Error),
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    /// From the first look-up to the last byte of the answer.
    pub timeout: Duration,
    /// Bytes of the answer that are read.
    pub answer_bytes_max: usize,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The beginning of the body, as much as was asked for.
    pub body: Bytes,
    /// Whether there is more of it.
    pub cut: bool,
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Opened(reqwest::Response);

impl Opened {
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The next piece; `None` at the end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, EgressError> {
        self.0.chunk().await.map_err(EgressError::Exchange)
    }
}

/// Cheap to clone; connections are reused.
#[derive(Clone)]
pub struct Egress {
    client: reqwest::Client,
    settings: Arc<EgressSettings>,
    stand_in: Option<SocketAddr>,
}

/// The header that tells a stand-in which URL it answers for.
pub const STANDS_FOR: &str = "rijan-stands-for";

impl Egress {
    pub fn new(settings: EgressSettings) -> Result<Self, reqwest::Error> {
        let settings = Arc::new(settings);
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.connect_timeout)
            .dns_resolver(Arc::new(PublicOnly(settings.clone())))
            .user_agent(concat!("Rijan/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, settings, stand_in: None })
    }

    /// The same checks of what is named, and then one server answers for everybody, told by a header which URL it stands
    /// for: nothing is resolved and nothing leaves the machine. For rehearsals.
    pub fn with_stand_in(settings: EgressSettings, server: SocketAddr) -> Result<Self, reqwest::Error> {
        Ok(Self { stand_in: Some(server), ..Self::new(settings)? })
    }

    /// Whether a tenant may name this URL. A name that resolves to a private address is found out when it is used.
    pub fn check_url(&self, text: &str) -> Result<Url, InvalidTarget> {
        let url = Url::parse(text).map_err(|_| InvalidTarget::Syntax)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidTarget::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTarget::Credentials);
        }
        let port = url.port_or_known_default().unwrap_or(0);
        // The url crate has normalised every spelling of a literal (octal, hex, one number) by now.
        let literal: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let local = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
                if local && !self.settings.allow.allows_host(name, port) && !self.loopback_is_open() {
                    return Err(InvalidTarget::NotPublic);
                }
                // A host that is opened on one port is reachable on that port only: the resolver sees no port.
                let allow = &self.settings.allow;
                if allow.allows_host_on_any_port(name) && !allow.allows_host(name, port) {
                    return Err(InvalidTarget::NotPublic);
                }
                None
            }
            None => return Err(InvalidTarget::Host),
        };
        match literal {
            Some(ip) if !is_public(ip) && !self.settings.allow.allows_address(ip) => Err(InvalidTarget::NotPublic),
            _ => Ok(url),
        }
    }

    fn loopback_is_open(&self) -> bool {
        self.settings.allow.allows_address(IpAddr::from([127, 0, 0, 1]))
    }

    /// Bytes of an answer that are read where nobody asks for a figure of their own.
    pub fn answer_bytes_max(&self) -> usize {
        self.settings.answer_bytes_max
    }

    /// Gets a file, piece by piece: how many it reads and how long it waits is the caller's to bound. A redirect is an answer
    /// here too.
    pub async fn open(&self, url: &Url) -> Result<Opened, EgressError> {
        let url = self.check_url(url.as_str())?;
        let outgoing = match self.stand_in {
            None => self.client.get(url),
            Some(server) => self.client.get(format!("http://{server}/")).header(STANDS_FOR, url.as_str()),
        };
        Ok(Opened(outgoing.send().await.map_err(failure)?))
    }

    pub async fn exchange(&self, request: Request) -> Result<Answer, EgressError> {
        let url = self.check_url(request.url.as_str())?;
        let exchange = async {
            let mut outgoing = match self.stand_in {
                None => self.client.request(request.method, url),
                Some(server) => {
                    self.client.request(request.method, format!("http://{server}/")).header(STANDS_FOR, url.as_str())
                }
            };
            outgoing = outgoing.body(request.body);
            for (name, value) in request.headers {
                outgoing = outgoing.header(name, value);
            }
            let mut answer = outgoing.send().await.map_err(failure)?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let (mut body, mut cut) = (BytesMut::new(), false);
            while let Some(chunk) = answer.chunk().await.map_err(EgressError::Exchange)? {
                let room = request.answer_bytes_max - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    cut = true;
                    break;
                }
            }
            Ok(Answer { status, headers, body: body.freeze(), cut })
        };
        tokio::time::timeout(request.timeout, exchange).await.unwrap_or(Err(EgressError::Timeout))
    }
}

/// The resolver's own refusal, found again in the chain of a failed request.
#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct NoPublicAddress;

fn failure(error: reqwest::Error) -> EgressError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if current.is::<NoPublicAddress>() {
            return EgressError::NotPublic;
        }
        cause = current.source();
    }
    if error.is_timeout() {
        EgressError::Timeout
    } else if error.is_connect() {
        EgressError::Connect(error)
    } else {
        EgressError::Exchange(error)
    }
}

/// Resolves a name and hands out only addresses that may be connected to, so that what was checked is what is used.
struct PublicOnly(Arc<EgressSettings>);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let settings = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            // The port is not known here: a host that is open on one port is open by name, and check_url saw the port.
            let by_name = settings.allow.allows_host_on_any_port(&host);
            let usable: Vec<SocketAddr> =
                found.filter(|at| by_name || is_public(at.ip()) || settings.allow.allows_address(at.ip())).collect();
            if usable.is_empty() {
                return Err(NoPublicAddress.into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn egress(allow: &[&str]) -> Egress {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let entries = allow.iter().map(|entry| entry.parse().expect("entry")).collect();
        let settings = EgressSettings {
            allow: AllowList::new(entries),
            connect_timeout: Duration::from_secs(2),
            answer_bytes_max: 16,
        };
        Egress::new(settings).expect("client")
    }

    fn post(url: Url) -> Request {
        Request {
            method: Method::POST,
            url,
            headers: vec![],
            body: Bytes::from_static(b"{}"),
            timeout: Duration::from_millis(500),
            answer_bytes_max: 16,
        }
    }

    /// A receiver that answers every connection with these bytes and then keeps it open.
    async fn receiver(answer: &'static str) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}/hook", listener.local_addr().expect("address"));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = socket.read(&mut request).await;
                    let _ = socket.write_all(answer.as_bytes()).await;
                    std::future::pending::<()>().await;
                });
            }
        });
        Url::parse(&url).expect("url")
    }

    #[test]
    fn literals_in_every_spelling_are_refused_at_the_edge() {
        let egress = egress(&[]);
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://169.254.169.254/latest",
            "http://10.0.0.1:8080/",
        ] {
            assert_eq!(egress.check_url(url), Err(InvalidTarget::NotPublic), "{url}");
        }
        assert_eq!(egress.check_url("ftp://example.com/"), Err(InvalidTarget::Scheme));
        assert_eq!(egress.check_url("http://user@example.com/"), Err(InvalidTarget::Credentials));
        assert_eq!(egress.check_url("nonsense"), Err(InvalidTarget::Syntax));
        assert!(egress.check_url("https://example.com/hook").is_ok());
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_loopback_is_refused_when_it_is_used() {
        let url = Url::parse("http://localhost:1/").expect("url");
        let resolver = PublicOnly(egress(&[]).settings);
        let refused = resolver.resolve("localhost".parse().expect("name")).await.err().expect("refused");
        assert!(refused.is::<NoPublicAddress>());
        assert!(matches!(egress(&[]).exchange(post(url)).await, Err(EgressError::Target(InvalidTarget::NotPublic))));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let url = receiver("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
        let answer = egress(&["127.0.0.1"]).exchange(post(url)).await.expect("answer");
        assert_eq!(answer.status, 302);
    }

    #[tokio::test]
    async fn a_long_answer_is_cut_and_a_slow_one_times_out() {
        let long =
            receiver("HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n0123456789012345678901234567890123456789").await;
        let answer = egress(&["127.0.0.0/8"]).exchange(post(long)).await.expect("answer");
        assert_eq!(&answer.body[..], b"0123456789012345");
        assert!(answer.cut);

        for slow in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n0"] {
            let url = receiver(slow).await;
            assert!(matches!(egress(&["127.0.0.1"]).exchange(post(url)).await, Err(EgressError::Timeout)), "{slow:?}");
        }
    }
}
