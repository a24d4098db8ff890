#!/usr/bin/env python3
"""Measures a large folder: the first scan, the second start, memory, and the delay of the catalogue after many changes.

  folder.py start --files 100000 --size 1024
        a peer shares a folder with FILES files of SIZE random bytes. Results: seconds until it prints `ready`
        (everything is hashed and announced) at its first start, and at the second start, when nothing has changed;
        peak RSS of the peer and of the manager.
  folder.py burst --files 10000
        in the folder of a running peer, FILES files are created, appended to, renamed and deleted, and a folder is
        moved out and back. Results: seconds from the last change until a listing of the catalogue is right.

The program is BRIGADE_BIN, or the build with the profile `dist`. Files are in memory, unless --scratch names another
folder.
"""
import argparse, json, os, shutil, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get("BRIGADE_BIN") or os.path.join(
    os.environ.get("CARGO_TARGET_DIR") or os.path.join(HERE, "..", "target"), "dist", "brigade"
)
PORT = "27800"


class Network:
    """A manager and one peer, in a temporary folder."""

    def __init__(self, scratch):
        self.home = tempfile.mkdtemp(prefix="brigade-folder-", dir=scratch)
        self.folder = os.path.join(self.home, "folder")
        os.mkdir(self.folder)
        self.env = {**os.environ, "BRIGADE_HOME": os.path.join(self.home, "home")}
        self.peer = None
        state = os.path.join(self.home, "state")
        self.manager = self.start("manager", "--port", PORT, "--state", state)

    def start(self, *arguments):
        """Starts the program and waits until it is `ready`."""
        process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, text=True, env=self.env)
        for line in process.stdout:
            if line.strip() == "ready":
                return process
        sys.exit(f"brigade {arguments[0]} ended with {process.wait()}")

    def start_peer(self):
        began = time.monotonic()
        self.peer = self.start(
            "peer", "--headless", "--username", "peer", "--port", "0", "--folder", self.folder, "--manager-port", PORT
        )
        return time.monotonic() - began

    def stop_peer(self):
        self.peer.terminate()
        self.peer.wait()

    def catalogue(self):
        command = [PROGRAM, "files", "--json", "--manager-port", PORT]
        listed = subprocess.run(command, capture_output=True, text=True, env=self.env, check=True).stdout
        return {entry["name"]: entry["size"] for entry in map(json.loads, listed.splitlines())}

    def close(self):
        for process in (self.peer, self.manager):
            if process:
                process.terminate()
                process.wait()
        shutil.rmtree(self.home)


def peak_mib(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def start(network, options):
    for number in range(options.files):
        place = os.path.join(network.folder, f"d{number % 100:02}")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, str(number)), "wb") as file:
            file.write(os.urandom(options.size))
    print(f"start: {options.files} files of {options.size} bytes")
    print(f"{'':8}{'ready s':>9}{'peer RSS MiB':>14}{'manager RSS MiB':>17}")
    for label in ("first", "second"):
        seconds = network.start_peer()
        assert len(network.catalogue()) == options.files
        print(f"{label:8}{seconds:9.2f}{peak_mib(network.peer):14.0f}{peak_mib(network.manager):17.0f}")
        network.stop_peer()
    network.peer = None


def burst(network, options):
    network.start_peer()
    path = lambda name: os.path.join(network.folder, name)
    sizes = {}

    def settle(label):
        since = time.monotonic()
        while network.catalogue() != sizes:
            if time.monotonic() - since > 60:
                sys.exit(f"{label}: the catalogue is not what it must be")
        print(f"{label:24}{time.monotonic() - since:8.2f}")

    print(f"burst: {options.files} files, seconds after the last change, one listing at least included")
    for number in range(options.files):
        name = f"d{number % 100:02}/{number}"
        os.makedirs(os.path.dirname(path(name)), exist_ok=True)
        with open(path(name), "w") as file:
            sizes[name] = file.write(name)
    settle("created")
    for name in sizes:
        with open(path(name), "a") as file:
            sizes[name] += file.write(name)
    settle("appended to")
    for name in list(sizes):
        os.rename(path(name), path(name + ".new"))
        sizes[name + ".new"] = sizes.pop(name)
    settle("renamed")
    outside = os.path.join(network.home, "outside")
    os.rename(path("d00"), outside)
    moved = {name: sizes.pop(name) for name in list(sizes) if name.startswith("d00/")}
    settle("a folder moved out")
    os.rename(outside, path("back"))
    sizes.update({name.replace("d00/", "back/"): size for name, size in moved.items()})
    settle("and back, renamed")
    for name in list(sizes):
        os.remove(path(name))
        del sizes[name]
    settle("deleted")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["start", "burst"])
    parser.add_argument("--files", type=int)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--scratch", default="/dev/shm")
    options = parser.parse_args()
    options.files = options.files or {"start": 100_000, "burst": 10_000}[options.what]
    network = Network(options.scratch)
    try:
        {"start": start, "burst": burst}[options.what](network, options)
    finally:
        network.close()


main()
