//! The service beside the collector: starts the other stages as child processes, on schedule.
//!
//! `plan` decides what is due, from values; `child` is one running process; `record` is what is
//! kept of them on the disk, for the page and the alarms; `service` is the thread that ties them
//! together and tells systemd how things are. Nothing in here is waited for by the collector.

/// One child process: started, listened to, ended when its time is over.
pub mod child;

/// When which stage is due.
pub mod plan;

/// What is kept of the stages' runs: `<data_dir>/stages.json`.
pub mod record;

/// Which days' reports were made.
pub mod reported;

/// The thread that starts the stages.
pub mod service;

/// What the service starts as a child.
pub mod stage;
