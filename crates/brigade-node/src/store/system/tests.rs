//! Tests for both implementations of `Dir`: they behave alike.
//!
//! Tests for one of them alone are in `linux_directory`, `rename_without_replacing`, `linux_file_system_info` and
//! `portable/windows`.

#[cfg(unix)]
use std::os::unix::fs::symlink;
use std::{ffi::OsStr, fs};

use super::FileKind;
#[cfg(unix)]
use super::is_link;

/// The behaviour of both implementations.
macro_rules! promises {
    ($twin:ident) => {
        mod $twin {
            use super::{super::$twin::Dir, FileKind, OsStr, fs};
            #[cfg(unix)]
            use super::{is_link, symlink};

            #[cfg(unix)]
            #[test]
            fn nothing_is_opened_through_a_link_or_outside() {
                let outside = tempfile::tempdir().unwrap();
                fs::write(outside.path().join("secret"), "s").unwrap();
                let temp = tempfile::tempdir().unwrap();
                let root = temp.path();
                fs::create_dir(root.join("in")).unwrap();
                fs::write(root.join("in/file"), "f").unwrap();
                symlink(outside.path(), root.join("out")).unwrap();
                symlink("in", root.join("inner")).unwrap();
                symlink("in/file", root.join("link")).unwrap();
                let dir = Dir::open_root(root).unwrap();
                assert!(dir.open_file("in/file").is_ok());
                for path in ["out/secret", "inner/file", "link"] {
                    let error = dir.open_file(path).unwrap_err();
                    assert!(is_link(&error), "{path}: {error}");
                }
                assert!(is_link(&dir.sub("out").err().unwrap()));
                assert!(is_link(&dir.sub("inner").err().unwrap()));
                assert!(dir.open_file("in/../in/../../x").is_err());
            }

            #[test]
            fn a_rename_never_replaces() {
                let temp = tempfile::tempdir().unwrap();
                let dir = Dir::open_root(temp.path()).unwrap();
                fs::write(temp.path().join("old"), "old").unwrap();
                fs::write(temp.path().join("new"), "new").unwrap();
                let error = dir.rename_new("new", &dir, "old", || Ok(())).unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
                assert_eq!(fs::read(temp.path().join("old")).unwrap(), b"old");
                dir.rename_new("new", &dir, "free", || Ok(())).unwrap();
                assert_eq!(fs::read(temp.path().join("free")).unwrap(), b"new");
                assert!(!temp.path().join("new").exists());
            }

            #[test]
            fn entries_and_status_tell_what_is_there() {
                let temp = tempfile::tempdir().unwrap();
                let dir = Dir::open_root(temp.path()).unwrap();
                dir.make_dir("d", false).unwrap();
                fs::write(temp.path().join("f"), "12345").unwrap();
                #[cfg(unix)]
                symlink("f", temp.path().join("l")).unwrap();
                let mut entries: Vec<_> =
                    dir.entries().unwrap().into_iter().map(|e| (e.name, e.kind)).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                let expected = [
                    ("d", FileKind::Folder),
                    ("f", FileKind::File),
                    #[cfg(unix)]
                    ("l", FileKind::Link),
                ];
                assert_eq!(entries, expected.map(|(n, k)| (n.into(), k)));
                let status = dir.status(OsStr::new("f")).unwrap();
                assert_eq!((status.kind, status.stamp.size), (FileKind::File, 5));
                let open = crate::store::file_stamp::stamp_of(&dir.open_file("f").unwrap()).unwrap();
                assert_eq!(status.stamp, open);
                assert!(dir.sub("d").unwrap().is_at(&temp.path().join("d")));
                assert!(!dir.sub("d").unwrap().is_at(temp.path()));
                assert!(!dir.sub("d").unwrap().is_at(&temp.path().join("f")));
                #[cfg(unix)]
                assert_eq!(dir.status(OsStr::new("l")).unwrap().kind, FileKind::Link);
            }
        }
    };
}

#[cfg(target_os = "linux")]
promises!(linux_directory);
promises!(portable);
