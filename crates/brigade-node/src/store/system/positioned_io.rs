//! Reading and writing at an offset, without moving the file's cursor.
//!
//! [`read_cached_at`] reads only data that is in memory, so it may be called on a thread that must not wait for a
//! disk.

use std::{
    fs::File,
    io::{self, IoSliceMut},
};

/// The number of a file system in memory in `statfs` (`linux/magic.h`).
#[cfg(target_os = "linux")]
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// Whether a file is on a file system in memory, if the system reports it.
#[cfg(target_os = "linux")]
pub(in crate::store) fn is_in_memory(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type == TMPFS_MAGIC)
}

/// Whether a file is on a file system in memory: this system does not report it.
#[cfg(not(target_os = "linux"))]
pub(in crate::store) fn is_in_memory(_: &File) -> bool {
    false
}

/// Removes the data of a file from the page cache, as far as it is on the disk: the next read then reads the disk.
#[cfg(target_os = "linux")]
pub(crate) fn drop_from_cache(file: &File) {
    // A file system that does not know the call has its data elsewhere.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

/// Removes the data of a file from the page cache: this system has no such call.
#[cfg(not(target_os = "linux"))]
pub(crate) fn drop_from_cache(_: &File) {}

/// Fills all buffers of `into`, in order, from `offset`, if the page cache has the data (`RWF_NOWAIT`); false if it
/// has not.
///
/// A file system in memory does not know that flag: it always has the data.
#[cfg(target_os = "linux")]
pub(crate) fn read_cached_at(
    file: &File,
    mut into: &mut [IoSliceMut<'_>],
    mut offset: u64,
) -> io::Result<bool> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    let mut flags = ReadWriteFlags::NOWAIT;
    while !into.is_empty() {
        match preadv2(file, into, offset, flags) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                IoSliceMut::advance_slices(&mut into, read);
                offset += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::OPNOTSUPP) if is_in_memory(file) => flags = ReadWriteFlags::empty(),
            Err(Errno::OPNOTSUPP) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Reads data that is in memory: this system does not report which data that is.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_cached_at(_: &File, _: &mut [IoSliceMut<'_>], _: u64) -> io::Result<bool> {
    Ok(false)
}

/// Fills all buffers of `into`, in order, from `offset`, mostly with one call; an error if the file ends before.
#[cfg(target_os = "linux")]
pub(crate) fn read_all_at(file: &File, mut into: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        match rustix::io::preadv(file, into, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                IoSliceMut::advance_slices(&mut into, read);
                offset += read as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Fills all buffers of `into`, in order, from `offset`; an error if the file ends before.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_all_at(file: &File, into: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<()> {
    for buffer in into {
        read_exact_at(file, buffer, offset)?;
        offset += buffer.len() as u64;
    }
    Ok(())
}

/// Fills `into` from `offset`; an error if the file ends before.
pub(crate) fn read_exact_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<()> {
    let wanted = into.len();
    if read_at(file, into, offset)? == wanted { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Reads from `offset` until `into` is full or the file ends. Returns the number of bytes.
pub(in crate::store) fn read_at(file: &File, mut into: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let wanted = into.len();
    while !into.is_empty() {
        match read_some_at(file, into, offset) {
            Ok(0) => break,
            Ok(read) => {
                into = &mut into[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - into.len())
}

#[cfg(unix)]
fn read_some_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, offset)
}

#[cfg(windows)]
fn read_some_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, offset)
}

/// Writes all of `bytes` at `offset`.
#[cfg(unix)]
pub(in crate::store) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes all of `bytes` at `offset`.
#[cfg(windows)]
pub(in crate::store) fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{IoSliceMut, io, read_all_at};

    #[test]
    fn several_buffers_are_filled_in_order_or_the_file_ends_before() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        for (offset, is_enough) in [(0, true), (2, true), (3, false), (10, false)] {
            let (mut first, mut second) = ([0; 3], [0; 5]);
            let read = {
                let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
                read_all_at(&file, &mut buffers, offset)
            };
            match read {
                Ok(()) => {
                    let expected = &b"0123456789"[usize::try_from(offset).unwrap()..][..8];
                    assert!(is_enough && [&first[..], &second[..]].concat() == expected);
                }
                Err(error) => assert!(!is_enough && error.kind() == io::ErrorKind::UnexpectedEof, "{error}"),
            }
        }
    }
}
