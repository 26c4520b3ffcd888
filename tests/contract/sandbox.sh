# Sourced by the scripts beside it: starts a sandbox of its own, and ends it with the script.
#
# Sets `sandbox` to the file with its addresses and keys, `scratch` to a folder that goes with it, and `tools` to where the
# programs are installed.

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache="${XDG_CACHE_HOME:-$HOME/.cache}"
tools="$cache/rijan-tools"
scratch="$(mktemp -d)"
sandbox="$scratch/sandbox.json"
rijan="${RIJAN:-${CARGO_TARGET_DIR:-$cache/rijan-target}/debug/rijan}"

started=""
leave() {
    if [ -n "$started" ]; then
        kill "$started" 2>/dev/null || true
        wait "$started" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap leave EXIT

# Takes further flags of `rijan sandbox`.
start_sandbox() {
    "$rijan" sandbox --port 0 --simulator-port 0 --receiver-port 0 --no-plugin --json --data "$scratch/data" "$@" \
        >"$sandbox" 2>"$scratch/sandbox.log" &
    started=$!
    until grep -q deviceId "$sandbox"; do
        kill -0 "$started" 2>/dev/null || { cat "$scratch/sandbox.log" >&2; exit 1; }
        sleep 0.1
    done
}

# What the sandbox calls `$1`: api, apiKey, masterKey, deviceId and so on.
told() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$sandbox" "$1"
}

# A folder of Python packages of its own: `$1` names it, the rest are requirements with their versions.
python_with() {
    local folder="$tools/$1"
    shift
    if [ "$(cat "$folder/installed" 2>/dev/null)" != "$*" ]; then
        rm -rf "$folder"
        python3 -m venv "$folder" || { pip install --quiet virtualenv && python3 -m virtualenv "$folder"; }
        "$folder/bin/python" -m pip install --quiet "$@"
        echo "$*" >"$folder/installed"
    fi
    PATH="$folder/bin:$PATH"
}

# The same for npm.
node_with() {
    local folder="$tools/$1"
    shift
    if [ "$(cat "$folder/installed" 2>/dev/null)" != "$*" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        (cd "$folder" && npm init --yes >/dev/null && npm install --ignore-scripts --no-audit --no-fund --silent "$@")
        echo "$*" >"$folder/installed"
    fi
    PATH="$folder/node_modules/.bin:$PATH"
}
