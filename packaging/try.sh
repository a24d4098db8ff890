#!/usr/bin/env bash
# Tries the packages that `packaging/build.sh` made: installs, upgrades and removes the Debian package in a bare root, lets
# a service live through a week there (`week.py`), and runs the program of the container image. Needs root, dpkg and
# Python 3.
#
#   packaging/try.sh [DIR]
#
# The bare root is made by debootstrap if that is installed and reaches packages (BRIGADE_DEBOOTSTRAP=1); otherwise it is
# a folder with the few programs that the scripts of the package need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=$(realpath "${1:-target/packages}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root="$work/root"

say() { printf '\n==> %s\n' "$*"; }

# Copies programs and the libraries that they need.
copy_programs() {
  local program library
  for program; do
    program=$(type -P "$program")
    install -D "$program" "$root/usr/bin/$(basename "$program")"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
      [ -e "$root$library" ] || install -D "$library" "$root$library"
    done
  done
}

make_root() {
  if [ "${BRIGADE_DEBOOTSTRAP:-}" = 1 ] && command -v debootstrap >/dev/null; then
    debootstrap --variant=minbase bookworm "$root"
    return
  fi
  mkdir -p "$root"/{etc,usr/bin,usr/lib,tmp,var/lib/dpkg/info,var/lib/dpkg/updates,dev,proc}
  ln -s usr/bin "$root/bin"
  touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
  printf 'root:x:0:0::/root:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\n' >"$root/etc/group"
  copy_programs sh grep mkdir chown true cat systemd-sysusers
  mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null || touch "$root/dev/null"
}

in_root() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp chroot "$root" "$@"
}

dpkg_in_root() {
  dpkg --root="$root" --force-depends "$@"
}

deb=$(echo "$packages"/brigade_*.deb)
say "checksums"
(cd "$packages" && sha256sum --check SHA256SUMS)

say "the package"
dpkg-deb --info "$deb"
dpkg-deb --contents "$deb"

say "installation in a bare root"
make_root
dpkg_in_root --install "$deb"
grep '^brigade:' "$root/etc/passwd"
[ "$(stat -c %u "$root/var/lib/brigade/home")" = "$(sed -n 's/^brigade:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/passwd")" ]
for file in usr/share/man/man1/brigade.1.gz usr/share/bash-completion/completions/brigade \
  usr/lib/systemd/system/brigade-peer@.service etc/brigade/peer.env; do
  [ -s "$root/$file" ] || { printf '%s is missing\n' "$file" >&2 && exit 1; }
done
# A program that needs libraries finds those of this system.
for library in $(ldd "$root/usr/bin/brigade" 2>/dev/null | grep -o '/[^ ]*' || true); do
  [ -e "$root$library" ] || install -D "$library" "$root$library"
done
in_root /usr/bin/brigade --version
in_root /usr/bin/brigade demo /usr/bin/grep

say "an upgrade keeps the settings"
echo 'BRIGADE_MANAGER_HOST=alpha' >>"$root/etc/brigade/peer.env"
dpkg_in_root --install "$deb"
grep alpha "$root/etc/brigade/peer.env"

say "a service that systemd does not start here"
in_root /usr/bin/brigade service install --system peer --username fire_user --folder /var/lib/brigade/share/fire_user
in_root /usr/bin/brigade service remove --system peer

say "a week of a service"
python3 packaging/week.py "$root" "$deb"

say "removal: the files of the users stay"
touch "$root/var/lib/brigade/share/film.bin"
dpkg_in_root --purge brigade
[ ! -e "$root/usr/bin/brigade" ] && [ ! -e "$root/etc/brigade/peer.env" ] && [ -e "$root/var/lib/brigade/share/film.bin" ]

say "the container image"
python3 packaging/unpack_image.py "$packages"/brigade-*-oci.tar "$work/image"
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin BRIGADE_HOME=/data/home TMPDIR=/tmp chroot --userspec=10001:10001 "$work/image" /usr/bin/brigade demo /usr/bin/brigade

say "everything works"
