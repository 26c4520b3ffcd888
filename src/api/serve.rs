//! The listener: bounded connections, bounded waiting for a request's head, and an end that finishes what began.

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// The other end of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Breaks off the connection that a request came on, whatever is under way there: for a client that takes nothing more.
#[derive(Debug, Clone)]
pub(super) struct BreakOff(pub(super) CancellationToken);

#[derive(Debug, Clone, Copy)]
pub struct ServeSettings {
    /// Connections at once; one more waits in the listener's queue.
    pub connections_max: usize,
    /// How long a client may take for the head of a request.
    pub header_read_timeout: Duration,
    /// How long requests in flight may take when the server stops.
    pub shutdown_grace: Duration,
}

/// Serves until `stop`, then finishes what is in flight. Returns whether all of it was finished in time.
pub async fn serve(listener: TcpListener, router: Router, settings: ServeSettings, stop: CancellationToken) -> bool {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(settings.connections_max));
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (Ok(place), Ok((socket, peer))) = (place, accepted) else {
            // Out of file descriptors, mostly: the next attempt must not spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = socket.set_nodelay(true);
        let peer = Peer(peer.ip().to_canonical());
        let break_off = CancellationToken::new();
        let given = BreakOff(break_off.clone());
        let service = router.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(given.clone());
            request
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_read_timeout)
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service))
            .with_upgrades();
        let stop = stop.clone();
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // A client that breaks off is no event of ours.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = break_off.cancelled() => {}
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        _ = connection => {}
                        () = break_off.cancelled() => {}
                    }
                }
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    tokio::time::timeout(settings.shutdown_grace, connections.wait()).await.is_ok()
}
