#!/bin/sh
# Renews the two locks. Needs uv (https://docs.astral.sh/uv). They carry versions and hashes, and no registry's address.
# requirements/external.lock is kept by hand: packages of others that tests run as they are, without what they declare
# (all that they import is in the lock of the tests) and whatever Python they ask for.
set -eu
cd "$(dirname "$0")/.."
for kind in run test; do
    overrides=requirements/overrides-$kind.txt
    uv pip compile "requirements/$kind.in" --output-file "requirements-$kind.lock" --quiet "$@" \
        --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --override "$overrides" --no-emit-package llama-stack --no-emit-package llama-stack-api
done
if grep -nE '://|^(--index|-i |--find)' requirements-run.lock requirements-test.lock requirements/external.lock; then
    echo "a lock names an address" >&2
    exit 1
fi
