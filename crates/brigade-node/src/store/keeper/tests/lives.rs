//! Folders to which anything happens, by a seed: what is announced in the end is the truth.
//!
//! Single changes are in `super`.

use super::{BTreeMap, Content, Duration, OpenOptions, Path, Watched, Write, content, fs, temp, timeout};

/// Numbers from a seed (Knuth's MMIX generator): a test that fails fails again.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// One of the things that happen to a folder, to files and folders of very few names so that they meet.
fn something_happens(root: &Path, seeded: &mut Seeded) {
    let mut place = || {
        let file = format!("f{}", seeded.below(6));
        match seeded.below(4) {
            0 => root.join(file),
            1 => root.join(format!("d{}", seeded.below(3))).join(file),
            _ => root.join(format!("d{}/e{}", seeded.below(3), seeded.below(2))).join(file),
        }
    };
    let (path, other) = (place(), place());
    let parent = path.parent().unwrap();
    let bytes = seeded.below(1 << 30).to_string();
    // Many of these fail because of what is there or not: that is part of it.
    let _ = match seeded.below(9) {
        0..=3 => fs::create_dir_all(parent).and_then(|()| fs::write(&path, bytes)),
        4 => {
            OpenOptions::new().append(true).open(&path).and_then(|mut file| file.write_all(bytes.as_bytes()))
        }
        5 => fs::create_dir_all(other.parent().unwrap()).and_then(|()| fs::rename(&path, &other)),
        6 => fs::remove_file(&path),
        7 => fs::rename(parent, root.join(format!("d{}/e{}", seeded.below(3), seeded.below(2)))),
        _ if parent != root => fs::remove_dir_all(parent),
        _ => Ok(()),
    };
}

/// What is truly in a folder.
fn truth(root: &Path) -> BTreeMap<String, Content> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() == ".brigade" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                files.insert(name, content(&fs::read(entry.path()).unwrap()));
            }
        }
    }
    files
}

async fn lives(seed: u64, events: usize) {
    let temp = temp();
    let mut seeded = Seeded(seed);
    for _ in 0..30 {
        something_happens(temp.path(), &mut seeded);
    }
    let mut watched = Watched::start(temp.path());
    for event in 0..events {
        something_happens(temp.path(), &mut seeded);
        if event % 16 == 0 {
            // Now and then the keeper gets as far as it may, mostly it is in the middle of something.
            tokio::task::yield_now().await;
            while let Ok(Ok(())) =
                timeout(Duration::from_millis(seeded.below(40) as u64), watched.hear_or_end()).await
            {
            }
        }
    }
    let truth = truth(temp.path());
    watched.until(&format!("seed {seed}: {truth:?}"), |watched| watched.files == truth).await;
    // Nor does anything that is still on its way spoil it.
    fs::write(temp.path().join("end"), "end").unwrap();
    watched.until("the end", |watched| watched.files.contains_key("end")).await;
    watched.files.remove("end");
    assert_eq!(watched.files, truth, "seed {seed}");
    assert_eq!(watched.share.totals().0, truth.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_to_a_folder_the_truth_is_announced() {
    let seeds: Vec<_> = (1..=4).map(|seed| tokio::spawn(lives(seed, 400))).collect();
    for seed in seeds {
        seed.await.unwrap();
    }
}
