//! A group of tasks that live and end together.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::shutdown::Shutdown;

/// Why a group ended other than by request.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task answered an error.
    #[error("{name} failed")]
    Failed {
        /// The task's name.
        name: &'static str,
        /// What it answered.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A task panicked or was aborted from outside.
    #[error("{name} ended abnormally: {reason}")]
    Aborted {
        /// The task's name.
        name: &'static str,
        /// What tokio says about it.
        reason: String,
    },
    /// Tasks were still running when the drain deadline passed; they have been aborted.
    #[error("not finished {deadline:?} after shutdown began: {names}")]
    DrainDeadline {
        /// The deadline.
        deadline: Duration,
        /// The tasks that had not ended.
        names: String,
    },
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Runs named tasks until the first of them ends, then asks the rest to end and waits for them.
///
/// Tasks are not cancelled by dropping: they watch the [`Shutdown`] the group was made with and end at a
/// point of their choice. Only those that miss the drain deadline are aborted.
pub struct TaskGroup {
    shutdown: Shutdown,
    tasks: JoinSet<(&'static str, Outcome)>,
    names: std::collections::HashMap<tokio::task::Id, &'static str>,
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("tasks", &self.names.values())
            .finish_non_exhaustive()
    }
}

impl TaskGroup {
    /// Creates an empty group whose tasks end with `shutdown`.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self {
            shutdown: shutdown.clone(),
            tasks: JoinSet::new(),
            names: std::collections::HashMap::new(),
        }
    }

    /// Returns the token the group's tasks should watch.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Starts a task. When it ends, with or without an error, the group ends.
    pub fn spawn<F, E>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let handle = self
            .tasks
            .spawn(async move { (name, task.await.map_err(Into::into)) });
        self.names.insert(handle.id(), name);
    }

    /// Waits for the first task to end or for shutdown, then drains the rest for at most `deadline`.
    ///
    /// # Errors
    /// Answers the first failure, a panic included, else [`TaskError::DrainDeadline`] if tasks were
    /// left over. An orderly end is `Ok`.
    pub async fn run(mut self, deadline: Duration) -> Result<(), TaskError> {
        let mut first_error = None;
        tokio::select! {
            () = self.shutdown.begun() => {}
            ended = self.tasks.join_next_with_id() => {
                if let Some(ended) = ended {
                    self.note(ended, &mut first_error);
                }
            }
        }
        self.shutdown.begin();
        let drained = tokio::time::timeout(deadline, async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.note(ended, &mut first_error);
            }
        })
        .await;
        if drained.is_err() {
            let mut names: Vec<&str> = self.names.values().copied().collect();
            names.sort_unstable();
            self.tasks.shutdown().await;
            first_error.get_or_insert_with(|| TaskError::DrainDeadline {
                deadline,
                names: names.join(", "),
            });
        }
        first_error.map_or(Ok(()), Err)
    }

    fn note(
        &mut self,
        ended: Result<(tokio::task::Id, (&'static str, Outcome)), tokio::task::JoinError>,
        first_error: &mut Option<TaskError>,
    ) {
        let error = match ended {
            Ok((id, (name, outcome))) => {
                self.names.remove(&id);
                tracing::debug!(task = name, "task ended");
                outcome
                    .err()
                    .map(|source| TaskError::Failed { name, source })
            }
            Err(join_error) => {
                let name = self.names.remove(&join_error.id()).unwrap_or("task");
                Some(TaskError::Aborted {
                    name,
                    reason: join_error.to_string(),
                })
            }
        };
        if let Some(error) = error {
            first_error.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    async fn until(shutdown: Shutdown) -> std::io::Result<()> {
        shutdown.begun().await;
        Ok(())
    }

    #[tokio::test]
    async fn first_to_end_ends_the_rest() {
        let shutdown = Shutdown::new();
        let mut group = TaskGroup::new(&shutdown);
        group.spawn("waits", until(shutdown.clone()));
        group.spawn("ends", async { Ok::<_, std::io::Error>(()) });
        group.run(LONG).await.expect("orderly end");
        assert!(shutdown.has_begun());
    }

    #[tokio::test]
    async fn failure_is_reported_by_name() {
        let shutdown = Shutdown::new();
        let mut group = TaskGroup::new(&shutdown);
        group.spawn("waits", until(shutdown.clone()));
        group.spawn("breaks", async {
            Err(std::io::Error::other("disk on fire"))
        });
        let error = group.run(LONG).await.expect_err("a task failed");
        assert_eq!(error.to_string(), "breaks failed");
    }

    #[tokio::test]
    async fn panic_is_reported_by_name() {
        let shutdown = Shutdown::new();
        let mut group = TaskGroup::new(&shutdown);
        group.spawn("panics", async {
            assert!(shutdown_is_odd(), "odd");
            Ok::<_, std::io::Error>(())
        });
        let error = group.run(LONG).await.expect_err("a task panicked");
        assert!(
            error.to_string().starts_with("panics ended abnormally"),
            "{error}"
        );
    }

    fn shutdown_is_odd() -> bool {
        std::hint::black_box(false)
    }

    #[tokio::test]
    async fn task_that_ignores_shutdown_is_named_after_the_deadline() {
        let shutdown = Shutdown::new();
        let mut group = TaskGroup::new(&shutdown);
        group.spawn("stubborn", std::future::pending::<std::io::Result<()>>());
        shutdown.begin();
        let error = group
            .run(Duration::from_secs(5))
            .await
            .expect_err("one task hangs");
        assert!(error.to_string().contains("stubborn"), "{error}");
    }
}
