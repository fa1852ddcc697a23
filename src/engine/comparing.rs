//! The thread that runs a batch for the Compare screen.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::app::compare::Progressed;
use crate::lab::batch::{self, Real, Stop};
use crate::lab::launcher::Launcher;
use crate::lab::measure::{Batch, Plan};
use crate::lab::python;

/// Runs one batch at a time.
pub struct Comparing {
    launcher: Arc<Launcher>,
    tell: Arc<watch::Sender<Option<Progressed>>>,
    on: Option<(Stop, JoinHandle<()>)>,
}

impl Comparing {
    pub fn new(launcher: Arc<Launcher>) -> (Self, watch::Receiver<Option<Progressed>>) {
        let (tell, news) = watch::channel(None);
        (Self { launcher, tell: Arc::new(tell), on: None }, news)
    }

    /// Runs a batch; the results arrive run by run.
    pub fn start(&mut self, plan: Plan) -> std::io::Result<()> {
        self.stop();
        let stop = Stop::default();
        let (launcher, tell, theirs) = (Arc::clone(&self.launcher), Arc::clone(&self.tell), stop.clone());
        let run = move || {
            let mut plan = plan;
            let settled = python::settle(plan.cells.iter_mut().map(|cell| &mut cell.spec), &launcher.interpreters());
            let mut batch = Batch::new(plan, batch::host());
            let say = |batch: &Batch, running, halted| {
                tell.send_replace(Some(Progressed { batch: Arc::new(batch.clone()), running, halted }));
            };
            if let Err(why) = settled {
                return say(&batch, false, Some(why));
            }
            say(&batch, true, None);
            let ended = batch::run(&mut batch, &mut Real { launcher: &launcher, apart: true }, &theirs, |batch| {
                say(batch, true, None);
                Ok(())
            });
            say(&batch, false, ended.err().map(|halt| halt.to_string()));
        };
        let thread = std::thread::Builder::new().name("lab-compare".into()).spawn(run)?;
        self.on = Some((stop, thread));
        Ok(())
    }

    /// Ends the batch and its run, if there is one.
    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.on.take() {
            stop.stop();
            // A thread that panicked has said so already, and has nothing left to give back.
            let _ = thread.join();
        }
    }
}

impl Drop for Comparing {
    fn drop(&mut self) {
        self.stop();
    }
}
