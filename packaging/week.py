#!/usr/bin/env python3
"""A week of a service, as one test from the outside: in a root with the installed package, with real processes.

    week.py ROOT DEB

ROOT is a folder with the package DEB installed (`packaging/try.sh` makes it); it needs root for `chroot`. This script
plays systemd: it starts the command of the unit, receives its messages, and stops it by SIGTERM. Each step prints the
command, its exit code and its first lines; a step that differs from what the manual says ends the script with 1.
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

PATIENCE_S = 60
PROGRAM = "/usr/bin/brigade"
FOLDER = "/srv/share"
HOLDER = "/srv/water_user"
STATE = "/var/lib/brigade/manager"

root, deb = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/srv/home", "TMPDIR": "/tmp", "BRIGADE_HOME": "/srv/home/brigade"}
started = []


def fail(message):
    sys.exit(f"week: {message}")


def run(*words, code=0, says=(), quiet=False):
    """Runs a command in the root, and checks its exit code and texts. Returns its standard output."""
    done = subprocess.run(["chroot", root, *words], env=env, capture_output=True, text=True, timeout=300)
    text = done.stdout + done.stderr
    if not quiet:
        print(f"$ {shlex.join(words)}\n  exit code {done.returncode}")
        print("".join(f"  {line}\n" for line in text.splitlines()[:6]), end="", flush=True)
    if done.returncode != code:
        fail(f"{shlex.join(words)}: exit code {done.returncode} instead of {code}\n{text}")
    for part in says:
        if part not in text:
            fail(f"{shlex.join(words)}: {part!r} is missing in\n{text}")
    return done.stdout


def until(what, check):
    """Waits until `check` returns something."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.1)
    return fail(f"not reached: {what}")


class Service:
    """A program that runs as systemd runs it: with a socket for its messages, and its log in a file."""

    def __init__(self, name, words, extra=None):
        self.name, self.words, self.extra = name, words, extra or {}
        self.start()

    def start(self):
        path = f"{root}/run/{self.name}.notify"
        if os.path.exists(path):
            os.remove(path)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        self.notify.setblocking(False)
        self.messages = ""
        self.log_path = f"{root}/tmp/{self.name}.log"
        runtime = f"/run/brigade/{self.name}"
        os.makedirs(root + runtime, mode=0o700, exist_ok=True)
        os.chmod(root + "/run/brigade", 0o755)
        own = {"NOTIFY_SOCKET": f"/run/{self.name}.notify", "RUNTIME_DIRECTORY": runtime, "WATCHDOG_USEC": "4000000"}
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                ["chroot", root, *self.words], env=env | own | self.extra, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        started.append(self.process)

    def received(self):
        try:
            while True:
                self.messages += self.notify.recv(65536).decode() + "\n"
        except BlockingIOError:
            return self.messages

    def log(self):
        with open(self.log_path) as log:
            return log.read()

    def ready(self):
        until(f"{self.name} is ready", lambda: "READY=1" in self.received())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        if code not in (0, 143, -15):
            fail(f"{self.name} ended with {code}")
        if "STOPPING=1" not in self.received():
            fail(f"{self.name} did not say that it stops")

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)


def peer(subcommand, *arguments, **checks):
    return run(PROGRAM, subcommand, *arguments, "--folder", FOLDER, **checks)


def fetches():
    lines = peer("transfers", "--all", "--json", quiet=True).splitlines()
    return {one["id"]: one for one in map(json.loads, lines) if "id" in one}


def manager_words(state):
    return [PROGRAM, "manager", "--port", "12700", "--state", state]


def write(path, data):
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    with open(root + path, "wb") as file:
        file.write(data)


def read(path):
    with open(root + path, "rb") as file:
        return file.read()


def step(title):
    print(f"\n== {title}", flush=True)


def main():
    film, second = os.urandom(24_000_000), os.urandom(12_000_000)
    write(f"{HOLDER}/film.bin", film)
    write(f"{HOLDER}/second.bin", second)
    os.makedirs(root + FOLDER)
    os.makedirs(root + env["HOME"], exist_ok=True)
    os.makedirs(root + "/run/brigade", exist_ok=True)

    step("Monday: the service is installed")
    run(PROGRAM, "service", "install", "--system", "peer", "--folder", FOLDER, "--username", "fire_user",
        "--manager-port", "12700", says=["brigade-peer.service"])
    with open(f"{root}/etc/systemd/system/brigade-peer.service") as unit:
        command = re.search(r"^ExecStart=(.*)$", unit.read(), re.M).group(1)
    words = [word.replace("%%", "%") for word in shlex.split(command)]

    step("it starts before the manager is there")
    fire = Service("brigade-peer", words)
    fire.ready()
    until("it says that it waits", lambda: "waiting for the manager at" in fire.log())
    manager = Service("brigade-manager", manager_words(STATE))
    manager.ready()
    until("the peer is in the network", lambda: "ready" in fire.log())
    peer("status", says=["fire_user", "connected"])

    step("Tuesday: a fetch into the served folder by a command")
    holder = [PROGRAM, "peer", "--headless", "--manager-port", "12700", "--username", "water_user", "--folder", HOLDER]
    water = Service("brigade-water", [*holder, "--upload-limit", "2MB"])
    until("its files are announced", lambda: "ready" in water.log())
    peer("fetch", "film.bin", "--detach", says=["film.bin"])
    peer("fetch", "nothing.bin", "--detach", code=5, says=["nobody shares"])
    until("pieces arrive", lambda: fetches()[1]["bytes_done"] > 0)

    step("limit, pause, resume, cancel")
    peer("limit", "down", "1MB", says=["1"])
    peer("pause", "film.bin", says=["paused: 1  film.bin"])
    stands = fetches()[1]["bytes_done"]
    peer("fetch", "second.bin", "--detach")
    until("the other fetch goes on", lambda: fetches()[2]["bytes_done"] > 0)
    if fetches()[1]["bytes_done"] > stands + (1 << 20):
        fail("a paused fetch received more than the piece that was on its way")
    peer("cancel", "2", says=["cancelled: 2  second.bin"])
    peer("resume", "film.bin", says=["resumed: 1  film.bin"])

    step("Wednesday: the peer is killed, and its fetches go on")
    fire.kill()
    fire.start()
    fire.ready()
    until("the fetch goes on", lambda: fetches().get(1, {}).get("state") == "fetching")
    peer("limit", "down", "off")
    run(PROGRAM, "limit", "up", "off", "--folder", HOLDER)
    until("the file is here", lambda: os.path.exists(f"{root}{FOLDER}/film.bin"))
    if read(f"{FOLDER}/film.bin") != film:
        fail("the copy differs")

    step("Thursday: a byte on the disk changes by itself")
    until("the copy is shared", lambda: "film.bin" in peer("files", "--json", quiet=True))
    peer("verify", says=["1 file"])
    path = f"{root}{FOLDER}/film.bin"
    times = os.stat(path)
    fire.stop()
    with open(path, "r+b") as file:
        file.seek(5_000_000)
        byte = file.read(1)
        file.seek(5_000_000)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    fire.start()
    fire.ready()
    until("it runs again", lambda: subprocess.run(
        ["chroot", root, PROGRAM, "status", "--folder", FOLDER, "--quiet"], env=env, capture_output=True).returncode == 0)
    until("the file is damaged or new", lambda: "hashing" not in peer("status", quiet=True))
    peer("verify", code=6, says=["film.bin"])
    peer("verify", "--repair", says=["film.bin"])
    until("it is repaired", lambda: read(f"{FOLDER}/film.bin") == film)

    step("Friday: a backup while the manager runs, restored elsewhere")
    run(PROGRAM, "backup", "/srv/manager.backup", says=["/srv/manager.backup"])
    key = json.loads(run(PROGRAM, "status", "--manager", "--json", quiet=True))["key"]
    manager.stop()
    run(PROGRAM, "restore", "/srv/manager.backup", "--state", "/srv/restored")
    run(PROGRAM, "restore", "/srv/manager.backup", "--state", "/srv/restored", code=6)
    manager = Service("brigade-manager", manager_words("/srv/restored"))
    manager.ready()
    if json.loads(run(PROGRAM, "status", "--manager", "--json", quiet=True))["key"] != key:
        fail("the restored manager has another key")
    until("the peer is back", lambda: "connected" in peer("status", quiet=True))

    step("Saturday: an upgrade while it fetches")
    run(PROGRAM, "limit", "up", "3MB", "--folder", HOLDER)
    until("the holder is back", lambda: "second.bin" in peer("files", "--json", quiet=True))
    peer("fetch", "second.bin", "--detach")
    subprocess.run(["dpkg", f"--root={root}", "--force-depends", "--install", deb], check=True, stdout=subprocess.DEVNULL)
    fire.stop()  # what the package's script asks of systemd: try-restart
    fire.start()
    fire.ready()
    until("the fetch went on", lambda: os.path.exists(f"{root}{FOLDER}/second.bin"))
    if read(f"{FOLDER}/second.bin") != second:
        fail("the second copy differs")

    step("Sunday: it is stopped and removed; the files stay")
    peer("stop")
    if fire.process.wait(PATIENCE_S) != 0:
        fail("`brigade stop` is no success for the service")
    run(PROGRAM, "service", "remove", "--system", "peer")
    for service in (water, manager):
        service.stop()
    if not os.path.exists(f"{root}{FOLDER}/film.bin"):
        fail("the files are gone")
    print("\nthe week is over")


try:
    main()
finally:
    for process in started:
        if process.poll() is None:
            process.kill()
