//! The mail of a day: what the archive has and lacks of it, its report, what there is of certificate and
//! picture, and which other days late data has changed since the mail before.

use std::{io, path::Path};

use super::{
    gather::mail_dir,
    mail_texts::{self, DayMail},
    queue::{Attachment, Queue},
    renewed,
};
use crate::{
    period::UtcMs,
    vault::layout,
    world::disk::{self, Disk},
};

/// A day's table, certificate and picture have some hundred kilobytes at most.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What goes with the mail, if it is there: the ending of its name, and what it is.
const FILES: [(&str, &str); 3] = [
    ("report.txt", "text/tab-separated-values"),
    ("certificate.txt", "text/plain"),
    ("certificate.svg", "image/svg+xml"),
];

/// Puts the mail of a day into the queue; gives its name. The service sends it, or [`Queue::send_due`].
pub fn put(
    disk: &dyn Disk,
    data_dir: &Path,
    vault: &Path,
    of: DayMail<'_>,
    now: UtcMs,
) -> io::Result<String> {
    let day = of.day;
    let table = disk::read_bounded(disk, &layout::report_path(vault, day), FILE_BYTES_MAX)?;
    let table = String::from_utf8_lossy(&table);
    let mut files = Vec::new();
    for (ending, kind) in FILES {
        let name = format!("{day}_{ending}");
        let path = layout::day_folder(vault, day).join(&name);
        if disk.len(&path)?.is_some() {
            let bytes = disk::read_bounded(disk, &path, FILE_BYTES_MAX)?;
            files.push(Attachment::new(&name, kind, &bytes));
        }
    }
    let mut others = renewed::read(disk, data_dir)?;
    others.remove(&day);
    let queued = mail_texts::report(of, &table, &others, now, files);
    let name = Queue::new(disk, mail_dir(data_dir)).put(&queued, &format!("report-{day}"))?;
    renewed::clear(disk, data_dir)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{period::Day, segment::name::ServerId, world::disk::RealDisk};

    #[test]
    fn a_day_s_mail_has_its_table_and_what_files_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        let day: Day = "2026-11-23".parse().unwrap();
        let server: ServerId = "1".parse().unwrap();
        let folder = layout::day_folder(&vault, day);
        RealDisk.make_folder(&folder).unwrap();
        let of = DayMail {
            server: &server,
            day,
            headline: "7 posts in 1 hour.\nThe other 3 seconds are missing.\n",
        };
        let put_mail = |now| put(&RealDisk, dir.path(), &vault, of, UtcMs(now));
        assert!(put_mail(0).is_err(), "a day without a report");
        disk::put(
            &RealDisk,
            &folder.join("2026-11-23_report.txt"),
            b"hour\ttweets\n14\t7\n",
        )
        .unwrap();
        disk::put(
            &RealDisk,
            &folder.join("2026-11-23_certificate.svg"),
            b"<svg/>",
        )
        .unwrap();
        let renewed = |of: &str, words: &str| (of.parse().unwrap(), words.to_owned());
        for (of, words) in [
            ("2026-11-20", "7 posts\n"),
            ("2026-11-20", "8 posts.\nAll.\n"),
            ("2026-11-23", "x"),
        ] {
            renewed::add(&RealDisk, dir.path(), &[renewed(of, words)].into()).unwrap();
        }
        let read = |name: String| -> crate::monitor::queue::QueuedMail {
            let path = dir.path().join("mail").join(name);
            let json = disk::read_bounded(&RealDisk, &path, 1 << 20).unwrap();
            serde_json::from_slice(&json).unwrap()
        };
        let queued = read(put_mail(1).unwrap());
        let changed =
            "certificates were written again:\n\n2026-11-20\n  8 posts.\n  All.\n\nAttached";
        assert!(queued.text.contains(changed), "{}", queued.text);
        // it is told once
        assert!(
            !read(put_mail(2).unwrap())
                .text
                .contains("certificates were written")
        );
        let begin = "2026-11-23\n\n7 posts in 1 hour.\nThe other 3 seconds are missing.\n\n";
        assert!(queued.text.starts_with(begin), "{}", queued.text);
        assert!(
            queued.text.contains("hour  tweets\n  14       7\n"),
            "{}",
            queued.text
        );
        let names: Vec<&str> = queued
            .attachments
            .iter()
            .map(|file| file.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["2026-11-23_report.txt", "2026-11-23_certificate.svg"]
        );
    }
}
