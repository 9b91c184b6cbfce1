//! The threads that decode and evaluate series.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::EngineError;
use super::window::Scratch;

/// Jobs that may wait for a thread; a query that finds the queue full waits itself.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce(&mut Scratch) + Send>;

/// A fixed number of threads, each with its own buffers. Dropping the pool ends them once the queue
/// is empty.
pub(crate) struct Pool {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Job>(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = (0..threads)
            .map(|i| {
                let receiver = Arc::clone(&receiver);
                std::thread::Builder::new()
                    .name(format!("promql-{i}"))
                    .spawn(move || work(&receiver))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            jobs: Some(sender),
            threads,
        })
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Queues a job and returns where its result will be.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Pending<T> {
        let (sender, receiver) = sync_channel(1);
        let job: Job = Box::new(move |scratch| {
            // A query that gave up does not wait for its results.
            let _ = sender.send(job(scratch));
        });
        if let Some(jobs) = &self.jobs {
            // Fails only if every thread has panicked; the result is then missing below.
            let _ = jobs.send(job);
        }
        Pending(receiver)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic of a job has been reported to its query.
            let _ = thread.join();
        }
    }
}

/// A result to come.
pub(crate) struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// The job panicked.
    pub(crate) fn wait(self) -> Result<T, EngineError> {
        self.0
            .recv()
            .map_err(|_| EngineError::Internal("a worker thread panicked".to_owned()))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    let mut scratch = Scratch::default();
    loop {
        let job = {
            let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
            jobs.recv()
        };
        let Ok(job) = job else { return };
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut scratch)));
        if ran.is_err() {
            // Whatever the job left behind is not to be trusted.
            scratch = Scratch::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_and_a_panic_is_an_error() {
        let pool = Pool::start(2).unwrap();
        let sum: Vec<_> = (0..100).map(|i| pool.submit(move |_| i * 2)).collect();
        let broken = pool.submit(|_| -> i32 { panic!("on purpose") });
        assert_eq!(
            sum.into_iter().map(|p| p.wait().unwrap()).sum::<i32>(),
            9900
        );
        assert!(broken.wait().is_err());
        assert_eq!(pool.submit(|_| 7).wait().unwrap(), 7);
    }
}
