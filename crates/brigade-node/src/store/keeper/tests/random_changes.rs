//! Random changes of folders, from a seed: the announcements match the folder in the end.
//!
//! Single changes are in `super`.

use super::{BTreeMap, Content, Duration, OpenOptions, Path, TestKeeper, Write, content, fs, temp, timeout};

/// Numbers from a seed (Knuth's MMIX generator): a failing test fails again.
struct TestRandom(u64);

impl TestRandom {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// A random change of a folder. There are few names, so that changes meet.
fn random_change(root: &Path, random: &mut TestRandom) {
    let mut random_path = || {
        let file = format!("f{}", random.below(6));
        match random.below(4) {
            0 => root.join(file),
            1 => root.join(format!("d{}", random.below(3))).join(file),
            _ => root.join(format!("d{}/e{}", random.below(3), random.below(2))).join(file),
        }
    };
    let (path, other) = (random_path(), random_path());
    let parent = path.parent().unwrap();
    let bytes = random.below(1 << 30).to_string();
    // Many of these fail, depending on the existing files. That is intended.
    let _ = match random.below(9) {
        0..=3 => fs::create_dir_all(parent).and_then(|()| fs::write(&path, bytes)),
        4 => {
            OpenOptions::new().append(true).open(&path).and_then(|mut file| file.write_all(bytes.as_bytes()))
        }
        5 => fs::create_dir_all(other.parent().unwrap()).and_then(|()| fs::rename(&path, &other)),
        6 => fs::remove_file(&path),
        7 => fs::rename(parent, root.join(format!("d{}/e{}", random.below(3), random.below(2)))),
        _ if parent != root => fs::remove_dir_all(parent),
        _ => Ok(()),
    };
}

/// The files that are really in a folder.
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

async fn random_changes(seed: u64, events: usize) {
    let temp = temp();
    let mut random = TestRandom(seed);
    for _ in 0..30 {
        random_change(temp.path(), &mut random);
    }
    let mut keeper = TestKeeper::start(temp.path());
    for event in 0..events {
        random_change(temp.path(), &mut random);
        if event % 16 == 0 {
            // Sometimes the keeper may finish its work, mostly it is interrupted.
            tokio::task::yield_now().await;
            while let Ok(Ok(())) =
                timeout(Duration::from_millis(random.below(40) as u64), keeper.receive_or_end()).await
            {
            }
        }
    }
    let truth = truth(temp.path());
    keeper.until(&format!("seed {seed}: {truth:?}"), |keeper| keeper.files == truth).await;
    // Later events do not change the result.
    fs::write(temp.path().join("end"), "end").unwrap();
    keeper.until("the end", |keeper| keeper.files.contains_key("end")).await;
    keeper.files.remove("end");
    assert_eq!(keeper.files, truth, "seed {seed}");
    assert_eq!(keeper.share.totals().0, truth.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn announcements_match_the_folder_after_any_changes() {
    let seeds: Vec<_> = (1..=4).map(|seed| tokio::spawn(random_changes(seed, 400))).collect();
    for seed in seeds {
        seed.await.unwrap();
    }
}
