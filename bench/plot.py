#!/usr/bin/env python3
"""Draws docs/crowd.svg: the time of the last of N downloaders, against N.

There are one holder and N downloaders, each with an upload limit. `peers.py crowd` measures the real systems, which
alternate within each N. `brigade-sim crowd` simulates Brigade's core, for more downloaders than one machine can run. All
times are multiples of the lower bound. With one holder, this is the time in which the holder can send the file once. A
real system may be a little below it, because a limit allows a burst of a tenth of a second.

  plot.py                               measures, stores the results in bench/crowd.json, and draws; takes minutes
  plot.py --from bench/crowd.json       draws stored results again
  plot.py brigade mine=./my-adapter     other systems: those of peers.py, `brigade`, or your own adapter

Run nothing else on the machine. BRIGADE_BIN and BRIGADE_SIM_BIN name the programs; the default are the builds with the
profiles `dist` and `simulator`.
"""
import argparse, json, math, os, re, statistics, subprocess, sys, tempfile, textwrap
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.environ.get("CARGO_TARGET_DIR") or os.path.join(HERE, "..", "target")
SIMULATOR = os.environ.get("BRIGADE_SIM_BIN") or os.path.join(BUILT, "simulator", "brigade-sim")


# --- measuring ----------------------------------------------------------------
def systems_of(names, adapter="bench/adapter"):
    """The arguments of `peers.py` for these systems."""
    told = []
    for name in names:
        spec = f"brigade={adapter}" if name == "brigade" else name
        told += ["--add", spec] if "=" in spec else [spec]
    return told


def measure(options, downloaders):
    """The multiples of the bound for each system, round by round; `None` for a failed run."""
    with tempfile.TemporaryDirectory(prefix="plot-") as folder:
        report = os.path.join(folder, "report.json")
        command = [os.path.join(HERE, "peers.py"), "crowd", "--size", options.size, "--cap", options.cap, "--rounds",
                   options.rounds, "--downloaders", downloaders, "--json", report, *systems_of(options.systems, os.path.join(HERE, "adapter"))]
        ran = subprocess.run([sys.executable, *map(str, command)])
        if ran.returncode:
            sys.exit(f"peers.py ended with {ran.returncode}")
        with open(report) as file:
            figures = json.load(file)
    bound = figures["bound"]
    return {name: [run and round(run["last"] / bound, 4) for run in runs] for name, runs in figures["runs"].items()}


def parse_simulation(text):
    """Reads the results from the output of `brigade-sim crowd`."""
    world = re.search(r"^\w+: (\d+) downloaders?, 1 holder, (\d+) pieces of (\d+) bytes, ([\d.]+) MB/s, seed (\d+)",
                      text, re.M)
    times = re.search(r"^\s+bound [\d.]+ s; median ([\d.]+), p99 ([\d.]+), last ([\d.]+) x bound", text, re.M)
    if not world or not times:
        raise ValueError(f"not what brigade-sim crowd prints:\n{text}")
    return {"downloaders": int(world[1]), "bytes": int(world[2]) * int(world[3]), "cap": float(world[4]), "seed": int(world[5]),
            "median": float(times[1]), "p99": float(times[2]), "last": float(times[3])}


def simulate(options, downloaders):
    command = [SIMULATOR, "crowd", "--downloaders", str(downloaders), "--pieces", str(pieces(options.size))]
    try:
        ran = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"{SIMULATOR} cannot be run ({error.strerror}); build it: cargo build --profile simulator")
    if ran.returncode:
        sys.exit(f"brigade-sim crowd ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    figures = parse_simulation(ran.stdout)
    wanted = {"downloaders": downloaders, "bytes": options.size << 20, "cap": options.cap}
    if wanted != {key: figures[key] for key in wanted}:
        sys.exit(f"brigade-sim crowd simulated something else than {wanted}:\n{ran.stdout}")
    print(f"simulated: {downloaders} downloaders, last {figures['last']:.3f} x bound", flush=True)
    return {key: figures[key] for key in ("seed", "median", "p99", "last")}


def pieces(size):
    return size * 4  # of 256 KiB, as up to 256 MiB in Brigade


def commands(kept):
    """The commands of the measurement, for readers who want to repeat it."""
    told = " ".join(systems_of(kept["systems"]))
    real = f"bench/peers.py crowd --size {kept['size']} --cap {kept['cap']} --rounds {kept['rounds']} --downloaders N {told}"
    simulated = f"brigade-sim crowd --downloaders N --pieces {pieces(kept['size'])}"
    return [real] * any(kept["real"].values()) + [simulated] * bool(kept["simulated"])


def measured(options):
    """Measures everything. Stores the results after each step, so that an interruption loses only one step."""
    kept = {key: getattr(options, key) for key in ("size", "cap", "rounds", "systems")}
    kept |= {"real": {name.split("=")[0]: {} for name in options.systems}, "simulated": {}}
    for downloaders in options.simulated:
        kept["simulated"][str(downloaders)] = simulate(options, downloaders)
        keep(kept, options.json)
    for downloaders in options.downloaders:
        for name, multiples in measure(options, downloaders).items():
            kept["real"][name][str(downloaders)] = multiples
        keep(kept, options.json)
    return kept


def keep(kept, path):
    with open(path, "w") as file:
        json.dump(kept, file, indent=1)
        file.write("\n")


# --- drawing ------------------------------------------------------------------
WIDTH, HEIGHT = 900, 520
LEFT, RIGHT, TOP, BOTTOM = 76, 724, 86, 404  # of the area that is drawn into
SANS = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
GROUND, INK, PALE, GRID = "#ffffff", "#1f2328", "#57606a", "#d8dee4"
# Colour-blind readers can distinguish these colours, and they are dark enough for text. Each also has its own marker.
STYLES = [("#0065a3", "circle"), ("#b34700", "square"), ("#00785a", "triangle"), ("#9c4a82", "diamond"), ("#6b5b00", "circle")]
SHOWN_AS = {"brigade": "Brigade"}


class Line:
    """One system: its points (downloaders, lowest, median, highest), and its style."""

    def __init__(self, label, points, style, dashed=False):
        self.label, self.points, self.dashed = label, sorted(points), dashed
        self.colour, self.marker = style


def lines_of(kept):
    lines, styles = [], {}
    for index, (name, counts) in enumerate(kept["real"].items()):
        styles[name] = STYLES[index % len(STYLES)]
        good = {int(count): [one for one in multiples if one] for count, multiples in counts.items()}
        points = [(count, min(all_), statistics.median(all_), max(all_)) for count, all_ in good.items() if all_]
        if points:
            lines.append(Line(SHOWN_AS.get(name, name), points, styles[name]))
    points = [(int(count), one["last"], one["last"], one["last"]) for count, one in kept["simulated"].items()]
    if points:
        lines.append(Line("Brigade, simulated", points, styles.get("brigade", STYLES[0]), dashed=True))
    return lines


class Scales:
    """Converts downloaders and multiples of the bound to positions in the picture."""

    def __init__(self, lines):
        self.counts = sorted({point[0] for line in lines for point in line.points})
        self.most = max(self.counts[-1], 2)
        lowest = min(point[1] for line in lines for point in line.points)
        highest = max(point[3] for line in lines for point in line.points)
        self.log = highest > 8
        if self.log:
            self.ticks = [2**power for power in range(math.ceil(math.log2(highest)) + 1)]
        else:
            step = next(step for step in (0.05, 0.1, 0.2, 0.5, 1) if (highest - 1) / step <= 7)
            first = math.floor((lowest - 1) / step) if lowest < 1 - step / 10 else 0
            last = max(math.ceil((highest - 1) / step - 1e-9), 1)
            self.ticks = [1 + step * number for number in range(first, last + 1)]
        self.digits = 0 if self.log else 2 if self.ticks[1] - self.ticks[0] < 0.09 else 1
        self.scale = math.log2 if self.log else lambda multiple: multiple - self.ticks[0]

    def x(self, downloaders):
        return LEFT + 14 + (RIGHT - LEFT - 28) * math.log2(downloaders) / math.log2(self.most)

    def y(self, multiple):
        return BOTTOM - (BOTTOM - TOP) * self.scale(multiple) / self.scale(self.ticks[-1])


def text(x, y, words, size=13, anchor="start", fill=INK, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{more}>{escape(words)}</text>'


def stroke(x1, y1, x2, y2, colour, width=1.0, more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"{more}/>'


def marker(shape, x, y, colour, hollow):
    style = f'fill="{GROUND if hollow else colour}" stroke="{colour}" stroke-width="{2 if hollow else 1}"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" {style}/>'
    corners = {"square": [(-4, -4), (4, -4), (4, 4), (-4, 4)], "triangle": [(0, -5.5), (5.2, 4), (-5.2, 4)],
               "diamond": [(0, -6), (6, 0), (0, 6), (-6, 0)]}[shape]
    places = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{places}" {style}/>'


def axes(scales):
    out = []
    for tick in scales.ticks:
        y = scales.y(tick)
        bound = abs(tick - 1) < 1e-6
        out.append(stroke(LEFT, y, RIGHT, y, PALE if bound else GRID, 1.5 if bound else 1))
        out.append(text(LEFT - 8, y + 4.5, f"{tick:.{scales.digits}f}", anchor="end", fill=PALE))
    for count in scales.counts:
        x = scales.x(count)
        out.append(stroke(x, TOP, x, BOTTOM, GRID))
        out.append(text(x, BOTTOM + 24, f"{count}", anchor="middle", fill=PALE))
    out.append(text((LEFT + RIGHT) / 2, BOTTOM + 46, "downloaders (log scale)", 14, "middle"))
    middle = (TOP + BOTTOM) / 2
    label = "time of the last ÷ lower bound" + (" (log scale)" if scales.log else "")
    out.append(text(24, middle, label, 14, "middle", more=f' transform="rotate(-90 24 {middle:.1f})"'))
    return out


def curve(line, scales):
    places = [(scales.x(count), scales.y(median)) for count, _, median, _ in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dashes = ' stroke-dasharray="7 5"' if line.dashed else ""
    out = [f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2.2" stroke-linejoin="round"{dashes}/>']
    for count, lowest, _, highest in line.points:
        x, low, high = scales.x(count), scales.y(lowest), scales.y(highest)
        if low - high > 1:
            out.append(stroke(x, low, x, high, line.colour, 1.4, ' stroke-opacity="0.65"'))
    return out + [marker(line.marker, x, y, line.colour, line.dashed) for x, y in places]


def height_at(line, scales, x):
    """The height of a line at `x`; `None` outside the line."""
    places = [(scales.x(count), scales.y(median)) for count, _, median, _ in line.points]
    for (x1, y1), (x2, y2) in zip(places, places[1:]):
        if x1 <= x <= x2:
            return y1 + (y2 - y1) * (x - x1) / (x2 - x1)
    return None


def labels(lines, scales):
    """A name at the end of each line, moved upwards if it would cover another name or line."""
    out, taken = [], []
    ends = {id(line): (scales.x(line.points[-1][0]), scales.y(line.points[-1][2])) for line in lines}
    for line in sorted(lines, key=lambda line: -ends[id(line)][1]):
        x, y = ends[id(line)]
        wide = 8 * len(line.label) + 12
        in_the_way = [height for other in lines if other is not line for step in range(0, wide, 8)
                      if (height := height_at(other, scales, x + 8 + step)) is not None]
        in_the_way += [place for left, right, place in taken if left < x + wide and x < right]
        at = y
        while (near := [other for other in in_the_way if abs(at - other) < 16]) and at > TOP:
            at = min(near) - 16
        taken.append((x, x + wide, at))
        if y - at > 6:
            out.append(stroke(x + 5, y - 3, x + 11, at + 2, line.colour, 1))
        halo = f' font-weight="600" paint-order="stroke" stroke="{GROUND}" stroke-width="4" stroke-linejoin="round"'
        out.append(text(x + 12, at + 5, line.label, 14, fill=line.colour, more=halo))
    return out


def draw(kept):
    lines = lines_of(kept)
    if not lines:
        sys.exit("nothing was measured that could be drawn")
    scales = Scales(lines)
    title = "How long a crowd waits for the last of its downloaders"
    what = (f"One holder, a file of {kept['size']} MiB, every upload capped at {kept['cap']} MB/s. "
            "1 is the time in which it can send the file once.")
    rounds = f"median and range of {kept['rounds']} rounds" if kept["rounds"] > 1 else "one round"
    how = f"Solid: real processes on one machine, {rounds}. Dashed: Brigade's core, simulated."
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' font-family="{SANS}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(described(lines))}</desc>',
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6" fill="{GROUND}" stroke="{GRID}"/>',
        text(24, 30, title, 18, more=' font-weight="600"'),
        text(24, 51, what, 13, fill=PALE),
        text(24, 69, how, 13, fill=PALE),
        *axes(scales),
    ]
    for line in lines:
        out += curve(line, scales)
    out += labels(lines, scales)
    written = [row for command in commands(kept) for row in textwrap.wrap(command, 112, subsequent_indent="    ")]
    y = HEIGHT - 14 - 17 * (len(written) - 1)
    for number, row in enumerate(written):
        out.append(text(24, y + 17 * number, row, 12, fill=PALE, more=f' font-family="{MONO}" xml:space="preserve"'))
    return "\n".join([*out, "</svg>"]) + "\n"


def described(lines):
    """The same in words, for readers who cannot see the picture."""
    def one(line):
        return f"{line.label}: " + ", ".join(f"{median:.2f} with {count}" for count, _, median, _ in line.points)
    return "Time of the last downloader as a multiple of the lower bound, by downloaders. " + ". ".join(map(one, lines)) + "."


def main():
    numbers = lambda words: [int(word) for word in words.split(",") if word]
    repository = os.path.join(HERE, "..")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", help="default: brigade libtorrent aria2")
    parser.add_argument("--size", type=int, default=64, help="MiB")
    parser.add_argument("--cap", type=float, default=10, help="upload cap of every process, MB/s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--downloaders", type=numbers, default="1,2,4,8,16", metavar="N,N,…", help="numbers of downloaders of the real systems")
    parser.add_argument("--simulated", type=numbers, default="1,2,4,8,16,64,256,1000", metavar="N,N,…",
                        help="numbers of downloaders of the simulation; '' for none")
    parser.add_argument("--from", dest="kept", metavar="FILE.json", help="draw these results and measure nothing")
    parser.add_argument("--json", default=os.path.join(repository, "bench", "crowd.json"), help="file for the results")
    parser.add_argument("--out", default=os.path.join(repository, "docs", "crowd.svg"))
    options = parser.parse_args()
    options.systems = options.systems or ["brigade", "libtorrent", "aria2"]
    options.cap = int(options.cap) if options.cap == int(options.cap) else options.cap
    if options.kept:
        with open(options.kept) as file:
            kept = json.load(file)
    else:
        kept = measured(options)
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(draw(kept))
    print(os.path.normpath(os.path.relpath(options.out)))


if __name__ == "__main__":
    main()
