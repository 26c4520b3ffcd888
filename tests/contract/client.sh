#!/usr/bin/env bash
# A client is generated from the API document by a public generator, and used against a sandbox.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"

python_with client openapi-python-client==0.29.1
openapi-python-client generate --path docs/openapi.json --output-path "$scratch/client" 2>&1 | tee "$scratch/generated"
# It ends well even when it leaves something out.
if grep -qiE 'warning|error|skipp|missing' "$scratch/generated"; then
    echo "the generator has something to say of the document" >&2
    exit 1
fi
start_sandbox
PYTHONPATH="$scratch/client" python tests/contract/client.py docs/openapi.json "$sandbox"
