//! One log file a day: `rijan-YYYY-MM-DD.log`. Files older than the operator keeps are removed when a day begins.

use jiff::ToSpan;
use jiff::civil::Date;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub(super) struct DailyFiles {
    folder: PathBuf,
    keep_days: u32,
    current: Mutex<(Date, File)>,
}

impl DailyFiles {
    pub(super) fn open(folder: &Path, keep_days: u32, today: Date) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = file(folder, today)?;
        remove_older(folder, keep_days, today);
        Ok(Self { folder: folder.to_owned(), keep_days, current: Mutex::new((today, file)) })
    }

    /// A line that cannot be written is lost; it is on standard error as well.
    pub(super) fn write(&self, today: Date, line: &str) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != today
            && let Ok(file) = file(&self.folder, today)
        {
            *current = (today, file);
            remove_older(&self.folder, self.keep_days, today);
        }
        let _ = writeln!(current.1, "{line}");
    }
}

fn file(folder: &Path, day: Date) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(folder.join(format!("rijan-{day}.log")))
}

fn remove_older(folder: &Path, keep_days: u32, today: Date) {
    let Ok(oldest) = today.checked_sub(i64::from(keep_days).days()) else { return };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let day =
            name.to_str().and_then(|name| name.strip_prefix("rijan-")?.strip_suffix(".log")?.parse::<Date>().ok());
        if day.is_some_and(|day| day <= oldest) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_day_has_its_file_and_old_ones_go() {
        let folder = tempfile::tempdir().expect("folder");
        for name in ["rijan-2026-01-01.log", "rijan-2026-01-09.log", "notes.txt"] {
            std::fs::write(folder.path().join(name), "x").expect("write");
        }

        let files = DailyFiles::open(folder.path(), 3, date(2026, 1, 10)).expect("opens");
        files.write(date(2026, 1, 10), "one");
        files.write(date(2026, 1, 12), "two");

        let mut names: Vec<String> = std::fs::read_dir(folder.path())
            .expect("reads")
            .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["notes.txt", "rijan-2026-01-10.log", "rijan-2026-01-12.log"]);
        assert_eq!(std::fs::read_to_string(folder.path().join("rijan-2026-01-12.log")).expect("reads"), "two\n");
    }
}
