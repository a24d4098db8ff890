"""Archives whose bytes depend only on their content: sorted names, root as the owner, one time for all files.

`make_deb.py` and `make_image.py` use it. `SOURCE_DATE_EPOCH` is the time of all files.
"""

import gzip
import io
import os
import re
import subprocess
import tarfile

TIME = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


class Tree:
    """Files and folders of a package, by their path without a slash at its beginning."""

    def __init__(self):
        self.entries = {}

    def folder(self, path, mode=0o755, owner=0):
        """Adds a folder and those above it."""
        above = os.path.dirname(path)
        if above and above not in self.entries:
            self.folder(above)
        self.entries.setdefault(path, (None, mode, owner))

    def file(self, path, data, mode=0o644, owner=0):
        """Adds a file and the folders above it."""
        if isinstance(data, str):
            data = data.encode()
        self.folder(os.path.dirname(path)) if os.path.dirname(path) else None
        self.entries[path] = (data, mode, owner)

    def files(self):
        """The paths and data of the files."""
        return [(path, entry[0]) for path, entry in sorted(self.entries.items()) if entry[0] is not None]

    def tar(self, prefix=""):
        """An uncompressed tar archive."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for path, (data, mode, owner) in sorted(self.entries.items()):
                entry = tarfile.TarInfo(prefix + path)
                entry.mode, entry.mtime, entry.uid, entry.gid = mode, TIME, owner, owner
                if data is None:
                    entry.type = tarfile.DIRTYPE
                    archive.addfile(entry)
                else:
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
        return out.getvalue()


def compressed(data):
    """gzip without a name and without the time of now."""
    return gzip.compress(data, compresslevel=9, mtime=0)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def output_of(program, *arguments):
    """What the program prints, with no settings of the user."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BRIGADE_")}
    environment["BRIGADE_HOME"] = "/nonexistent"
    ran = subprocess.run([program, *arguments], check=True, capture_output=True, env=environment, timeout=60)
    return ran.stdout.decode()


def shared_libraries(program):
    """The libraries that a program needs; none for a static one."""
    ran = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return sorted(set(re.findall(r"(/\S+)", ran.stdout))) if ran.returncode == 0 and "statically" not in ran.stdout else []


def glibc_version(program):
    """The lowest version of glibc with all functions that a program uses."""
    found = re.findall(rb"GLIBC_(\d+(?:\.\d+)+)", read(program))
    versions = sorted({tuple(int(part) for part in version.split(b".")) for version in found})
    return ".".join(str(part) for part in versions[-1]) if versions else None
