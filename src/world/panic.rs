//! What a panic does: it ends the process, for a thread that stopped must not leave half a service that
//! looks alive. Only work on foreign files, done by code of others, may panic and be an error.

use std::{
    cell::Cell,
    io,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
};

thread_local! {
    /// Whether this thread is at such work.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// From now on a panic is logged and ends the process, unless it is [`contained`].
pub fn end_the_process() {
    let tell = take_hook();
    set_hook(Box::new(move |panic| {
        if !CONTAINED.get() {
            tell(panic);
            std::process::abort();
        }
    }));
}

/// Does work that may panic on what it reads. If it does, that is an error of kind `InvalidData`.
pub fn contained<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = CONTAINED.replace(true);
    // what the work was making is dropped with it
    let outcome = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(before);
    outcome.unwrap_or_else(|panic| {
        let texts = (
            panic.downcast_ref::<&str>().copied(),
            panic.downcast_ref::<String>(),
        );
        let why = texts
            .0
            .or(texts.1.map(String::as_str))
            .unwrap_or("it cannot be read");
        Err(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::process::ExitStatusExt as _, process::Command, thread};

    use super::*;

    const HOW: &str = "TWINSTREAM_TEST_PANICS";

    fn fails() -> io::Result<()> {
        panic!("as if a file were damaged")
    }

    /// What the test below starts: without the variable it does nothing.
    #[test]
    fn a_process_that_panics() {
        let Ok(how) = env::var(HOW) else { return };
        end_the_process();
        let why = contained(fails).unwrap_err();
        assert_eq!(why.to_string(), "as if a file were damaged");
        match how.as_str() {
            "contained" => (),
            "afterwards" => drop(fails()),
            _ => drop(thread::spawn(fails).join()),
        }
    }

    #[test]
    fn a_panic_of_any_thread_ends_the_process_but_for_what_is_contained() {
        const SIGABRT: i32 = 6;
        let ended_by = |how: &str| {
            let mut child = Command::new(env::current_exe().unwrap());
            let child = child.env(HOW, how);
            let child = child.args(["--exact", "world::panic::tests::a_process_that_panics"]);
            let ended = child.output().unwrap().status;
            (ended.success(), ended.signal())
        };
        assert_eq!(ended_by("contained"), (true, None));
        assert_eq!(ended_by("afterwards"), (false, Some(SIGABRT)));
        assert_eq!(ended_by("in a thread"), (false, Some(SIGABRT)));
    }
}
