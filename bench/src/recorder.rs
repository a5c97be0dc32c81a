//! Takes what sections measure, tells the progress, and writes the record. Judges nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Instant, SystemTime},
};

use anyhow::{Context, Result};

use crate::{
    machine,
    record::{Gap, Record, Sample},
};

/// The layout of the record that this program writes and reads.
pub const FORMAT: u32 = 1;
/// The record's file in the output directory.
pub const FILE: &str = "record.json";

/// A run's record while it grows.
pub struct Recorder {
    record: Record,
    begin: Instant,
    path: PathBuf,
}

impl Recorder {
    /// Begins the record of a run whose results go to `out`.
    pub fn begin(out: &Path, command: String, netd: String) -> Result<Recorder> {
        fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        Ok(Recorder {
            record: Record {
                format: FORMAT,
                started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
                seconds: 0.0,
                command,
                netd,
                machine: machine::describe(),
                samples: Vec::new(),
                gaps: Vec::new(),
            },
            begin: Instant::now(),
            path: out.join(FILE),
        })
    }

    /// Takes a value.
    pub fn sample(&mut self, sample: Sample) {
        self.record.samples.push(sample);
    }

    /// Takes note of what could not be measured.
    pub fn gap(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let gap = Gap {
            what: what.into(),
            why: why.into(),
        };
        self.say(&format!("not measured: {}: {}", gap.what, gap.why));
        self.record.gaps.push(gap);
    }

    /// Tells the progress, on standard error.
    pub fn say(&self, text: &str) {
        eprintln!("{:>7.1} s  {text}", self.begin.elapsed().as_secs_f64());
    }

    /// What was measured so far.
    pub fn samples(&self) -> &[Sample] {
        &self.record.samples
    }

    /// Writes what there is, so that an end half-way loses little.
    pub fn save(&mut self) -> Result<()> {
        self.record.seconds = self.begin.elapsed().as_secs_f64();
        write(&self.record, &self.path)
    }

    /// Writes the record and gives it away.
    pub fn finish(mut self) -> Result<Record> {
        self.save()?;
        Ok(self.record)
    }
}

/// Writes a record; beside and renamed, so that there is never half a file.
pub fn write(record: &Record, path: &Path) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    let text = serde_json::to_string(record)?;
    let draft = path.with_extension("new");
    fs::write(&draft, text + "\n").with_context(doing)?;
    fs::rename(&draft, path).with_context(doing)
}

/// Reads a record.
pub fn read(path: &Path) -> Result<Record> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let record: Record =
        serde_json::from_str(&text).with_context(|| format!("no record: {}", path.display()))?;
    anyhow::ensure!(
        record.format == FORMAT,
        "{} has format {}; this program reads {FORMAT}",
        path.display(),
        record.format
    );
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn a_record_survives_its_file() {
        let dir = std::env::temp_dir().join(format!("netd-bench-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let (path, record) = (dir.join(FILE), example::record());
        write(&record, &path).expect("written");
        let back = read(&path).expect("read");
        let text = |record: &Record| serde_json::to_value(record).expect("JSON");
        assert!(text(&back) == text(&record), "the same values come back");
        write(
            &Record {
                format: 0,
                ..record
            },
            &path,
        )
        .expect("written");
        assert!(read(&path).is_err(), "another format is refused");
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
