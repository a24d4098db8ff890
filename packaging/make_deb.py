"""Makes the Debian package: `make_deb.py PROGRAM VERSION OUTPUT`.

A package is an `ar` archive of two tar archives; both are written here, so that their bytes depend only on the sources.
The units, the account and the scripts of the package are in `packaging/`; completions and manual pages come from the
program.
"""

import hashlib
import re
import sys

from archive import TIME, Tree, compressed, glibc_version, output_of, read, shared_libraries

COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/brigade",
    "zsh": "usr/share/zsh/vendor-completions/_brigade",
    "fish": "usr/share/fish/vendor_completions.d/brigade.fish",
}

SETTINGS = """\
# Settings of {whose}, as variables: one NAME=VALUE on each line. docs/operating.md lists them; for example:
{examples}
"""


def manual_pages(program):
    """The pages that `brigade man` prints one after the other, by their names."""
    pages, name, lines = {}, None, []
    for line in output_of(program, "man").splitlines():
        title = re.match(r"\.TH (\S+) ", line)
        if title:
            # The lines before a title that set up the page belong to it.
            start = len(lines)
            while start and lines[start - 1].startswith((".ie ", ".el ")):
                start -= 1
            if name:
                pages[name] = lines[:start]
            name, lines = title.group(1).lower(), lines[start:]
        lines.append(line)
    pages[name] = lines
    return {name: "\n".join(lines) + "\n" for name, lines in pages.items()}


def data(program):
    tree = Tree()
    tree.file("usr/bin/brigade", read(program), 0o755)
    for unit in ["brigade-manager.service", "brigade-peer@.service"]:
        tree.file(f"usr/lib/systemd/system/{unit}", read(f"packaging/systemd/{unit}"))
    tree.file("usr/lib/sysusers.d/brigade.conf", read("packaging/debian/sysusers.conf"))
    for shell, path in COMPLETIONS.items():
        tree.file(path, output_of(program, "completions", shell))
    for name, text in manual_pages(program).items():
        tree.file(f"usr/share/man/man1/{name}.1.gz", compressed(text.encode()))
    tree.file("usr/share/doc/brigade/changelog.gz", compressed(read("CHANGELOG.md")))
    tree.file("usr/share/doc/brigade/operating.md.gz", compressed(read("docs/operating.md")))
    licences = read("LICENSE-MIT") + b"\n\nor\n\n" + read("LICENSE-APACHE")
    tree.file("usr/share/doc/brigade/copyright", licences)
    for name, whose, examples in [
        ("manager", "the manager", "# BRIGADE_MANAGER_LISTEN_HOST=0.0.0.0\n# BRIGADE_MANAGER_OPEN=true"),
        ("peer", "all peers of this machine", "# BRIGADE_MANAGER_HOST=alpha\n# BRIGADE_UPLOAD_LIMIT=10MB"),
    ]:
        tree.file(f"etc/brigade/{name}.env", SETTINGS.format(whose=whose, examples=examples))
    return tree


def control(tree, program, version):
    needed = ""
    if shared_libraries(program):
        needed = f"Depends: libc6 (>= {glibc_version(program)}), libgcc-s1\n"
    size = sum(len(data) for _, data in tree.files()) // 1024
    files = Tree()
    files.file(
        "control",
        f"Package: brigade\nVersion: {version}\nSection: net\nPriority: optional\nArchitecture: amd64\n"
        f"Installed-Size: {size}\n{needed}Maintainer: The Brigade developers <brigade@localhost>\n"
        "Description: private peer-to-peer network for files\n"
        " A file is fetched from all holders at once; every piece is verified and passed on.\n"
        " The package has a unit for a manager, and one for peers. None is started by the installation:\n"
        " systemctl enable --now brigade-manager, brigade-peer@USERNAME.\n",
    )
    files.file("conffiles", "".join(f"/{path}\n" for path, _ in tree.files() if path.startswith("etc/")))
    sums = "".join(f"{hashlib.md5(data).hexdigest()}  {path}\n" for path, data in tree.files())
    files.file("md5sums", sums)
    for script in ["postinst", "prerm", "postrm"]:
        files.file(script, read(f"packaging/debian/{script}"), 0o755)
    return files


def member(name, content):
    """A file in an `ar` archive."""
    head = f"{name:<16}{TIME:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
    return head + content + b"\n" * (len(content) % 2)


def main():
    program, version, output = sys.argv[1:]
    tree = data(program)
    archives = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", compressed(control(tree, program, version).tar("./"))),
        ("data.tar.gz", compressed(tree.tar("./"))),
    ]
    with open(output, "wb") as file:
        file.write(b"!<arch>\n" + b"".join(member(name, content) for name, content in archives))


main()
