#!/usr/bin/env bash
# Builds the ready plugins, the four examples and the guests of the tests into a folder where tests find them, and runs
# the fixtures of the plugins, and those of a new project in each language, through the plugin host.
#
#   plugins/build.sh            what the toolchains here allow; a missing one is named, its example skipped
#   plugins/build.sh --all      everything, or an error
#
# RIJAN is the binary (built with cargo when not given); RIJAN_GUESTS the folder ($CARGO_TARGET_DIR/guests).
set -euo pipefail
cd "$(dirname "$0")/.."

target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
guests="${RIJAN_GUESTS:-$target/guests}"
if [ -z "${RIJAN:-}" ]; then
    cargo build --quiet
    RIJAN="$target/debug/rijan"
fi
mkdir -p "$guests"
# One target folder for every Rust plugin: their dependencies are the same.
export CARGO_TARGET_DIR="$target/plugins"

skipped=()
build() { # folder name
    if "$RIJAN" plugin build "$1" --output "$guests/$2.wasm" 2>"$guests/$2.log"; then
        rm "$guests/$2.log"
        [ ! -d "$1/tests" ] || "$RIJAN" plugin test "$1" --component "$guests/$2.wasm"
    elif grep -q ' is missing: ' "$guests/$2.log"; then
        skipped+=("$2: $(grep ' is missing: ' "$guests/$2.log")")
    else
        cat "$guests/$2.log" >&2
        exit 1
    fi
}

for manifest in plugins/*/rijan-plugin.toml; do
    folder="$(dirname "$manifest")"
    build "$folder" "$(basename "$folder")"
done
new="$(mktemp -d)"
trap 'rm -rf "$new"' EXIT
build tests/guests/hostile hostile
build tests/guests/witness witness
for language in rust go js python; do
    build "examples/plugins/$language" "$language"
    "$RIJAN" plugin new first-try --lang "$language" --path "$new/$language"
    build "$new/$language" "new-$language"
done

if [ "${#skipped[@]}" -gt 0 ]; then
    printf 'skipped %s\n' "${skipped[@]}" >&2
    [ "${1:-}" != "--all" ] || exit 1
fi
