//! The closed list of states that a person has to do something about: one word for the page, the log,
//! mails, `/metrics` and the documents.
//!
//! [`alarm!`](crate::alarm) writes the log line of one, and is the only way to write an error there:
//! a string cannot stand where the kind is meant, and an error without a kind is refused by
//! `tests/it/tidy.rs`. What a stage says this way is an alarm on the page until a run of it no longer says so.
//!
//! A new kind is added here and in the table of `docs/operations.md` (a test compares them). If no stage raises it, but
//! the service sees it in the picture of the state, `monitor/alarm.rs` decides when it begins and ends.

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($kind:ident $word:literal $means:literal $todo:literal)+) => {
        /// A kind of state.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum AlarmKind {
            $(#[doc = $means] #[serde(rename = $word)] $kind,)+
        }

        impl AlarmKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Its word.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)+
                }
            }

            /// Whether it concerns the archive and not this machine: all that merge into one vault have it at the same time.
            pub const fn is_of_archive(self) -> bool {
                matches!(
                    self,
                    Self::OtherSilent
                        | Self::HourNotMerged
                        | Self::DeltaLog
                        | Self::LowHour
                        | Self::SamplingWindow
                        | Self::UnknownCause
                )
            }

            /// The one of that word.
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.word() == word)
            }

            /// What it means.
            pub const fn means(self) -> &'static str {
                match self {
                    $(Self::$kind => $means,)+
                }
            }

            /// What to do about it.
            pub const fn todo(self) -> &'static str {
                match self {
                    $(Self::$kind => $todo,)+
                }
            }
        }
    };
}

kinds! {
    NoPosts "no_posts"
        "This server has stored no post for 60 s, or no server is connected to a partition of the stream"
        "Look at the log and at the network. The alarm says what the server does by itself; where that is not enough, start the service, or fix the reason (the other alarms say how). If another server gets the posts, nothing is lost; if none does, see the platform's status page"
    Refused "refused"
        "The API refuses this server for a reason that waiting does not cure: token, access, paid volume, or a wrong address"
        "On X: `unauthorized`: check the token (`x.bearer_token_file`) and the app's access in the developer console; `usage_cap`: raise the cap or wait for the next period; `bad_request`, `not_found`: check `x.base_url`. On Bluesky: check `bluesky.endpoints`, `bluesky.collections` and the dictionary. On both: see whether there is a newer version. It asks again by itself, at growing intervals"
    NotTheApi "not_the_api"
        "Something else answers in the API's place: a proxy, a login portal, or an error page of the network"
        "Find out what answers (`twinstream check`), and check how this machine reaches the internet. The collector tries again by itself"
    Rules "rules"
        "The rules that X has for the filtered stream are not the configured ones; or X has none; or X has not said for 15 minutes which rules are in force"
        "`twinstream rules show` compares the rules in force with the configured ones. If somebody else changed them, find out who, then run `twinstream rules push`. If you changed the configuration, run `twinstream rules push` once, and restart the service on every server"
    Collections "collections"
        "A server requests other collections of Bluesky than the configuration of this server has"
        "Write the same `bluesky.collections` into the configuration of every server, and restart the service wherever it changed, all at about the same time. Until then, a second that only one server has is complete only for that server's collections; certificates say which those are"
    Clock "clock"
        "A server's clock is off by more than 5 s against the platform's"
        "Start time synchronization there (`timedatectl set-ntp true`), and make sure that it reaches its servers"
    Disk "disk"
        "Less space is free than `merge.keep_free`, in bytes or in files, or it will be within 3 days at the pace of the last days"
        "Free space or enlarge the disk; if it has run out of files (`df -i`), remove many small ones. docs/operations.md says what may be moved. Shorten `merge.keep_raw` if it is the spool that grows"
    PlaceAway "place_away"
        "A folder or object store that this server has worked with is away, or another one is in its place"
        "Mount it again, or see why the store does not answer (`twinstream check`). If you changed it on purpose (another vault or spool), accept it once with `--adopt`. Meanwhile nothing is written; work goes on by itself when it is back"
    OtherSilent "other_silent"
        "On the primary: a secondary has delivered nothing for 15 minutes. On a secondary: the primary has acknowledged nothing, or nothing could be delivered to the object store"
        "Look at that server: is the service running (`systemctl status twinstream`), can the servers reach each other (`twinstream check`), is a disk full? What was collected is kept where it is and is delivered later. For a server that is gone for good, set `until` in the configuration"
    NotDelivered "not_delivered"
        "A segment could not be delivered, or another file with its name is already there"
        "The log names both files; neither was changed. Compare them, and move the wrong one away"
    FailsCheck "fails_check"
        "A segment does not match its seal, or a file was delivered that does not belong there; it is in `<spool>/<server>/aside*` and is not merged"
        "Compare it with the copy on the server that sent it. Put a good copy into the spool under its name, or accept the loss (on the primary, the gap says where the file lies); then move the bad one out of the folder, and look at the disk (`smartctl`)"
    NotRecovered "not_recovered"
        "A segment that an earlier run left open cannot be recovered; it stays as it is and is not merged"
        "The log names the segment and the reason. Fix that (permissions, disk), then restart the service"
    Unreadable "unreadable"
        "A file or folder cannot be read or written; what needs it is skipped for now"
        "The log names it. The next run tries again; if the alarm stays, check permissions and disk"
    HourNotMerged "hour_not_merged"
        "An hour is held back: its counts do not add up, inputs of its former revision are gone, or a file is in its way"
        "Run `twinstream merge`: it names the hour and the reason. The hour's inputs are kept, and other hours are merged as usual"
    RawDataKept "raw_data_kept"
        "An hour's data files are not what its manifest says, or a segment could not be compressed; its raw data stays"
        "`twinstream verify` names the file: restore it from a backup, and look at the disk. Until then its raw data stays"
    DeltaLog "delta_log"
        "The Delta Lake log of the vault in the object store cannot go on: a version is damaged, or somebody else has written to it"
        "The log of the merge, and `twinstream verify s3://…`, name the version. Hours are still committed, but readers of the table do not see them. If files are deleted meanwhile (on request; on Bluesky, all superseded ones), readers miss them. Put the version back from a copy; or stop all mergers, delete all of `_delta_log/` in the store, and start them again: they make it anew, at most a day later"
    LowHour "low_hour"
        "An hour of the last day has less than half the median number of posts that this hour had in the last four weeks"
        "See its gaps (`twinstream gaps`). If there are none, the platform may have changed the sample: note it for the papers"
    SamplingWindow "sampling_window"
        "The posts of an hour come from other milliseconds of the second than before: the platform has changed the sample"
        "Mention it wherever you use data from that hour or later; the day's certificate does so"
    UnknownCause "unknown_cause"
        "Seconds of the last days are missing, and no cause was found"
        "This is a bug: report it with the output of `twinstream gaps --json` and the events files of that time"
    CertificateOutdated "certificate_outdated"
        "A day's certificate describes former revisions and cannot be made again"
        "`twinstream report DAY` says why"
    PublishBehind "publish_behind"
        "Something that was committed 3 hours ago is still not public"
        "`twinstream publish --pending` says why. The service publishes it once that works again"
    IdCap "id_cap"
        "Publishing has stopped: the next hour would pass `ids_per_30_days`"
        "Wait until older ids leave the 30 days. Raise `publish.osf.ids_per_30_days` only as far as the platform allows (X: with its written approval)"
    OsfToken "osf_token"
        "OSF does not accept the token (401): expired, deleted, or without `osf.full_write`"
        "Make a new personal access token in OSF's settings (scope `osf.full_write`) and put it into `publish.osf.token_file` (mode 600)"
    OsfQuota "osf_quota"
        "The project is full (507). All versions count: 5 GB while it is private, 50 GB when public"
        "Make a component for the coming year and set `publish.osf.project` to its id; the old one stays as it is"
    OsfRefused "osf_refused"
        "OSF refuses a file (400, 403, 404, 413), it is checked out, or an answer leads to a host that is not OSF's"
        "The log has OSF's words. 403: has the token's owner write access, is the file checked out by somebody? Other files are still uploaded"
    OsfUnreachable "osf_unreachable"
        "OSF gives no answer, answers with 5xx, or asks for fewer requests. The alarm begins after three such runs and 15 minutes"
        "Nothing is lost: the next run resumes where this one stopped, and keeps what OSF asks for (`Retry-After`)"
    NotPublishable "not_publishable"
        "A file is not what the vault's manifests say: it was changed, or another file has its name; it is not uploaded"
        "Run `twinstream verify` on the vault: it names what is wrong"
    LedgerForked "ledger_forked"
        "This vault's ledger does not begin with the public one: another vault was published there, or this one is an older copy"
        "Put the latest copy of the vault back. If there is none, or the vault is a new one, give it another project (`publish.osf.project`). Meanwhile nothing public is replaced"
    MailStuck "mail_stuck"
        "A mail could not be sent for 15 minutes"
        "`twinstream check` tries the mail server and each recipient. The mails wait in `<data_dir>/mail/` and go out by themselves; `failed` in a mail's file says why it was not sent"
    NoPage "no_page"
        "The page cannot be served: its address is taken, or its token cannot be read"
        "Give `[status] listen` another port (each service on a machine needs its own), or fix the token's file. The service keeps trying, and collecting goes on"
    StageFailing "stage_failing"
        "A stage has failed three times in a row and for 15 minutes"
        "Run it by hand to see why. The service keeps trying"
}

/// Writes an alarm into the log: `alarm!(AlarmKind::Disk, subject, "words …")`. The subject is whom it
/// concerns, a server mostly, and empty where that is clear; the same one in every line of one state.
macro_rules! alarm {
    ($kind:expr, $subject:expr, $($words:tt)+) => {{
        let (kind, subject): ($crate::alarm::AlarmKind, &dyn std::fmt::Display) = ($kind, &$subject);
        tracing::error!(alarm = kind.word(), subject = %subject, $($words)+);
    }};
}
