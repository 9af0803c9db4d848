#!/bin/sh
# Resolves the ranges of pyproject.toml in a new environment and writes the exact versions, with no index address.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check '.[test]'
{
    echo "# Exact versions of everything that pyproject.toml asks for; written by \`make constraints\`."
    "$folder/venv/bin/pip" freeze --exclude devlib --exclude pip --exclude setuptools | grep -E '^[A-Za-z0-9_.-]+==' 
} > constraints.txt
