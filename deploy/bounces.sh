#!/bin/sh
# Reads one mail that came back from standard input. Called by the mail server as the platform's user; see docs/betrieb.md.
set -u
ENV_FILE=${ENV_FILE:-/etc/beteiligung/env}
while IFS= read -r line; do
    case $line in '' | '#'*) ;; *=*) export "$line" ;; esac
done <"$ENV_FILE"
exec "$(dirname -- "$0")/../.venv/bin/beteiligung" bounces
