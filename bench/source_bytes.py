#!/usr/bin/env python3
"""Measures the bytes that the source of many downloaders sends: by its own count, and by the kernel's.

There are one holder and L downloaders that stay, each with an upload limit. If the downloaders pass on their pieces, the
source sends little more than F, the size of the file.

  source_bytes.py
  source_bytes.py --size 16 --downloaders 3

The source is a `brigade peer` that reads commands from a pipe. When the last downloader is complete, it gets `status`:

  status, bytes    the piece data that it sent to each downloader, including the sent part of cancelled pieces. It is
                   printed in tenths of a unit. The number after ± is the largest possible error of the sum.
  status, pieces   the number of complete pieces times their length: exact, without cancelled pieces.
  kernel           `bytes_sent` of all connections that the source accepted: with encryption, greetings, piece
                   lists, and data that TCP sent again. `ss` shows it for open connections, many times a second, and
                   once more, exactly, for each connection that is closed. Needs iproute2.

Every copy is compared byte by byte with the source. The program is BRIGADE_BIN, or the build with the profile `dist`.
The downloaders are started through `adapter`, as in `peers.py`. Files are in memory, unless --scratch names another
folder.
"""
import argparse, json, os, re, shutil, signal, statistics, subprocess, sys, tempfile, threading, time

sys.dont_write_bytecode = True
import peers, uneven

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get("BRIGADE_BIN") or os.path.join(
    os.environ.get("CARGO_TARGET_DIR") or os.path.join(HERE, "..", "target"), "dist", "brigade"
)
MIB = 1 << 20
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class Crowd(peers.External):
    """A manager, and a source with a prompt."""

    program = os.path.join(HERE, "adapter")

    def prepare(self):
        self.serve("manage", self.b.port(0), self.b.dir("manager"))
        folder = self.b.holder_dir(0)
        self.env = {**os.environ, "BRIGADE_HOME": os.path.join(folder, ".brigade-home")}
        command = [PROGRAM, "peer", "--host", "localhost", "--manager-port", self.b.port(0), "--port", self.b.port(10),
                   "--username", "source", "--folder", folder, "--max", 64]
        if self.b.cap:
            command += ["--upload-limit", f"{self.b.cap}MB"]
        self.source = self.procs.start([str(word) for word in command], env=self.env, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        peers.wait_for(self.announced, 60)

    def announced(self):
        """Waits until the catalogue has the file: with a prompt, a peer does not print `ready`."""
        command = [PROGRAM, "files", "--json", "--manager-port", str(self.b.port(0))]
        listed = subprocess.run(command, capture_output=True, text=True, env=self.env, check=True).stdout
        return any(json.loads(line)["name"] == self.b.name for line in listed.splitlines())

    def ask(self):
        """Asks for `status`, ends the source, and returns the answer."""
        self.source.stdin.write("status\nq\n")
        self.source.stdin.close()
        answer = self.source.stdout.read()
        self.procs.reap(self.source)
        return answer


def sent_by_status(answer, piece_bytes, size):
    """Returns the bytes, the largest possible error of their sum, and the bytes of complete pieces."""
    total = error = whole = 0
    rows = re.findall(r"^sent to \S+: ([\d.]+) (\w+) \((\d+) pieces\)$", answer, re.MULTILINE)
    for number, unit, pieces in rows:
        total += float(number) * UNITS[unit]
        error += 0.05 * UNITS[unit] if unit != "B" else 0
        whole += int(pieces)
    if not rows:
        raise RuntimeError(f"the source's status has no line of what it sent:\n{answer}")
    return total, error, min(piece_bytes, size) * whole


class Kernel:
    """`bytes_sent` of all connections with one local port, including closed ones."""

    EVERY_SECONDS = 0.05

    def __init__(self, port):
        self.port = str(port)
        self.sent, self.again, self.closed = {}, {}, set()
        self.lock, self.over = threading.Lock(), threading.Event()
        # Without this, `ss` writes line by line only at a terminal.
        self.events = subprocess.Popen(["stdbuf", "-oL", "ss", "-EtineH"], stdout=subprocess.PIPE, text=True,
                                       stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.follow, self.look_often)]
        for thread in self.threads:
            thread.start()
        time.sleep(0.2)  # `ss` must listen before the first connection closes

    def take(self, place, figures, closed):
        """Reads two lines of `ss`. The kernel's cookie identifies a connection, because ports may be used again."""
        local = place.split()[3]
        cookie = re.search(r"\bsk:([0-9a-f]+)", place)
        if local.rsplit(":", 1)[1] != self.port or not cookie or "rtt:" not in figures:
            return
        number = lambda name: int((re.search(rf"\b{name}:(\d+)", figures) or [0, 0])[1])
        with self.lock:
            key = cookie[1]
            self.sent[key] = max(self.sent.get(key, 0), number("bytes_sent"))
            self.again[key] = max(self.again.get(key, 0), number("bytes_retrans"))
            if closed:
                self.closed.add(key)

    def follow(self):
        place = None
        for line in self.events.stdout:
            if not line.startswith((" ", "\t")):
                place = line
            elif place:
                self.take(place, line, True)
                place = None

    def look(self):
        """Reads the open connections and returns their cookies."""
        command = ["ss", "-tineH", "state", "connected", "sport", "=", f":{self.port}"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        pairs = [(place, figures) for place, figures in zip(lines, lines[1:]) if not place.startswith((" ", "\t"))]
        for place, figures in pairs:
            self.take(place, figures, False)
        return set(re.findall(r"\bsk:([0-9a-f]+)", "\n".join(place for place, _ in pairs)))

    def look_often(self):
        while not self.over.wait(self.EVERY_SECONDS):
            self.look()

    def total(self):
        """Returns bytes, connections, connections whose last bytes were not seen, and bytes that TCP sent again."""
        time.sleep(0.2)  # for the last events
        self.over.set()
        self.threads[1].join()
        open_now = self.look()
        with self.lock:
            unseen = len(self.sent.keys() - self.closed - open_now)
            return sum(self.sent.values()), len(self.sent), unseen, sum(self.again.values())

    def close(self):
        self.over.set()
        self.events.terminate()
        self.events.wait()


def one(options, scratch, source, turn):
    root = tempfile.mkdtemp(prefix="run-", dir=scratch)
    bench = peers.Bench(options, root, source, turn)
    crowd, kernel = Crowd(bench), None
    try:
        crowd.prepare()
        kernel = Kernel(bench.port(10))
        began = time.perf_counter()
        pending = [crowd.fetch(i) for i in range(options.downloaders)]
        while pending := [complete for complete in pending if not complete()]:
            if time.perf_counter() - began > options.limit:
                raise RuntimeError(f"not complete in {options.limit} s")
            time.sleep(0.005)
        seconds = time.perf_counter() - began
        by_kernel, connections, unseen, again = kernel.total()
        by_status, error, pieces = sent_by_status(crowd.ask(), options.piece_bytes, options.bytes)
        for i in range(options.downloaders):
            if subprocess.run(["cmp", "-s", source, crowd.copy_of(i)]).returncode:
                raise RuntimeError("a copy differs from the source")
        return {"seconds": seconds, "status_bytes": by_status, "status_error": error, "status_pieces": pieces,
                "kernel_bytes": by_kernel, "connections": connections, "unseen": unseen, "sent_again": again}
    finally:
        if kernel:
            kernel.close()
        crowd.close()
        bench.tracker.shutdown()
        bench.tracker.server_close()
        shutil.rmtree(root, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="MiB")
    parser.add_argument("--downloaders", type=int, default=8)
    parser.add_argument("--cap", type=float, default=10, help="upload cap of every process, MB/s; 0: none")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--limit", type=float, default=300, help="seconds before a run counts as failed")
    parser.add_argument("--scratch", default="/dev/shm", help="folder of the files")
    parser.add_argument("--json", help="file for the results of every run")
    options = parser.parse_args()
    if options.downloaders < 2:
        parser.error("a crowd has two downloaders at least")
    for tool in ("ss", "stdbuf"):
        if not shutil.which(tool):
            parser.error(f"{tool} is not here: apt-get install iproute2 coreutils")
    options.cap = int(options.cap) if options.cap == int(options.cap) else options.cap
    options.holders = 1  # what peers.Bench asks for
    options.bytes = options.size * MIB
    options.piece_bytes = uneven.piece_length(options.bytes)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scratch = tempfile.mkdtemp(prefix="source-", dir=options.scratch)
    runs, turn = [], os.getpid() % 40
    print(f"source_bytes: F = {options.size} MiB, 1 source, {options.downloaders} downloaders, cap {options.cap or 'none'} MB/s")
    print(f"{'round':<8}{'seconds':>9}{'status, bytes':>20}{'status, pieces':>16}{'kernel':>9}  (each as a multiple of F)")
    try:
        os.mkdir(os.path.join(scratch, "src"))
        source = os.path.join(scratch, "src", "bench.bin")
        peers.random_file(source, options.bytes)
        for number in range(options.rounds):
            try:
                run = one(options, scratch, source, turn + 1 + number)
            except Exception as error:
                runs.append(None)
                print(f"# round {number + 1}: {error}", file=sys.stderr)
                continue
            runs.append(run)
            of = lambda key: run[key] / options.bytes
            status = f"{of('status_bytes'):.4f} ± {of('status_error'):.4f}"
            print(f"{number + 1:<8}{run['seconds']:9.2f}{status:>20}{of('status_pieces'):16.4f}{of('kernel_bytes'):9.4f}"
                  f"  {run['connections']} connections, of {run['unseen']} the last bytes unseen, "
                  f"{run['sent_again'] / options.bytes:.4f} sent again by TCP")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    good = [run for run in runs if run]
    if len(good) > 1:
        median = lambda key: statistics.median(run[key] for run in good) / options.bytes
        print(f"{'median':<8}{median('seconds') * options.bytes:9.2f}{median('status_bytes'):20.4f}"
              f"{median('status_pieces'):16.4f}{median('kernel_bytes'):9.4f}")
    if options.json:
        kept = {key: getattr(options, key) for key in ("size", "downloaders", "cap", "rounds")}
        with open(options.json, "w") as file:
            json.dump({"args": kept, "runs": runs}, file, indent=1)
    if len(good) < len(runs):
        sys.exit(1)


if __name__ == "__main__":
    main()
