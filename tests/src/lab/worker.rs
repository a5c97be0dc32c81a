//! A thread that lives in namespaces of its own and carries out what it is handed. Threads and
//! processes started from it are born in the same namespaces.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::mpsc,
    thread::JoinHandle,
};

use anyhow::{Context, Result, anyhow};

type Job = Box<dyn FnOnce() + Send>;

/// The thread, as long as this value lives.
pub struct Worker {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread in the caller's namespaces, which first of all does `enter`.
    pub fn start(
        name: &str,
        enter: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<Worker> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, has_entered) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let result = enter();
                let failed = result.is_err();
                // The receiver waits for this one message.
                let _ = entered.send(result);
                if failed {
                    return;
                }
                for job in queue {
                    job();
                }
            })
            .context("cannot start a thread")?;
        has_entered
            .recv()
            .map_err(|_| anyhow!("the thread ended before it had entered its namespaces"))??;
        Ok(Worker {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Does `job` on the thread and waits for it; a panic goes on in the caller.
    pub fn on<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (done, is_done) = mpsc::channel();
        let boxed: Job = Box::new(move || {
            let _ = done.send(catch_unwind(AssertUnwindSafe(job)));
        });
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(boxed));
        assert!(matches!(sent, Some(Ok(()))), "the lab's thread has ended");
        match is_done.recv() {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => panic!("the lab's thread has ended"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // Jobs' panics went to their callers; the thread itself has none.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_on_the_thread_and_return() {
        let worker = Worker::start("test", || Ok(())).unwrap();
        let name = worker.on(|| std::thread::current().name().map(str::to_owned));
        assert_eq!(name.as_deref(), Some("test"));
    }

    #[test]
    fn a_panic_goes_on_in_the_caller_and_the_thread_lives() {
        let worker = Worker::start("test", || Ok(())).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| worker.on(|| panic!("as intended"))));
        assert!(panicked.is_err());
        assert_eq!(worker.on(|| 7), 7);
    }

    #[test]
    fn a_thread_that_cannot_enter_is_an_error() {
        assert!(Worker::start("test", || Err(anyhow!("no"))).is_err());
    }
}
