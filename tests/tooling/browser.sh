#!/bin/sh
# Brings what the browser and document tests need and the package index has not: Chromium, and LibreOffice if it can be
# had. Prints nothing when Chromium is there already.
set -u
cd "$(dirname -- "$0")/../.." || exit 1

find_chromium() {
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 && return 0
    done
    # What playwright downloaded earlier.
    .venv/bin/python - <<'PY' >/dev/null 2>&1
import pathlib
from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    raise SystemExit(not pathlib.Path(playwright.chromium.executable_path).exists())
PY
}

can_use_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    [ -n "${apt_updated:-}" ] || { timeout 120 apt-get update -qq >/dev/null 2>&1; apt_updated=1; }
    timeout 600 apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

if ! find_chromium; then
    echo "Chromium für die Tests wird geholt …"
    if can_use_apt; then
        apt_install chromium || true
    fi
    if ! find_chromium; then
        .venv/bin/python -m playwright install chromium >/dev/null 2>&1 || true
        if can_use_apt; then
            .venv/bin/python -m playwright install-deps chromium >/dev/null 2>&1 || true
        fi
    fi
    if ! find_chromium; then
        echo "Chromium fehlt und konnte nicht geladen werden. Installieren Sie es mit: sudo apt install chromium" >&2
        exit 1
    fi
fi

# One test opens an exported document in LibreOffice; where it can't be installed, that test says so and is skipped.
if ! command -v soffice >/dev/null 2>&1 && can_use_apt; then
    echo "LibreOffice für den Test der Dokumente wird geholt …"
    apt_install libreoffice-writer-nogui || true
fi
exit 0
