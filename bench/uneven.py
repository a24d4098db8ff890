#!/usr/bin/env python3
"""Measures a fetch from unequal holders: one is slow, and one stops halfway.

  uneven  three holders, at --cap, --cap and --slow MB/s. When the downloader has half of the content, one of the two
          fast holders is stopped (SIGSTOP): it sends nothing and closes nothing, like a machine that hangs. Results:
          the seconds from then on, and the seconds that the other fast holder alone would need for the missing data.
  even    three holders, all at --cap. Results: MB/s, and the ratio to the sum of the three caps. It can be above 1: a
          limit allows a burst of a tenth of a second, which is 6 MB for three times 20 MB/s.

  uneven.py
  uneven.py uneven --size 64 --rounds 1

The two alternate, round by round. Seconds are real time, from the start of `brigade fetch` to its end. Each copy is
compared byte by byte. Holders and downloader are started through `adapter`, as in `peers.py`. Files are in memory,
unless --scratch names another folder.
"""
import argparse, glob, json, os, shutil, signal, statistics, subprocess, sys, tempfile, time

sys.dont_write_bytecode = True
import peers

MIB = 1 << 20


def piece_length(size):
    """The length of a piece for a file of `size` bytes: docs/decisions/0003."""
    steps = ((256 * MIB, MIB >> 2), (8 << 30, MIB), (64 << 30, 4 * MIB))
    return next((piece for most, piece in steps if size <= most), 16 * MIB)


class Holders(peers.External):
    """A manager, and a holder for each cap."""

    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "adapter")

    def __init__(self, bench, caps):
        super().__init__(bench)
        self.caps, self.holding = caps, []

    def prepare(self):
        self.serve("manage", self.b.port(0), self.b.dir("manager"))
        for i, cap in enumerate(self.caps):
            self.serve("hold", self.b.port(0), i, self.b.holder_dir(i), self.b.name, cap)
            self.holding.append(self.procs.live[-1])

    def pieces_here(self):
        """The number of verified and written pieces of the downloader; `None` if there is no part file.

        It counts the bits of the record beside the part file. This is exact, and reading these few bytes does not slow
        the downloader down. The progress on standard error appears only at every tenth of the way. The blocks of the
        part file and the bytes of the sockets would include data that is not verified, or was sent twice.
        """
        for record in glob.glob(os.path.join(glob.escape(self.b.dir("new0")), ".brigade", "parts", "*.pieces")):
            try:
                with open(record, "rb") as file:
                    return int.from_bytes(file.read(), "big").bit_count()
            except FileNotFoundError:
                pass
        return None


def stop(process):
    """Stops the process and waits until it is stopped."""
    os.kill(process.pid, signal.SIGSTOP)
    while True:
        with open(f"/proc/{process.pid}/stat") as stat:
            if stat.read().rsplit(")", 1)[1].split()[0] == "T":
                return
        time.sleep(0.0005)


def until_half(holders, downloader, options, began):
    while (holders.pieces_here() or 0) < (options.pieces + 1) // 2:
        if peers._ended(holders, downloader):
            raise RuntimeError("it ended before it was seen halfway")
        if time.perf_counter() - began > options.limit:
            raise RuntimeError(f"not halfway in {options.limit} s")
        time.sleep(0.002)


def one(kind, options, scratch, source, turn):
    """Runs one fetch and returns its results."""
    root = tempfile.mkdtemp(prefix="run-", dir=scratch)
    bench = peers.Bench(options, root, source, turn)
    last = options.slow if kind == "uneven" else options.cap
    holders = Holders(bench, [options.cap, options.cap, last])
    stopped = None
    figures = {}
    try:
        holders.prepare()
        began = time.perf_counter()
        downloader = holders.fetch(0)
        if kind == "uneven":
            until_half(holders, downloader, options, began)
            stopped = holders.holding[1]
            stop(stopped)
            here, at = holders.pieces_here(), time.perf_counter()
            if here is None:
                raise RuntimeError("it was complete before the holder stood")
            left = options.bytes - here * options.piece_bytes
            figures = {"stopped_at": at - began, "left": left, "alone": left / (options.cap * peers.MB)}
        while not peers._ended(holders, downloader):
            if time.perf_counter() - began > options.limit:
                raise RuntimeError(f"not complete in {options.limit} s")
            time.sleep(0.005)
        figures["seconds"] = time.perf_counter() - began
        if subprocess.run(["cmp", "-s", source, holders.copy_of(0)]).returncode:
            raise RuntimeError("the copy differs from the source")
    finally:
        if stopped:
            os.kill(stopped.pid, signal.SIGCONT)  # or it could not be ended kindly
        holders.close()
        bench.tracker.shutdown()
        bench.tracker.server_close()
        shutil.rmtree(root, ignore_errors=True)
    if kind == "uneven":
        figures["rest"] = figures["seconds"] - figures["stopped_at"]
        figures["ratio"] = figures["rest"] / figures["alone"]
    else:
        figures["rate"] = options.bytes / peers.MB / figures["seconds"]
        figures["share"] = figures["rate"] / (3 * options.cap)
    return figures


COLUMNS = {
    "uneven": [("seconds", "seconds", 9, 2), ("stopped_at", "stop at", 9, 2), ("left", "left MB", 9, 1),
               ("rest", "rest s", 8, 2), ("alone", "alone s", 9, 2), ("ratio", "ratio", 7, 2)],
    "even": [("seconds", "seconds", 9, 2), ("rate", "MB/s", 9, 1), ("share", "of caps", 9, 3)],
}


def table(kind, options, runs):
    caps = f"{options.cap}, {options.cap} and {options.slow if kind == 'uneven' else options.cap} MB/s"
    what = ", the second stopped when half is there" if kind == "uneven" else f", together {3 * options.cap} MB/s"
    print(f"{kind}: {options.size} MiB, holders at {caps}{what}, {options.rounds} rounds")
    print(f"{'round':<8}" + "".join(f"{head:>{width}}" for _, head, width, _ in COLUMNS[kind]))
    rows = [(str(number + 1), run) for number, run in enumerate(runs)]
    here = [run for run in runs if run]
    if here:
        rows.append(("median", {key: statistics.median(run[key] for run in here) for key, *_ in COLUMNS[kind]}))
    for label, run in rows:
        scaled = run and {**run, "left": run.get("left", 0) / peers.MB}
        cells = (f"{scaled[key]:{width}.{digits}f}" if run else f"{'-':>{width}}" for key, _, width, digits in COLUMNS[kind])
        print(f"{label:<8}" + "".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="uneven, even; default: both")
    parser.add_argument("--size", type=int, default=256, help="MiB")
    parser.add_argument("--cap", type=float, default=20, help="upload cap of a fast holder, MB/s")
    parser.add_argument("--slow", type=float, default=0.1, help="upload cap of the slow one, MB/s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=300, help="seconds before a run counts as failed")
    parser.add_argument("--scratch", default="/dev/shm", help="folder of the files")
    parser.add_argument("--json", help="file for the results of every run")
    options = parser.parse_args()
    kinds = options.what or ["uneven", "even"]
    if set(kinds) - set(COLUMNS):
        parser.error("what is measured is uneven, even or both")
    options.cap = int(options.cap) if options.cap == int(options.cap) else options.cap
    options.holders, options.downloaders = 3, 1  # what peers.Bench asks for
    options.bytes = options.size * MIB
    options.piece_bytes = piece_length(options.bytes)
    options.pieces = -(-options.bytes // options.piece_bytes)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left standing
    scratch = tempfile.mkdtemp(prefix="uneven-", dir=options.scratch)
    runs, turn = {kind: [] for kind in kinds}, os.getpid() % 40
    try:
        os.mkdir(os.path.join(scratch, "src"))
        source = os.path.join(scratch, "src", "bench.bin")
        peers.random_file(source, options.bytes)
        for number in range(options.rounds):
            for kind in kinds:
                turn += 1
                try:
                    runs[kind].append(one(kind, options, scratch, source, turn))
                except Exception as error:
                    runs[kind].append(None)
                    print(f"# {kind} round {number + 1}: {error}", file=sys.stderr)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for kind in kinds:
        table(kind, options, runs[kind])
    if options.json:
        kept = {key: getattr(options, key) for key in ("size", "cap", "slow", "rounds")}
        with open(options.json, "w") as file:
            json.dump({"args": kept, "runs": runs}, file, indent=1)
    if any(run is None for kind in kinds for run in runs[kind]):
        sys.exit(1)


if __name__ == "__main__":
    main()
