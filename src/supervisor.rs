//! Keeps the loops of the process running. A loop that panics or ends before its time is started again after a pause, and
//! until it runs the process says that it is not ready. Every loop starts from the store, so that nothing is lost by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Pause before a loop that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct Supervisor {
    stop: CancellationToken,
    down: Arc<AtomicUsize>,
}

impl Supervisor {
    /// `stop` is what tells the loops to end.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, down: Arc::default() }
    }

    /// Runs what `start` makes, again and again, until the process stops. The handle gives whether it never failed.
    pub fn keep<F>(
        &self,
        name: &'static str,
        start: impl Fn(CancellationToken) -> F + Send + 'static,
    ) -> JoinHandle<bool>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, down) = (self.stop.clone(), self.down.clone());
        tokio::spawn(async move {
            let mut clean = true;
            loop {
                let ended = tokio::spawn(start(stop.clone())).await;
                if stop.is_cancelled() {
                    return clean && ended.is_ok();
                }
                clean = false;
                down.fetch_add(1, Ordering::Relaxed);
                match ended {
                    Ok(()) => tracing::error!(name, "a loop ended before its time and is started again"),
                    Err(error) => tracing::error!(name, %error, "a loop failed and is started again"),
                }
                tokio::select! {
                    () = stop.cancelled() => return false,
                    () = tokio::time::sleep(RESTART_PAUSE) => {}
                }
                down.fetch_sub(1, Ordering::Relaxed);
            }
        })
    }

    /// Whether every loop runs now.
    pub fn all_run(&self) -> bool {
        self.down.load(Ordering::Relaxed) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_fails_is_down_until_it_is_started_again() {
        let stop = CancellationToken::new();
        let supervisor = Supervisor::new(stop.clone());
        let (starts, mut started) = tokio::sync::mpsc::unbounded_channel();
        let fail = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let watched = fail.clone();

        let handle = supervisor.keep("test", move |stop| {
            let (starts, fail) = (starts.clone(), watched.clone());
            async move {
                starts.send(()).expect("the test listens");
                assert!(!fail.load(Ordering::Relaxed), "asked to fail");
                stop.cancelled().await;
            }
        });

        started.recv().await.expect("the first start");
        while supervisor.all_run() {
            tokio::task::yield_now().await;
        }
        fail.store(false, Ordering::Relaxed);
        started.recv().await.expect("the second start");
        assert!(supervisor.all_run());
        stop.cancel();
        assert!(!handle.await.expect("ends"), "it failed once");
    }
}
