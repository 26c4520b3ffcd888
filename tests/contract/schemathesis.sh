#!/usr/bin/env bash
# Schemathesis over the API document, against a sandbox: with the tenant's key, then with the master password. No 5xx beyond
# the 501 that is documented, no undocumented status, content type or form of an answer, and nothing that breaks the
# document is taken. Flags are those of `schemathesis run`.
#
# Not called: streams of events, which do not end. What stops, unlinks or deletes is called on things made for that.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"

python_with schemathesis schemathesis==4.32.5
start_sandbox --set plugins.uploads=true
RIJAN_KEY="$(told apiKey)" RIJAN_MASTER_KEY="$(told masterKey)"
export RIJAN_KEY RIJAN_MASTER_KEY SCHEMATHESIS_HOOKS=hooks PYTHONPATH="$PWD/tests/contract" PYTHONDONTWRITEBYTECODE=1
for whose in tenant admin; do
    cp tests/contract/schemathesis.toml "$scratch/$whose.toml"
    python tests/contract/world.py "$sandbox" "$whose" >>"$scratch/$whose.toml"
    [ "$whose" = admin ] && which=--include-path-regex || which=--exclude-path-regex
    (cd "$scratch" && schemathesis --config-file "$whose.toml" run "$(told api)/docs/json" "$which" '^/admin/' \
        --phases examples,coverage,fuzzing --warnings off "$@")
done
