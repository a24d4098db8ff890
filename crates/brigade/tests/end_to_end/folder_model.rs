//! A shared folder lives a random life, and the catalogue is held against it: nothing is ever listed that was never
//! there, and when the folder comes to rest the catalogue is what a fresh look at it finds.
//!
//! A life follows from a seed. `BRIGADE_MODEL_SEEDS=100` lives a hundred of them instead of ten. In every fifth of them
//! the peer can open no file for a while, time and again. What fails prints its seed and the last things that were done.
//! What those are stands in `deeds`, what is then there in `truth`.

mod deeds;
mod truth;

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

use self::truth::{Known, Truth};
use crate::{
    network::{Network, bytes, hash},
    process::{PATIENCE, Process, found_within},
};

/// Seeds that are lived unless `BRIGADE_MODEL_SEEDS` says otherwise.
const SEEDS: u64 = 10;

/// Lives at the same time: they mostly wait. More where there are many, and whoever starts those has the time to wait
/// for a machine that is busy with them.
const TOGETHER: usize = 10;
const MANY_TOGETHER: usize = 40;

/// In one of so many lives the peer cannot open files for a while.
const STARVED: u64 = 5;

/// Things that are done in one life.
const DEEDS: usize = 2500;

/// How long the catalogue may take to become true where files could not be opened: they are tried again after a minute
/// at the latest.
const STARVED_REST: Duration = Duration::from_secs(180);

/// Deeds that are printed when a life fails.
const REMEMBERED: usize = 40;

/// A folder and what was done to it.
struct Life {
    seed: u64,
    chance: Chance,
    network: Network,
    truth: Truth,
    /// What was ever under a name, by its id.
    had: BTreeMap<String, BTreeSet<String>>,
    deeds: VecDeque<String>,
    /// Files that are being written, and stay open.
    open: Vec<(PathBuf, File)>,
    /// Folders that were moved out and may come back.
    outside: Vec<PathBuf>,
    count: usize,
    peer: Option<Process>,
    /// Whether the peer can open no file at this moment.
    is_starved: bool,
}

/// Numbers from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
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

#[test]
fn whatever_becomes_of_a_folder_the_catalogue_is_true() {
    let seeds = env::var("BRIGADE_MODEL_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let first = env::var("BRIGADE_MODEL_FIRST").map_or(1, |first| first.parse().unwrap());
    live(first..first + seeds);
}

#[allow(clippy::print_stdout)] // a figure for who runs many
fn live(seeds: Range<u64>) {
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
                    let lag = Life::begin(seed).live();
                    lags.lock().unwrap().push((lag, seed));
                }
            });
        }
    });
    let mut lags = lags.into_inner().unwrap();
    lags.sort();
    assert_eq!(lags.len() as u64, seeds.end - seeds.start);
    let (slowest, seed) = lags.last().unwrap();
    let middle = lags[lags.len() / 2].0;
    println!(
        "{} lives in {:.0?}; true {middle:.2?} after the last change, {slowest:.2?} at most (seed {seed})",
        lags.len(),
        began.elapsed()
    );
}

impl Life {
    fn begin(seed: u64) -> Self {
        let network = Network::start();
        let mut chance = Chance(seed);
        for number in 0..20 {
            let place = format!("{}/start{number}", ["", "d0", "d0/e1", "d1"][chance.below(4)]);
            network.write(&format!("fire_user/{place}"), &bytes(&format!("{seed} {number}"), number * 50));
        }
        fs::create_dir(network.path("outside")).unwrap();
        let peer = network.peer("fire_user", &[]);
        let (truth, had, deeds, open, outside) = Default::default();
        let (count, peer, is_starved) = (0, Some(peer), false);
        let mut life =
            Self { seed, chance, network, truth, had, deeds, open, outside, count, peer, is_starved };
        life.note();
        life
    }

    /// Lives to the end; how long after the last change the catalogue was true.
    fn live(mut self) -> Duration {
        let mut next_look = 20 + self.chance.below(100);
        for deed in 0..DEEDS {
            if deed == DEEDS / 2 {
                self.begin_anew();
            }
            self.do_something();
            if self.seed.is_multiple_of(STARVED) && self.chance.one_in(50) {
                self.starve(!self.is_starved);
            }
            if deed == next_look {
                next_look += 40 + self.chance.below(160);
                self.look();
            }
            // Bursts, and pauses in which the peer gets as far as it may: they choose what is tried, and decide nothing.
            if self.chance.one_in(30) {
                let pause_ms = [1, 10, 30, 150, 250, 400, 1100][self.chance.below(7)];
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
        // Nor does anything that is still on its way spoil it.
        fs::write(self.network.path("fire_user/the end"), "end").unwrap();
        self.note();
        self.rest();
        lag
    }

    /// Ends the peer, does a few things behind its back, and starts it again.
    fn begin_anew(&mut self) {
        self.starve(false);
        let peer = self.peer.take().unwrap();
        if self.chance.one_in(2) {
            peer.kill();
        } else {
            peer.terminate();
        }
        self.did("end the peer".to_owned());
        self.network.has_peers(&[], PATIENCE);
        for _ in 0..self.chance.below(60) {
            self.do_something();
        }
        self.peer = Some(self.network.peer("fire_user", &[]));
        self.did("start the peer".to_owned());
    }

    /// Lets the peer open no file from now on, or open them again.
    fn starve(&mut self, is_starved: bool) {
        if self.is_starved == is_starved {
            return;
        }
        #[cfg(target_os = "linux")]
        self.peer.as_ref().unwrap().may_open_files(!is_starved);
        self.is_starved = is_starved;
        self.did(if is_starved { "no file can be opened" } else { "files can be opened" }.to_owned());
    }

    /// Waits until the catalogue is what is there; how long that took.
    fn rest(&mut self) -> Duration {
        let began = Instant::now();
        let most = if self.seed.is_multiple_of(STARVED) { STARVED_REST } else { PATIENCE };
        let truth = self.truth.of(&self.root());
        let mut listed = BTreeMap::new();
        let found = found_within(most, || {
            listed = self.look();
            (listed == truth).then_some(())
        });
        if found.is_none() {
            let wrong: Vec<_> =
                truth.iter().filter(|(name, known)| listed.get(*name) != Some(known)).collect();
            let extra: Vec<_> = listed.iter().filter(|(name, _)| !truth.contains_key(*name)).collect();
            self.fail(&format!(
                "not true after {most:?}\nmissing or wrong: {wrong:#?}\nnot there: {extra:#?}"
            ));
        }
        began.elapsed()
    }

    /// What is listed; nothing of it may be what never was.
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
        let deeds: Vec<_> = self.deeds.iter().map(String::as_str).collect();
        panic!(
            "seed {}, after {} deeds: {what}\nthe last ones:\n{}",
            self.seed,
            self.count,
            deeds.join("\n")
        );
    }

    fn root(&self) -> PathBuf {
        self.network.path("fire_user")
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.network.path("")).unwrap_or(path).display().to_string()
    }

    fn did(&mut self, what: String) {
        if self.deeds.len() == REMEMBERED {
            self.deeds.pop_front();
        }
        self.deeds.push_back(format!("{}: {what}", self.count));
    }

    /// Notes what every file has at this moment.
    fn note(&mut self) {
        for (name, known) in self.truth.of(&self.root()) {
            self.had.entry(name).or_default().insert(known.id);
        }
    }

    /// Notes that a file was empty for an instant, under all of its names.
    fn was_empty(&mut self, path: &Path) {
        let inode = |path: &Path| fs::metadata(path).map(|metadata| metadata.ino()).ok();
        let wanted = inode(path);
        for (name, _) in self.truth.of(&self.root()) {
            if inode(&self.root().join(&name)) == wanted {
                self.had.entry(name).or_default().insert(hash(b""));
            }
        }
    }
}
