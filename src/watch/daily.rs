//! The mail of a day: its report in the text, and what there is of certificate and picture with it.

use std::{io, path::Path};

use super::{
    gather::mail_dir,
    letters,
    queue::{Attachment, Queue},
};
use crate::{
    period::{Day, UtcMs},
    segment::{line::PROGRAM, name::ServerId},
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
    server: &ServerId,
    day: Day,
    now: UtcMs,
) -> io::Result<String> {
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
    let letter = letters::report(PROGRAM, server.as_str(), day, &table, now, files);
    Queue::new(disk, mail_dir(data_dir)).put(&letter, &format!("report-{day}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn a_day_s_mail_has_its_table_and_what_files_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        let day: Day = "2026-11-23".parse().unwrap();
        let server: ServerId = "1".parse().unwrap();
        let folder = layout::day_folder(&vault, day);
        RealDisk.make_folder(&folder).unwrap();
        let put_mail = |now| put(&RealDisk, dir.path(), &vault, &server, day, UtcMs(now));
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
        let name = put_mail(1).unwrap();
        let json =
            disk::read_bounded(&RealDisk, &dir.path().join("mail").join(name), 1 << 20).unwrap();
        let letter: crate::watch::queue::Letter = serde_json::from_slice(&json).unwrap();
        assert!(
            letter.text.contains("hour  tweets\n  14       7\n"),
            "{}",
            letter.text
        );
        let names: Vec<&str> = letter
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
