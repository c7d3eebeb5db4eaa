//! Work done by several threads whose results are taken in order, with few of them in flight.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many results each thread may be ahead of the one that is taken next.
const AHEAD_PER_THREAD: usize = 1;

struct WorkersState<T> {
    /// The next piece of work that nobody has begun.
    next: usize,
    /// The result that is to be taken next.
    wanted: usize,
    /// Results that came before their turn.
    done: std::collections::BTreeMap<usize, T>,
    /// Nobody wants further results.
    stopped: bool,
}

/// Does `work` for each of these, and gives the results to `take` in their order. The first error of `take` ends it. One
/// thread is this one.
pub fn in_order<'a, I: Sync, T: Send, E>(
    of: &'a [I],
    threads: usize,
    work: impl Fn(&'a I) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    if threads <= 1 {
        return of.iter().try_for_each(|one| take(work(one)));
    }
    let count = of.len();
    let threads = threads.min(count.max(1));
    let state = Mutex::new(WorkersState {
        next: 0,
        wanted: 0,
        done: std::collections::BTreeMap::new(),
        stopped: false,
    });
    let changed = Condvar::new();
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let wait = |guard| changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let next = || {
                    let index = begin_next(lock(), wait, count, threads)?;
                    Some((index, of.get(index)?))
                };
                while let Some((index, one)) = next() {
                    let result = work(one);
                    lock().done.insert(index, result);
                    changed.notify_all();
                }
            });
        }
        // also when `take` panics: workers that wait for their turn would wait for ever
        let _stop = OnDrop(|| {
            lock().stopped = true;
            changed.notify_all();
        });
        let mut outcome = Ok(());
        for index in 0..count {
            let mut guard = lock();
            let result = loop {
                match guard.done.remove(&index) {
                    Some(result) => break result,
                    None => guard = wait(guard),
                }
            };
            guard.wanted = index + 1;
            drop(guard);
            changed.notify_all();
            outcome = take(result);
            if outcome.is_err() {
                break;
            }
        }
        outcome
    })
}

/// Does something when it goes out of scope, however that comes.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The next piece of work, as soon as it is not too far ahead.
fn begin_next<'a, T>(
    mut guard: MutexGuard<'a, WorkersState<T>>,
    wait: impl Fn(MutexGuard<'a, WorkersState<T>>) -> MutexGuard<'a, WorkersState<T>>,
    count: usize,
    threads: usize,
) -> Option<usize> {
    loop {
        if guard.stopped || count <= guard.next {
            return None;
        }
        if guard.next < guard.wanted + AHEAD_PER_THREAD * threads {
            guard.next += 1;
            return Some(guard.next - 1);
        }
        guard = wait(guard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_it() {
        let numbers: Vec<usize> = (0..100).collect();
        for threads in [1, 2, 5] {
            let mut taken = Vec::new();
            let outcome: Result<(), ()> = in_order(
                &numbers,
                threads,
                |n| n * n,
                |square| {
                    taken.push(square);
                    Ok(())
                },
            );
            assert_eq!(outcome, Ok(()));
            assert_eq!(taken, (0..100).map(|n| n * n).collect::<Vec<_>>());
            let outcome = in_order(
                &numbers,
                threads,
                |n| *n,
                |n| if n == 7 { Err(n) } else { Ok(()) },
            );
            assert_eq!(outcome, Err(7));
        }
    }
}
