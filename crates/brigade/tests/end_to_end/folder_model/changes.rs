//! The changes that can be made to a folder: each is one or a few system calls.
//!
//! There are only a few names, so that changes meet: many fail because a file exists or not, and that is intended.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{ModelFolder, disk_under_test::RareChange};
use crate::test_network::bytes;

impl ModelFolder {
    /// A path of a file, of a few names.
    fn file(&mut self) -> PathBuf {
        let folder = self.folder();
        let name = match self.random.below(40) {
            0 => ".hidden".to_owned(),
            1 => "odd:name".to_owned(),
            2 => "d0".to_owned(),
            3 => "d1".to_owned(),
            4 => "f1.~2~".to_owned(),
            number => format!("f{}", number % 7),
        };
        if self.random.one_in(3) { self.root().join(name) } else { folder.join(name) }
    }

    fn folder(&mut self) -> PathBuf {
        let mut path = self.root();
        for level in 0..=self.random.below(4) {
            let letter = ["d", "e", "g", "h"][level];
            path.push(format!("{letter}{}", self.random.below(2)));
        }
        path
    }

    fn content(&mut self) -> Vec<u8> {
        let size = match self.random.below(30) {
            0 => 0,
            1 => 300_000 + self.random.below(700_000), // several pieces
            _ => 1 + self.random.below(40),
        };
        bytes(&self.random.next().to_string(), size)
    }

    /// Makes one change. Many fail because a file exists or not: that is intended.
    pub(super) fn make_change(&mut self) {
        self.count += 1;
        let change = self.random.below(100);
        let done = match change {
            0..=23 => self.write(),
            24..=30 => self.append(),
            31..=34 => self.truncate(),
            35..=40 => self.overwrite(),
            41..=48 => self.replace(),
            49..=56 => self.delete(),
            57..=62 if self.disk.can(RareChange::Mode) => self.change_mode(),
            63..=66 => self.touch(),
            67..=70 if self.disk.can(RareChange::Link) => self.link(),
            71..=77 => self.move_something(),
            78..=81 => self.move_out_or_in(),
            82..=84 => self.remove_folder(),
            85..=87 => self.turn_file_and_folder(),
            88..=89 if self.disk.can(RareChange::Symlink) => self.make_symlink(),
            90..=93 => self.hold_open(),
            57..=62 | 67..=70 | 88..=89 => self.touch(), // instead
            _ => self.continue_writing(),
        };
        if let Some(done) = done {
            self.did(done);
            self.note();
        }
    }

    fn wrote_to(&self, path: &Path) {
        if let Ok(metadata) = fs::metadata(path) {
            self.expected.written(&metadata);
        }
    }

    fn write(&mut self) -> Option<String> {
        let (path, content) = (self.file(), self.content());
        if !self.random.one_in(4) {
            fs::create_dir_all(path.parent()?).ok()?;
        }
        let mut file = File::create(&path).ok()?;
        self.was_empty(&path);
        file.write_all(&content).ok()?;
        self.wrote_to(&path);
        Some(format!("write {} bytes to {}", content.len(), self.shown(&path)))
    }

    fn append(&mut self) -> Option<String> {
        let (path, content) = (self.file(), self.content());
        OpenOptions::new().append(true).open(&path).ok()?.write_all(&content).ok()?;
        self.wrote_to(&path);
        Some(format!("append {} bytes to {}", content.len(), self.shown(&path)))
    }

    fn truncate(&mut self) -> Option<String> {
        let path = self.file();
        let file = OpenOptions::new().write(true).open(&path).ok()?;
        let size = file.metadata().ok()?.len() / 2;
        file.set_len(size).ok()?;
        self.wrote_to(&path);
        Some(format!("cut {} to {size} bytes", self.shown(&path)))
    }

    /// Writes other bytes of the same length, sometimes with the old modification time.
    fn overwrite(&mut self) -> Option<String> {
        let path = self.file();
        let mut file = OpenOptions::new().write(true).open(&path).ok()?;
        let before = file.metadata().ok()?;
        let content = bytes(&self.random.next().to_string(), usize::try_from(before.len()).unwrap());
        file.write_all(&content).ok()?;
        self.wrote_to(&path);
        self.note();
        let same_time = self.random.one_in(3) && self.may_keep_time();
        if same_time {
            file.set_modified(before.modified().ok()?).ok()?;
        }
        Some(format!("overwrite {} in place (same time: {same_time})", self.shown(&path)))
    }

    fn replace(&mut self) -> Option<String> {
        let (path, content) = (self.file(), self.content());
        let beside = path.with_file_name(if self.random.one_in(2) { ".new" } else { "new" });
        fs::write(&beside, &content).ok()?;
        self.wrote_to(&beside);
        self.was_empty(&beside);
        self.note();
        let renamed = fs::rename(&beside, &path).is_ok();
        Some(format!("replace {} with {} (done: {renamed})", self.shown(&path), self.shown(&beside)))
    }

    fn delete(&mut self) -> Option<String> {
        let path = self.file();
        fs::remove_file(&path).ok()?;
        Some(format!("delete {}", self.shown(&path)))
    }

    fn change_mode(&mut self) -> Option<String> {
        let path = if self.random.one_in(6) { self.folder() } else { self.file() };
        let modes: &[u32] =
            if path.is_dir() { &[0o755, 0o755, 0o000] } else { &[0o644, 0o755, 0o744, 0o000] };
        let mode = modes[self.random.below(modes.len())];
        fs::set_permissions(&path, Permissions::from_mode(mode)).ok()?;
        Some(format!("chmod {mode:o} {}", self.shown(&path)))
    }

    fn touch(&mut self) -> Option<String> {
        let path = self.file();
        let file = File::open(&path).ok()?;
        let ago = Duration::from_secs(self.random.below(2_000_000_000) as u64);
        file.set_modified(SystemTime::now() - ago).ok()?;
        Some(format!("touch {}", self.shown(&path)))
    }

    fn link(&mut self) -> Option<String> {
        let (path, other) = (self.file(), self.file());
        fs::hard_link(&path, &other).ok()?;
        Some(format!("link {} as {}", self.shown(&path), self.shown(&other)))
    }

    fn move_something(&mut self) -> Option<String> {
        let (from, to) = match self.random.below(3) {
            0 => (self.file(), self.file()),
            1 => (self.folder(), self.folder()),
            _ => (self.folder(), self.file()),
        };
        fs::rename(&from, &to).ok()?;
        Some(format!("move {} to {}", self.shown(&from), self.shown(&to)))
    }

    fn move_out_or_in(&mut self) -> Option<String> {
        if self.random.one_in(2) && !self.outside.is_empty() {
            let from = self.outside.swap_remove(self.random.below(self.outside.len()));
            let to = self.folder();
            let back = fs::rename(&from, &to).is_ok();
            return Some(format!("move {} in as {} (done: {back})", self.shown(&from), self.shown(&to)));
        }
        let from = self.folder();
        let to = self.network.path(&format!("outside/{}", self.count));
        fs::rename(&from, &to).ok()?;
        self.outside.push(to.clone());
        Some(format!("move {} out as {}", self.shown(&from), self.shown(&to)))
    }

    fn remove_folder(&mut self) -> Option<String> {
        let path = self.folder();
        fs::remove_dir_all(&path).ok()?;
        Some(format!("remove {}", self.shown(&path)))
    }

    fn turn_file_and_folder(&mut self) -> Option<String> {
        let path = self.file();
        if path.is_dir() {
            fs::remove_dir_all(&path).ok()?;
            let content = self.content();
            fs::write(&path, &content).ok()?;
            self.wrote_to(&path);
            self.was_empty(&path);
            return Some(format!("make {} a file", self.shown(&path)));
        }
        fs::remove_file(&path).ok()?;
        fs::create_dir(&path).ok()?;
        let inner = path.join(format!("f{}", self.random.below(7)));
        fs::write(&inner, self.content()).ok()?;
        self.wrote_to(&inner);
        self.was_empty(&inner);
        Some(format!("make {} a folder", self.shown(&path)))
    }

    fn make_symlink(&mut self) -> Option<String> {
        let (path, to) = (self.file(), self.file());
        let replaced = self.random.one_in(2) && fs::remove_file(&path).is_ok();
        symlink(&to, &path).ok()?;
        Some(format!("link {} symbolically to {} (replaced: {replaced})", self.shown(&path), self.shown(&to)))
    }

    fn hold_open(&mut self) -> Option<String> {
        let path = self.file();
        fs::create_dir_all(path.parent()?).ok()?;
        let file = OpenOptions::new().append(true).create(true).open(&path).ok()?;
        if self.open.len() > 5 {
            self.open.remove(0);
        }
        self.open.push((path.clone(), file));
        Some(format!("open {} for writing", self.shown(&path)))
    }

    /// Writes more to an open file, even if it was moved, or closes it.
    fn continue_writing(&mut self) -> Option<String> {
        if self.open.is_empty() {
            return None;
        }
        let which = self.random.below(self.open.len());
        if self.random.one_in(3) {
            let (path, _) = self.open.remove(which);
            return Some(format!("close {}", self.shown(&path)));
        }
        let content = self.content();
        let (path, file) = &mut self.open[which];
        file.write_all(&content).ok()?;
        self.expected.written(&file.metadata().ok()?);
        let path = path.clone();
        Some(format!("write {} bytes more to {}", content.len(), self.shown(&path)))
    }
}
