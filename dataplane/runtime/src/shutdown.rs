//! From a signal to one cancellation token that everything watches.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled once, when the process should end.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Creates a token that nothing has cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything to end. Calling it again changes nothing.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Returns true once the end has begun.
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the end begins.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }

    /// Returns the token, for code that wants a child of it.
    pub fn token(&self) -> &CancellationToken {
        &self.0
    }

    /// Waits for SIGTERM or SIGINT and then begins the end. Meant for a task group.
    ///
    /// # Errors
    /// Fails when the process may not install signal handlers.
    pub async fn on_signal(self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = self.begun() => return Ok(()),
        };
        tracing::info!(signal = name, "received a signal, shutting down");
        self.begin();
        Ok(())
    }
}
