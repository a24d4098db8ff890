//! An Ed25519 key pair on disk: PKCS#8 (RFC 8410) in DER, readable by its owner only.
//!
//! The key is written under a temporary name and then hard-linked to its final name, which replaces nothing: two
//! processes that start at the same time get the same key, and a crash never leaves half a key. On a file system
//! without hard links it is renamed; there the folder's lock, or the members' database, excludes the second process.
//! A stored key is durable.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

use aws_lc_rs::{
    encoding::{AsBigEndian, Curve25519SeedBin},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use brigade_core::id::PeerKey;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::durable_folders::{is_unsupported, sync_folder};

/// The bytes before the 32 bytes of an Ed25519 public key in its SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Bytes of a key file that are read; a PKCS#8 Ed25519 key has 48 or 83.
const KEY_FILE_BYTES: usize = 256;

/// A secret key and its public key.
///
/// The copies of the secret that are made here are zeroized when they are dropped. The one that rustls keeps for
/// signing, in AWS-LC, is AWS-LC's; and what the compiler leaves on the stack when a value is moved stays there.
#[derive(Clone)]
pub struct SecretKey {
    pkcs8: Arc<Zeroizing<Vec<u8>>>,
    seed: Zeroizing<[u8; 32]>,
    public: PeerKey,
}

/// The error when a key could not be read or created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be read or written.
    #[error("using the key file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is not an Ed25519 key in PKCS#8.
    #[error("the key file {path} does not hold an Ed25519 key: it is damaged, or another program wrote it")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The path is something else than a file.
    #[error("{path} is not a file, and the key must be stored there")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The path is a symbolic link to a file that does not exist.
    #[error("the key file {path} is a symbolic link to a file that does not exist")]
    LinkToNothing {
        /// The path.
        path: PathBuf,
    },
    /// Other accounts than its owner can read the file.
    #[error("the key file {path} can be read by others (mode {mode:o}, not 600)")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl SecretKey {
    /// A new key.
    ///
    /// # Panics
    /// If the system has no randomness: no safe key is possible then.
    pub fn generate() -> Self {
        #[allow(clippy::expect_used)]
        Self::generated().expect("the system gives randomness for a key")
    }

    fn generated() -> Option<Self> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
        Self::from_pkcs8(document.as_ref())
    }

    /// The key in a PKCS#8 document; `None` if it has none.
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        let public = PeerKey(pair.public_key().as_ref().try_into().ok()?);
        let seed: Curve25519SeedBin<'_> = pair.seed().ok()?.as_be_bytes().ok()?;
        let seed = Zeroizing::new(seed.as_ref().try_into().ok()?);
        Some(Self { pkcs8: Arc::new(Zeroizing::new(pkcs8.to_vec())), seed, public })
    }

    /// Reads the key in the file at `path`; `None` if there is no file.
    pub fn load(path: &Path) -> Result<Option<Self>, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        // The kind is checked before: opening a named pipe waits for a writer.
        match fs::metadata(path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(KeyError::NotAFile { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
                let path = path.to_owned();
                return if is_link { Err(KeyError::LinkToNothing { path }) } else { Ok(None) };
            }
            Err(error) => return Err(failed(error)),
        }
        let file = File::open(path).map_err(failed)?;
        check_mode(path, &file.metadata().map_err(failed)?)?;
        let key = Self::read(&file).map_err(failed)?;
        key.map(Some).ok_or_else(|| KeyError::Damaged { path: path.to_owned() })
    }

    /// Whether the file at `path` has this key, also if other accounts can read it.
    pub(crate) fn is_in(&self, path: &Path) -> io::Result<bool> {
        if !fs::metadata(path)?.is_file() {
            return Ok(false);
        }
        Ok(Self::read(&File::open(path)?)?.is_some_and(|key| key.public == self.public))
    }

    /// The key in an open file; `None` if it has none.
    fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES)); // it never moves
        file.take(KEY_FILE_BYTES as u64).read_to_end(&mut bytes)?;
        Ok(Self::from_pkcs8(&bytes))
    }

    /// Reads the key in the file at `path`, or creates a new one there.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let key = Self::generate();
        if key.save(path)? {
            return Ok(key);
        }
        // Another process was first: its key is used.
        Self::load(path)?.ok_or_else(|| KeyError::Damaged { path: path.to_owned() })
    }

    /// Stores the key in a new file at `path`, durably; false if there is a file already.
    pub fn save(&self, path: &Path) -> Result<bool, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let draft = path.with_extension(format!("new-{}", std::process::id()));
        let written = private_file(&draft).and_then(|mut file| {
            file.write_all(&self.pkcs8)?;
            file.sync_all()?;
            file.metadata()
        });
        let is_exposed = written.as_ref().is_ok_and(is_exposed);
        let placed = written.and_then(|_| place_new_file(&draft, path));
        let _ = fs::remove_file(&draft); // it does not exist any more if it was renamed
        let is_new = placed.map_err(failed)?;
        sync_folder(path.parent().unwrap_or(Path::new(""))).map_err(failed)?;
        if is_exposed {
            warn_of_exposure(path);
        }
        Ok(is_new)
    }

    /// The key as a PKCS#8 document: the bytes of its file.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key.
    pub fn public(&self) -> PeerKey {
        self.public
    }

    /// Seed and public key in a row, the form of a secret key in PASETO's version 4.
    pub(super) fn paseto_bytes(&self) -> Zeroizing<[u8; 64]> {
        let mut bytes = Zeroizing::new([0; 64]);
        bytes[..32].copy_from_slice(&*self.seed);
        bytes[32..].copy_from_slice(&self.public.0);
        bytes
    }

    /// The key in the form that rustls uses in a handshake: a raw public key (RFC 7250).
    pub(crate) fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        let private = PrivatePkcs8KeyDer::from(self.pkcs8.as_slice());
        let signing = rustls::crypto::aws_lc_rs::sign::any_eddsa_type(&private)?;
        let spki = [&SPKI_PREFIX[..], &self.public.0].concat();
        Ok(CertifiedKey::new(vec![CertificateDer::from(spki)], signing))
    }
}

impl std::fmt::Debug for SecretKey {
    /// Shows only the public key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey({})", self.public)
    }
}

/// The key in a SubjectPublicKeyInfo; `None` for a key of another kind.
pub(crate) fn key_of_spki(spki: &[u8]) -> Option<PeerKey> {
    spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok().map(PeerKey)
}

/// Gives the file `draft` the name `path`, if nothing has that name: false if something has. The file may have its old
/// name too after that. The folder is not synced.
pub(crate) fn place_new_file(draft: &Path, path: &Path) -> io::Result<bool> {
    link_or_rename(draft, path, |from, to| fs::hard_link(from, to))
}

/// Links or renames the file `draft` to `path`; false if `path` exists.
fn link_or_rename(
    draft: &Path,
    path: &Path,
    link: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<bool> {
    match link(draft, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) if is_about_links(&error) => match fs::symlink_metadata(path) {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(draft, path).map(|()| true),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Whether a hard link failed because the file system has none: exFAT and FAT return EPERM, others ENOTSUP or ENOSYS.
fn is_about_links(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, TooManyLinks};
    matches!(error.kind(), PermissionDenied | TooManyLinks) || is_unsupported(error)
}

/// Creates a file that only its owner can read. A file with this name is replaced.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path); // the file of an interrupted process with the same number
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // On other systems the folder's permissions protect it: it is in the user's profile.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether other accounts than its owner may read the file.
#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    mode(metadata) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0
}

fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyError> {
    if !is_exposed(metadata) {
        return Ok(());
    }
    if !forgets_modes(path) {
        return Err(KeyError::Exposed { path: path.to_owned(), mode: mode(metadata) });
    }
    warn_of_exposure(path);
    Ok(())
}

/// Whether the file system at `path` stores no modes, tested with a new private file.
fn forgets_modes(path: &Path) -> bool {
    let probe = path.with_extension(format!("probe-{}", std::process::id()));
    let made = private_file(&probe).and_then(|file| file.metadata());
    let _ = fs::remove_file(&probe);
    made.is_ok_and(|metadata| is_exposed(&metadata))
}

/// Warns: a person may be able to change this, the program cannot.
fn warn_of_exposure(path: &Path) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            path = %path.display(),
            "others on this machine may read the key file: its file system stores no permissions. Mount it with \
             umask=077, or use a folder on another file system"
        );
    });
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use super::{KeyError, SecretKey, key_of_spki, link_or_rename};

    #[test]
    fn a_stored_key_is_durable_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = SecretKey::load_or_create(&path).unwrap();
        let again = SecretKey::load_or_create(&path).unwrap();
        assert_eq!(first.public(), again.public());
        assert!(!SecretKey::generate().save(&path).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mut permissions = std::fs::metadata(&path).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, 0o600);
            permissions.set_mode(0o644);
            std::fs::set_permissions(&path, permissions).unwrap();
            assert!(matches!(SecretKey::load(&path), Err(KeyError::Exposed { .. })));
        }
    }

    #[test]
    fn a_path_that_is_not_a_file_has_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(SecretKey::load(&path), Err(KeyError::NotAFile { .. })));
        assert!(matches!(SecretKey::load_or_create(&path), Err(KeyError::NotAFile { .. })));
        assert!(path.is_dir());
    }

    #[test]
    fn a_damaged_key_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = SecretKey::generate();
        key.save(&path).unwrap();
        std::fs::write(&path, b"nonsense").unwrap();
        assert!(matches!(SecretKey::load_or_create(&path), Err(KeyError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"nonsense");
    }

    #[test]
    fn the_certified_key_is_the_public_key() {
        let key = SecretKey::generate();
        let certified = key.certified().unwrap();
        assert_eq!(key_of_spki(&certified.cert[0]), Some(key.public()));
        assert_eq!(key_of_spki(b"short"), None);
    }

    /// The errors of exFAT, FAT and some network file systems.
    #[test]
    fn a_key_is_stored_on_a_file_system_without_links() {
        let folder = tempfile::tempdir().unwrap();
        let (draft, path) = (folder.path().join("draft"), folder.path().join("key"));
        #[cfg(target_os = "linux")]
        let errors = [1, 38, 95]; // EPERM, ENOSYS, EOPNOTSUPP
        #[cfg(all(unix, not(target_os = "linux")))]
        let errors = [1, 45, 78]; // EPERM, ENOTSUP, ENOSYS of macOS
        #[cfg(windows)]
        let errors = [1, 50, 1142]; // ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED, ERROR_TOO_MANY_LINKS
        for error in errors.map(io::Error::from_raw_os_error) {
            let _ = fs::remove_file(&path);
            fs::write(&draft, "first").unwrap();
            let shown = error.to_string();
            assert!(link_or_rename(&draft, &path, |_, _| Err(error)).unwrap(), "{shown}");
            assert!(!draft.exists() && path.exists(), "{shown}");
        }
        fs::write(&draft, "second").unwrap();
        fs::write(&path, "first").unwrap();
        let none = || io::Error::from(io::ErrorKind::Unsupported);
        assert!(!link_or_rename(&draft, &path, |_, _| Err(none())).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(link_or_rename(&draft, &folder.path().join("other"), |_, _| Err(full)).is_err());
    }
}
