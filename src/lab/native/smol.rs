//! Async tasks on smol: the executor of the crate async-executor and the reactor of async-io, which the crate smol joins. The root's thread
//! runs the tasks and waits in epoll; async-io keeps a thread of its own for times at which no other thread waits there.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use async_executor::{Executor, Task};
use async_io::{Async, Timer};

use super::error::{RootError, failed};
use super::event_loop::{Spawn, Tasks, Way, block, sleep};
use super::http::{Answer, address, request};
use super::on_loop::{self, Loop};
use super::root::Root;
use super::worker::Worker;
use crate::lab::catalog::TaskKind;

/// The loop of async-io.
struct Smol;

impl Loop for Smol {
    async fn sleep(time: Duration) {
        Timer::after(time).await;
    }

    async fn readable(socket: UnixStream) -> io::Result<()> {
        Async::new(socket)?.readable().await
    }
}

impl Spawn for Executor<'static> {
    type Handle = Task<()>;

    fn spawn(&self, life: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        Executor::spawn(self, life)
    }
}

/// The whole run.
pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    let executor = Executor::new();
    // The reactor and its thread are made at the first use: not in the midst of what is measured.
    async_io::block_on(Smol::sleep(Duration::ZERO));
    root.launch();
    let create = Tasks::create(root, Way::By(|worker, k| Box::pin(work(worker, k))), &executor);
    let mut tasks = async_io::block_on(executor.run(create))?;
    async_io::block_on(executor.run(async {
        on_loop::begin::<Smol>(root).await;
        tasks.work::<Smol>(root).await;
    }));
    root.await_finished();
    async_io::block_on(executor.run(on_loop::linger::<Smol>(root)));
    root.dismiss(|| async_io::block_on(executor.run(tasks.leave())))
}

/// One unit: a sleep or a GET lets the executor go on with the others, a computation holds all of them up.
async fn work(worker: &Worker<'_>, k: usize) {
    match worker.spec.task {
        TaskKind::Sleep => sleep::<Smol>(worker, k).await,
        TaskKind::Http => {
            worker.begin(k);
            worker.conclude(k, fetch(worker.port(), worker.spec.size()).await);
        }
        _ => block(worker, k).await,
    }
}

/// A whole GET; the length of the body.
async fn fetch(port: u16, ms: u32) -> Result<u64, RootError> {
    let connected = Async::<TcpStream>::connect(address(port)).await;
    let stream = connected.map_err(failed(format!("connecting to the server on port {port}")))?;
    let request = request(ms);
    let mut sent = 0;
    while sent < request.len() {
        sent += stream.write_with(|mut stream| stream.write(&request[sent..])).await.map_err(failed("sending a GET"))?;
    }
    let (mut answer, mut buffer) = (Answer::default(), [0; 4096]);
    loop {
        let n = stream.read_with(|mut stream| stream.read(&mut buffer)).await.map_err(failed("reading the answer to a GET"))?;
        if let Some(length) = answer.take(&buffer[..n])? {
            return Ok(length);
        }
    }
}
