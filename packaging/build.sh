#!/usr/bin/env bash
# Makes the packages of Brigade: a Debian package, the static program, a container image (an OCI archive) and
# checksums. It needs bash, Python 3 and what the build of the program needs; no Docker, no dpkg and no root.
#
#   packaging/build.sh [--profile PROFILE] [--output DIR] [--program FILE]
#
# Without --program, the static program for Linux on x86-64 is built: with the usual toolchain if that has the target
# x86_64-unknown-linux-musl and a C compiler for it, otherwise as `.ci/release` builds it (Debian on x86-64; the first
# time it fetches a compiler). The same commit gives the same files: names, owners, times and order depend only on it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=dist
output=target/packages
program=
while [ $# -gt 0 ]; do
  case "$1" in
    --profile) profile=$2 && shift 2 ;;
    --output) output=$2 && shift 2 ;;
    --program) program=$2 && shift 2 ;;
    *)
      printf 'unknown argument: %s\nusage: packaging/build.sh [--profile PROFILE] [--output DIR] [--program FILE]\n' "$1" >&2
      exit 2
      ;;
  esac
done

static=x86_64-unknown-linux-musl
# The folder in which cargo puts the programs of a profile.
folder=$([ "$profile" = dev ] && echo debug || echo "$profile")

build() {
  if rustup target list --installed 2>/dev/null | grep --quiet --line-regexp "$static" && command -v musl-gcc >/dev/null; then
    CC_x86_64_unknown_linux_musl=musl-gcc cargo build --locked --package brigade --profile "$profile" --target "$static"
  else
    source .ci/programs
    fetch_toolchain
    fetch_zig
    make_startup_objects
    local options=()
    # The program contains no paths of this machine, so that another one makes the same.
    [ "$profile" = dev ] || options=(-Z trim-paths --config "profile.$profile.trim-paths=\"all\"")
    build_static --profile "$profile" "${options[@]}"
  fi
  program="${CARGO_TARGET_DIR:-target}/$static/$folder/brigade"
}

[ -n "$program" ] || build

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
# The time of all files in the packages.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

rm -rf "$output"
mkdir -p "$output"
name="brigade-$version-x86_64-linux"
install -m 755 "$program" "$output/$name"
python3 packaging/make_deb.py "$program" "$version" "$output/brigade_${version}_amd64.deb"
python3 packaging/make_image.py "$program" "$version" "$output/brigade-$version-oci.tar"
(cd "$output" && sha256sum -- * >SHA256SUMS)
ls -l "$output"
