//! What a process says to the kernel about itself when it is a child of the service.
//!
//! A child asks for this itself, as the first thing it does: between `fork` and `exec` there is
//! nothing that safe code could do.

use std::{fs::OpenOptions, io::Write as _};

use rustix::process::{Pid, Signal};

/// Other processes go first; also what waits for the disk is sorted by it.
const NICE: i32 = 10;

/// When memory is short, children go first: the highest there is stands for the whole of memory.
const OOM_SCORE: &[u8] = b"500";

/// The process that was to be the parent has ended already.
#[derive(Debug, thiserror::Error)]
#[error("process {0}, which started this one, has ended")]
pub struct Orphaned(pub u32);

/// Lowers this process below the collector, and ties its life to its parent's.
pub fn be_a_child_of(parent: u32) -> Result<(), Orphaned> {
    let tell = |what: &str, why: &dyn std::fmt::Display| tracing::debug!("cannot {what}: {why}");
    if let Err(why) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        tell("ask to end with the parent", &why);
    }
    // it may have ended before the kernel was asked
    let parent_now = rustix::process::getppid().map_or(0, Pid::as_raw_pid);
    if u32::try_from(parent_now) != Ok(parent) {
        return Err(Orphaned(parent));
    }
    if let Err(why) = rustix::process::setpriority_process(None, NICE) {
        tell("lower the priority", &why);
    }
    let score = OpenOptions::new()
        .write(true)
        .open("/proc/self/oom_score_adj");
    if let Err(why) = score.and_then(|mut file| file.write_all(OOM_SCORE)) {
        tell("offer itself to the kernel when memory is short", &why);
    }
    Ok(())
}

/// Asks a process and its group to end, or ends them.
pub fn end_group(leader: u32, at_once: bool) {
    let signal = if at_once { Signal::KILL } else { Signal::TERM };
    let leader = i32::try_from(leader).ok().and_then(Pid::from_raw);
    if let Some(leader) = leader
        && let Err(why) = rustix::process::kill_process_group(leader, signal)
    {
        tracing::debug!("process group {leader:?} cannot be ended: {why}");
    }
}
