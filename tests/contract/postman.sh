#!/usr/bin/env bash
# docs/postman.json is what the API document says, and works: newman makes its requests against a sandbox.
#
#   postman.sh --write   writes docs/postman.json anew, and ends
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"

python3 tests/contract/postman.py docs/openapi.json >"$scratch/postman.json"
if [ "${1:-}" = --write ]; then
    cp "$scratch/postman.json" docs/postman.json
    exit
fi
if ! cmp -s "$scratch/postman.json" docs/postman.json; then
    echo "docs/postman.json is out of date; tests/contract/postman.sh --write makes it anew" >&2
    exit 1
fi

node_with newman newman@6.2.2
start_sandbox
# One grey pixel, the file that the collection names.
base64 -d >"$scratch/photo.png" <<<'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=='
variables=()
for variable in baseUrl=api key=apiKey masterKey=masterKey device=deviceId contact=contactPhone chat=contactPhone; do
    variables+=(--env-var "${variable%%=*}=$(told "${variable#*=}")")
done
run() {
    (cd "$scratch" && newman run "$@" "${variables[@]}" --env-var webhookUrl="$(told receiver)/hook" --working-dir "$scratch" \
        --timeout-request 60000 --color off --reporters cli --reporter-cli-no-success-assertions --reporter-cli-no-banner) \
        >"$scratch/newman" ||
        { cat "$scratch/newman"; exit 1; }
    grep -E ' (requests|assertions) ' "$scratch/newman"
}
run "$PWD/docs/postman.json" --folder "First steps"
python3 tests/contract/postman.py docs/openapi.json --bounded >"$scratch/bounded.json"
run "$scratch/bounded.json"
