#!/usr/bin/env bash
# Fails on a stub that is not what its contract generates, on contract style, and on a breaking change
# against the parent commit.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
python protos/generate.py "$fresh/gen"
diff -r -q --exclude=__pycache__ protos/gen "$fresh/gen" >&2 || { echo "protos-check: stubs are stale; run 'make protos'" >&2; exit 1; }

buf lint
if git rev-parse --verify --quiet HEAD^ >/dev/null && git cat-file -e HEAD^:buf.yaml 2>/dev/null; then
  git archive HEAD^ buf.yaml protos | tar -x -C "$fresh" --exclude=protos/gen
  buf breaking --against "$fresh"
fi
echo "protos-check: stubs are fresh, contracts are clean"
