//! Async tasks on smol: the executor of the crate async-executor and the reactor of async-io, which the crate smol joins. The root's thread
//! runs the tasks and waits in epoll; async-io keeps a thread of its own for times at which no other thread waits there.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::pin::pin;
use std::time::{Duration, Instant};

use async_executor::Executor;
use async_io::{Async, Timer};
use futures_util::future::{Either, select};

use super::error::{RootError, failed};
use super::event_loop::{Tasks, Way, block, sleep_by};
use super::http::{Answer, address, request};
use super::root::{LOOK_TIMEOUT, Root, is_kept};
use super::worker::Worker;
use crate::lab::catalog::TaskKind;

/// The whole run.
pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.hold_memory()?;
    let executor = Executor::new();
    // The reactor and its thread are made at the first use: not in the midst of what is measured.
    async_io::block_on(Timer::after(Duration::ZERO));
    root.launch();
    let create = Tasks::create(root, Way::By(|worker, k| Box::pin(work(worker, k))), |life| executor.spawn(life));
    let mut tasks = async_io::block_on(executor.run(create))?;
    async_io::block_on(executor.run(async {
        begin(root).await;
        tasks.work(root, Timer::after).await;
    }));
    root.await_finished();
    async_io::block_on(executor.run(linger(root)));
    root.dismiss(|| async_io::block_on(executor.run(tasks.leave())))
}

/// One unit: a sleep or a GET lets the executor go on with the others, a computation holds all of them up.
async fn work(worker: &Worker<'_>, k: usize) {
    match worker.spec.task {
        TaskKind::Sleep => sleep_by(worker, k, Timer::after).await,
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

/// As [`Root::begin`], without leaving the reactor.
async fn begin(root: &mut Root) {
    root.ask_to_be_seen();
    let socket = root.socket().try_clone().and_then(Async::new);
    let answered = match &socket {
        Ok(socket) => {
            let (readable, late) = (pin!(socket.readable()), pin!(Timer::after(LOOK_TIMEOUT)));
            matches!(select(readable, late).await, Either::Left((Ok(()), _)))
        }
        Err(_) => false,
    };
    // What the root says is written in one piece, by calls that block; if this failed, so would what it says.
    let _ = root.socket().set_nonblocking(false);
    if answered {
        root.await_seen();
    }
    root.phase("steady");
    root.release();
}

/// As [`Root::linger`].
async fn linger(root: &mut Root) {
    let until = Instant::now() + Duration::from_millis(u64::from(root.spec.hold_ms));
    if root.spec.hold_ms > 0 {
        root.phase("hold");
    }
    Timer::at(until).await;
    if root.spec.hold_ms > 0 && is_kept() {
        std::future::pending::<()>().await;
    }
}
