//! Rust programs that are stuck in one known way: `stuck-rs CASE`. Prints "ready" once the others wait.

use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread;

fn ready() {
    println!("ready");
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("mutex") => {
            let (one, other, both) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)), Arc::new(Barrier::new(2)));
            let threads: Vec<_> = [(&one, &other), (&other, &one)]
                .map(|(first, second)| {
                    let (first, second, both) = (Arc::clone(first), Arc::clone(second), Arc::clone(&both));
                    thread::spawn(move || {
                        let held = first.lock().unwrap();
                        both.wait();
                        *second.lock().unwrap() += *held;
                    })
                })
                .into();
            ready();
            threads.into_iter().for_each(|t| t.join().unwrap());
        }
        Some("channel") => {
            // Each waits for a message of the other.
            let ((to_a, a), (to_b, b)) = (mpsc::channel::<u8>(), mpsc::channel::<u8>());
            let one = thread::spawn(move || to_b.send(a.recv().unwrap()).unwrap());
            let other = thread::spawn(move || to_a.send(b.recv().unwrap()).unwrap());
            ready();
            one.join().unwrap();
            other.join().unwrap();
        }
        Some("rwlock") => {
            // A reader that wants to write waits for itself.
            let upgrades = thread::spawn(|| {
                let lock = RwLock::new(0);
                let read = lock.read().unwrap();
                *lock.write().unwrap() += *read;
            });
            ready();
            upgrades.join().unwrap();
        }
        Some("condition") => {
            let waits = thread::spawn(|| {
                let (lock, never) = (Mutex::new(()), Condvar::new());
                drop(never.wait(lock.lock().unwrap()).unwrap());
            });
            ready();
            waits.join().unwrap();
        }
        _ => std::process::exit(2),
    }
}
