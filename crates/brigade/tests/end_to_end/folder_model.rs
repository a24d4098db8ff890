//! A model test: a shared folder is changed at random, and the catalogue is compared with it. Nothing is ever listed
//! that never existed, and when the changes end, the catalogue equals the content of the folder.
//!
//! A run depends only on its seed. `BRIGADE_MODEL_SEEDS=100` makes a hundred runs instead of ten. In every fifth run
//! the peer can open no file for a while, again and again. A failure prints its seed and the last changes. `changes`
//! has the changes, `folder_content` the expected content.
//!
//! `BRIGADE_MODEL_DISK=exfat` makes all of these runs on exFAT, each on a disk of its own, which needs root:
//! `BRIGADE_MODEL_SEEDS=100 BRIGADE_MODEL_DISK=exfat cargo test -p brigade --test end_to_end folder_model`. A short
//! run there is always made. `disk_under_test` has what exFAT cannot do.

mod changes;
mod disk_under_test;
mod folder_content;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    env,
    fs::{self, File},
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use self::{
    disk_under_test::DiskUnderTest,
    folder_content::{FolderContent, Known},
};
use crate::{
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, Process, found_within},
};

/// The number of seeds unless `BRIGADE_MODEL_SEEDS` is set.
const SEEDS: u64 = 10;

/// Runs at the same time: they mostly wait. More of them for many seeds, since long tests may use more of the machine.
const TOGETHER: usize = 10;
const MANY_TOGETHER: usize = 40;

/// In every run with a seed that is a multiple of this, the peer cannot open files for a while.
const STARVED: u64 = 5;

/// The number of changes in a run.
const CHANGES: usize = 2500;

/// The number of changes in the run on exFAT that is always made.
const FEW_CHANGES: usize = 400;

/// How long the catalogue may take to be right if files could not be opened: they are tried again after a minute at the
/// latest.
const STARVED_REST: Duration = Duration::from_secs(180);

/// The number of changes that a failure prints.
const REMEMBERED: usize = 40;

/// A shared folder and the changes that were made to it.
struct ModelFolder {
    seed: u64,
    random: TestRandom,
    /// How many changes there will be.
    changes_in_all: usize,
    /// Before `network`, whose folder has the mounted disk.
    peer: Option<Process>,
    /// Files that are open for writing.
    open: Vec<(PathBuf, File)>,
    disk: DiskUnderTest,
    network: Network,
    expected: FolderContent,
    /// All contents that a name ever had, by id.
    had: BTreeMap<String, BTreeSet<String>>,
    changes: VecDeque<String>,
    /// Folders that were moved out and may be moved back.
    outside: Vec<PathBuf>,
    count: usize,
    /// Whether the peer can open no file now.
    is_starved: bool,
}

/// Random numbers from a seed (SplitMix64).
struct TestRandom(u64);

impl TestRandom {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Whether `BRIGADE_MODEL_DISK` asks for exFAT.
fn is_on_exfat() -> bool {
    match env::var("BRIGADE_MODEL_DISK").as_deref() {
        Err(_) => false,
        Ok("exfat") => true,
        Ok(other) => panic!("BRIGADE_MODEL_DISK is {other}, and only exfat is known"),
    }
}

#[test]
fn the_catalogue_matches_the_folder_after_any_change() {
    let seeds = env::var("BRIGADE_MODEL_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let first = env::var("BRIGADE_MODEL_FIRST").map_or(1, |first| first.parse().unwrap());
    run(first..first + seeds, CHANGES, is_on_exfat());
}

#[test]
fn the_catalogue_matches_a_folder_on_exfat_after_any_change() {
    run(1..2, FEW_CHANGES, true);
}

/// Makes the runs with these seeds.
#[allow(clippy::print_stdout)] // a figure for long tests
fn run(seeds: Range<u64>, changes: usize, on_exfat: bool) {
    let next = AtomicU64::new(seeds.start);
    let lags = Mutex::new(vec![]);
    let together = if seeds.end - seeds.start > 100 { MANY_TOGETHER } else { TOGETHER };
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..together {
            scope.spawn(|| {
                while let seed @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                    && seed < seeds.end
                {
                    let Some(folder) = ModelFolder::begin(seed, changes, on_exfat) else { continue };
                    let lag = folder.run();
                    lags.lock().unwrap().push((lag, seed));
                }
            });
        }
    });
    let mut lags = lags.into_inner().unwrap();
    lags.sort();
    let Some((slowest, seed)) = lags.last() else { return }; // no disk could be mounted
    assert_eq!(lags.len() as u64, seeds.end - seeds.start);
    let middle = lags[lags.len() / 2].0;
    println!(
        "{} runs in {:.0?}; right {middle:.2?} after the last change, {slowest:.2?} at most (seed {seed})",
        lags.len(),
        began.elapsed()
    );
}

fn start_peer(network: &Network) -> Process {
    network.peer("fire_user", &["--folder", "disk/fire_user"])
}

impl ModelFolder {
    /// `None` if its disk cannot be mounted.
    fn begin(seed: u64, changes_in_all: usize, on_exfat: bool) -> Option<Self> {
        let network = Network::start();
        let disk = if on_exfat { DiskUnderTest::exfat(&network)? } else { DiskUnderTest::of_the_system() };
        let mut random = TestRandom(seed);
        for number in 0..20 {
            let path = format!("{}/start{number}", ["", "d0", "d0/e1", "d1"][random.below(4)]);
            network
                .write(&format!("disk/fire_user/{path}"), &bytes(&format!("{seed} {number}"), number * 50));
        }
        fs::create_dir(network.path("disk/outside")).unwrap();
        let peer = Some(start_peer(&network));
        let expected = FolderContent::new(disk.has_fine_times());
        let mut life = Self {
            seed,
            random,
            changes_in_all,
            peer,
            open: vec![],
            disk,
            network,
            expected,
            had: BTreeMap::new(),
            changes: VecDeque::new(),
            outside: vec![],
            count: 0,
            is_starved: false,
        };
        life.note();
        Some(life)
    }

    /// Makes all changes. Returns how long after the last change the catalogue was right.
    fn run(mut self) -> Duration {
        let mut next_look = 20 + self.random.below(100);
        for change in 0..self.changes_in_all {
            if change == self.changes_in_all / 2 {
                self.restart_peer();
            }
            self.make_change();
            if self.seed.is_multiple_of(STARVED) && self.random.one_in(50) {
                self.starve(!self.is_starved);
            }
            if change == next_look {
                next_look += 40 + self.random.below(160);
                self.look();
            }
            // Bursts and pauses: they choose the situations that are tested, but decide no result.
            if self.random.one_in(30) {
                let pause_ms = [1, 10, 30, 150, 250, 400, 1100][self.random.below(7)];
                thread::sleep(Duration::from_millis(pause_ms));
            }
        }
        self.starve(false);
        for (path, file) in std::mem::take(&mut self.open) {
            drop(file);
            self.did(format!("close {}", self.shown(&path)));
        }
        self.note();
        let lag = self.rest();
        // Late messages must not change it again.
        fs::write(self.root().join("the end"), "end").unwrap();
        self.note();
        self.rest();
        lag
    }

    /// Stops the peer, makes some changes, and starts it again.
    fn restart_peer(&mut self) {
        self.starve(false);
        let peer = self.peer.take().unwrap();
        if self.random.one_in(2) {
            peer.kill();
        } else {
            peer.terminate();
        }
        self.did("end the peer".to_owned());
        self.network.has_peers(&[], PATIENCE);
        for _ in 0..self.random.below(60) {
            self.make_change();
        }
        self.peer = Some(start_peer(&self.network));
        self.did("start the peer".to_owned());
    }

    /// Makes the peer unable to open files, or able again.
    fn starve(&mut self, is_starved: bool) {
        if self.is_starved == is_starved {
            return;
        }
        #[cfg(target_os = "linux")]
        self.peer.as_ref().unwrap().may_open_files(!is_starved);
        self.is_starved = is_starved;
        self.did(if is_starved { "no file can be opened" } else { "files can be opened" }.to_owned());
    }

    /// Waits until the catalogue is right. Returns how long that took.
    fn rest(&mut self) -> Duration {
        let began = Instant::now();
        let most = if self.seed.is_multiple_of(STARVED) { STARVED_REST } else { PATIENCE };
        let expected = self.expected.of(&self.root());
        let mut listed = BTreeMap::new();
        let found = found_within(most, || {
            listed = self.look();
            (listed == expected).then_some(())
        });
        if found.is_none() {
            let wrong: Vec<_> =
                expected.iter().filter(|(name, known)| listed.get(*name) != Some(known)).collect();
            let extra: Vec<_> = listed.iter().filter(|(name, _)| !expected.contains_key(*name)).collect();
            self.fail(&format!(
                "not right after {most:?}\nmissing or wrong: {wrong:#?}\nnot there: {extra:#?}"
            ));
        }
        began.elapsed()
    }

    /// The listed files; each must have existed with this content.
    fn look(&self) -> BTreeMap<String, Known> {
        let mut listed = BTreeMap::new();
        for file in self.network.list("files", &[]) {
            let text = |key: &str| file[key].as_str().unwrap().to_owned();
            let (name, id) = (text("name"), text("id"));
            if !self.had.get(&name).is_some_and(|ids| ids.contains(&id)) {
                self.fail(&format!("{name} never had the content {id} ({file})"));
            }
            let known = Known {
                id,
                size: file["size"].as_u64().unwrap(),
                mtime_s: file["mtime_s"].as_i64().unwrap(),
                executable: file["executable"].as_bool().unwrap(),
            };
            assert!(listed.insert(name, known).is_none(), "one name, one holder, two contents");
        }
        listed
    }

    fn fail(&self, what: &str) -> ! {
        let changes: Vec<_> = self.changes.iter().map(String::as_str).collect();
        panic!(
            "seed {}, after {} changes: {what}\nthe last ones:\n{}",
            self.seed,
            self.count,
            changes.join("\n")
        );
    }

    fn root(&self) -> PathBuf {
        self.network.path("disk/fire_user")
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.network.path("disk")).unwrap_or(path).display().to_string()
    }

    fn did(&mut self, what: String) {
        if self.changes.len() == REMEMBERED {
            self.changes.pop_front();
        }
        self.changes.push_back(format!("{}: {what}", self.count));
    }

    /// Remembers the current content of each file.
    fn note(&mut self) {
        for (name, known) in self.expected.of(&self.root()) {
            self.had.entry(name).or_default().insert(known.id);
        }
    }

    /// Whether a write may keep the time of the file: the disk shows it, or the peer runs and sees the event long
    /// enough before it ends.
    fn may_keep_time(&self) -> bool {
        let restart = self.changes_in_all / 2;
        self.disk.has_fine_times()
            || !(restart / 2..=restart).contains(&(self.count - 1)) && self.peer.is_some()
    }

    /// Remembers that a file was empty for a moment, under all of its names.
    fn was_empty(&mut self, path: &Path) {
        let inode = |path: &Path| fs::metadata(path).map(|metadata| metadata.ino()).ok();
        let wanted = inode(path);
        for (name, _) in self.expected.of(&self.root()) {
            if inode(&self.root().join(&name)) == wanted {
                self.had.entry(name).or_default().insert(hash(b""));
            }
        }
    }
}
