//! The work of native workers. Each task returns a number, so that the compiler cannot remove the work and the result can be shown.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::arena::Ballast;
use super::error::{RootError, failed};
use super::http;
use crate::lab::catalog::{RunSpec, TaskKind};

/// The result of a unit that failed.
pub const FAILED: u64 = u64::MAX;

/// Does unit `k` of `spec`; what the number means is in [`describe`]. `port` is where the run's server listens.
pub fn perform(spec: &RunSpec, k: u32, ballast: Option<&Ballast>, port: u16) -> Result<u64, RootError> {
    Ok(match spec.task {
        TaskKind::Factorial => factorial(factorial_argument(spec.seed, k)),
        TaskKind::Pi => pi_tail(spec.size()),
        TaskKind::Sleep => oversleep(Duration::from_millis(u64::from(spec.size()))),
        TaskKind::Touch => {
            let before = thread_minor_faults();
            if let Some(ballast) = ballast {
                ballast.touch(spec.size());
            }
            thread_minor_faults().saturating_sub(before)
        }
        TaskKind::File => write_and_read(spec.size(), k)?,
        TaskKind::Http => http::fetch(port, spec.size())?,
        TaskKind::Matmul => matmul_trace(spec.size() as usize),
        // No native system has the task `own`.
        TaskKind::None | TaskKind::Own => 0,
    })
}

/// The results of all units as one value to show: its name (unit included), its text, and a number where one says it.
pub fn describe(spec: &RunSpec, results: &[u64]) -> Option<(String, String, Option<u64>)> {
    let sum: u64 = results.iter().fold(0, |a, b| a.wrapping_add(*b));
    let most = results.iter().copied().max()?;
    match spec.task {
        TaskKind::Factorial => {
            let shown: Vec<String> = results
                .iter()
                .take(10)
                .zip(0..)
                .map(|(result, k)| format!("{}! = {result}", factorial_argument(spec.seed, k)))
                .collect();
            Some(("factorials".into(), shown.join(", "), None))
        }
        TaskKind::Pi => Some(("pi_last_9_digits".into(), format!("{:09}", results.first()?), None)),
        TaskKind::Sleep => Some(("largest_oversleep_ns".into(), most.to_string(), Some(most))),
        TaskKind::Touch => Some(("touch_minor_faults".into(), sum.to_string(), Some(sum))),
        TaskKind::File => Some(("bytes_read".into(), sum.to_string(), Some(sum))),
        TaskKind::Http => Some(("bytes_received".into(), sum.to_string(), Some(sum))),
        TaskKind::Matmul => Some(("matmul_trace".into(), results.first()?.to_string(), results.first().copied())),
        TaskKind::None | TaskKind::Own => None,
    }
}

/// Sleeps, in a call that blocks; by how many nanoseconds it was longer than wanted.
pub fn oversleep(wanted: Duration) -> u64 {
    let began = Instant::now();
    std::thread::sleep(wanted);
    u64::try_from(began.elapsed().saturating_sub(wanted).as_nanos()).unwrap_or(u64::MAX)
}

fn thread_minor_faults() -> u64 {
    nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_THREAD)
        .map_or(0, |u| u64::try_from(u.minor_page_faults()).unwrap_or(0))
}

/// 1 to 10, from the seed and the index alone, so that every worker and every system gets the same numbers (SplitMix64's finaliser).
fn factorial_argument(seed: u64, k: u32) -> u64 {
    let mut z = seed.wrapping_add(u64::from(k).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % 10 + 1
}

/// The talk's: recursive.
pub fn factorial(n: u64) -> u64 {
    // The argument is hidden from the compiler so that the recursion is real.
    let n = std::hint::black_box(n);
    if n <= 1 { 1 } else { n * factorial(n - 1) }
}

/// The last nine of the first `digits` decimals of pi (the 3 not counted), by the spigot of Rabinowitz and Wagon.
fn pi_tail(digits: u32) -> u64 {
    let digits = digits as usize + 1;
    let mut remainders = vec![2_u64; (digits + 16) * 10 / 3 + 2];
    // Digits that a later carry may still change are held back: one, and the nines after it.
    let (mut held, mut nines, mut produced) = (None, 0_u32, Tail::default());
    while produced.count < digits {
        let mut carry = 0;
        for (i, r) in remainders.iter_mut().enumerate().rev() {
            let x = *r * 10 + carry;
            let i = i as u64;
            if i == 0 {
                *r = x % 10;
                carry = x / 10;
            } else {
                *r = x % (2 * i + 1);
                carry = x / (2 * i + 1) * i;
            }
        }
        match carry {
            9 => nines += 1,
            digit => {
                let over = digit / 10;
                if let Some(held) = held {
                    produced.push(held + over);
                }
                for _ in 0..nines {
                    produced.push_up_to(digits, if over == 1 { 0 } else { 9 });
                }
                nines = 0;
                held = Some(digit % 10);
            }
        }
    }
    produced.value
}

/// Writes a file of `kb` KiB into the run's own directory and reads it back; the bytes read.
fn write_and_read(kb: u32, k: u32) -> Result<u64, RootError> {
    let path = std::env::temp_dir().join(format!("unit-{}-{k}", std::process::id()));
    let said = |what: &str| format!("{what} {}", path.display());
    let byte = u8::try_from(k % 251).unwrap_or(0);
    let block = [byte; 1024];
    let copied = || {
        let mut file = std::fs::File::create_new(&path).map_err(failed(said("making")))?;
        for _ in 0..kb {
            file.write_all(&block).map_err(failed(said("writing")))?;
        }
        drop(file);
        let mut file = std::fs::File::open(&path).map_err(failed(said("opening")))?;
        let (mut read, mut buffer) = (0, [0; 16 * 1024]);
        loop {
            match file.read(&mut buffer).map_err(failed(said("reading")))? {
                0 => return Ok(read),
                n if buffer[..n].iter().all(|b| *b == byte) => read += n as u64,
                _ => return Err(RootError::Worker(said("the data read differs from the data written"))),
            }
        }
    };
    let result = copied();
    // It may not have been made; otherwise it goes with the run's directory.
    let _ = std::fs::remove_file(&path);
    result
}

/// Elements of the matrices that are multiplied: small whole numbers, so that sums are exact in every order.
fn left(i: usize, j: usize) -> f64 {
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0][(i + 2 * j) % 7]
}

fn right(i: usize, j: usize) -> f64 {
    [0.0, 1.0, 2.0, 3.0, 4.0][(3 * i + j) % 5]
}

/// Multiplies two matrices of `rows` x `rows`, plainly; the trace of the product.
fn matmul_trace(rows: usize) -> u64 {
    let fill =
        |element: fn(usize, usize) -> f64| -> Vec<f64> { (0..rows * rows).map(|at| element(at / rows, at % rows)).collect() };
    let (a, b) = (fill(left), fill(right));
    let mut product = vec![0.0; rows * rows];
    // Row by row of the right matrix, so that memory is read in its order.
    for (out, row) in product.chunks_exact_mut(rows).zip(a.chunks_exact(rows)) {
        for (factor, line) in row.iter().zip(b.chunks_exact(rows)) {
            for (sum, element) in out.iter_mut().zip(line) {
                *sum += factor * element;
            }
        }
    }
    // The whole product is wanted, not only the diagonal that is shown.
    let product = std::hint::black_box(product);
    let trace: f64 = product.iter().step_by(rows + 1).sum();
    // Whole and not negative by construction.
    trace as u64
}

#[derive(Default)]
struct Tail {
    value: u64,
    count: usize,
}

impl Tail {
    fn push(&mut self, digit: u64) {
        self.value = (self.value * 10 + digit) % 1_000_000_000;
        self.count += 1;
    }
    fn push_up_to(&mut self, most: usize, digit: u64) {
        if self.count < most {
            self.push(digit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pi_has_its_known_digits() {
        // 3.14159265 358979323 846264338 327950288 ...
        assert_eq!(pi_tail(8), 314_159_265);
        assert_eq!(pi_tail(9), 141_592_653);
        assert_eq!(pi_tail(26), 846_264_338);
        assert_eq!(pi_tail(1000), 164_201_989);
    }

    #[test]
    fn a_product_has_its_trace() {
        // Only the diagonal, straight from its definition.
        let expected = |n: usize| (0..n).flat_map(|i| (0..n).map(move |j| left(i, j) * right(j, i))).sum::<f64>() as u64;
        for rows in [1, 2, 7, 64, 101] {
            assert_eq!(matmul_trace(rows), expected(rows), "{rows} rows");
        }
        assert!(matmul_trace(64) > 0);
    }

    #[test]
    fn what_is_written_is_read_back_and_removed() {
        assert_eq!(write_and_read(40, 7).unwrap(), 40 * 1024);
        let left = std::env::temp_dir().join(format!("unit-{}-7", std::process::id()));
        assert!(!left.exists());
    }

    #[test]
    fn factorials_are_of_one_to_ten() {
        let arguments: Vec<u64> = (0..1000).map(|k| factorial_argument(7, k)).collect();
        assert!((1..=10).all(|n| arguments.contains(&n)));
        assert!(arguments.iter().all(|n| (1..=10).contains(n)));
        assert_eq!(factorial(10), 3_628_800);
    }
}
