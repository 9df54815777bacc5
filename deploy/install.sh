#!/bin/sh
# Installs the platform into .venv, with nothing but python3 and pip: no venv module, no compiler, no git, no root.
#
#   sh deploy/install.sh check-python   only ask whether Python is new enough
#   sh deploy/install.sh runtime        what the platform needs to run
#   sh deploy/install.sh dev            the same and the tools for tests and checks
#
# Exit status 1 and one German sentence when it can't be done.
set -u
cd "$(dirname -- "$0")/.." || exit 1

PYTHON=${PYTHON:-python3}
MINIMUM='3.11'
NEEDED_MB=900
TOOLS=.tools
VENV=.venv
LOG=$TOOLS/install.log

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

check_python() {
    command -v "$PYTHON" >/dev/null 2>&1 ||
        fail "Python $MINIMUM oder neuer wird gebraucht, gefunden: keines. Installieren Sie es mit: sudo apt install python3 python3-pip"
    found=$("$PYTHON" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || found='unbekannt'
    case $found in
        3.[0-9].* | 3.10.* | [0-2].* | unbekannt)
            fail "Python $MINIMUM oder neuer wird gebraucht, gefunden: $found. Ein anderes wählen Sie mit PYTHON=python3.12." ;;
    esac
}

check_space() {
    free_mb=$(df -Pm . 2>/dev/null | awk 'NR == 2 { print $4 }')
    case $free_mb in '' | *[!0-9]*) return 0 ;; esac
    [ "$free_mb" -ge "$NEEDED_MB" ] ||
        fail "Auf diesem Datenträger sind nur $free_mb MB frei, für die Installation werden $NEEDED_MB MB gebraucht. Schaffen Sie Platz und starten Sie erneut."
}

# One sentence from what the package tool wrote.
explain() {
    if grep -qiE 'no space left|Errno 28|os error 28' "$LOG"; then
        fail "Der Datenträger ist voll. Schaffen Sie Platz und starten Sie erneut. Einzelheiten: $LOG"
    elif grep -qiE 'permission denied|Errno 13|os error 13' "$LOG"; then
        fail "In diesem Ordner darf nicht geschrieben werden. Prüfen Sie die Rechte von $(pwd). Einzelheiten: $LOG"
    elif grep -qiE 'hash' "$LOG" && grep -qiE 'mismatch|do not match' "$LOG"; then
        fail "Ein geladenes Paket ist nicht das erwartete (Prüfsumme weicht ab). Es wurde nichts installiert. Einzelheiten: $LOG"
    elif grep -qiE 'no matching distribution|no wheels with a matching|no solution found' "$LOG" &&
        ! grep -qiE 'connection|retry|resolve|timed out|dns|unreachable' "$LOG"; then
        fail "Für dieses System oder diese Python-Version gibt es nicht alle Pakete. Einzelheiten: $LOG"
    fi
    fail "Die Pakete konnten nicht geladen werden: keine Verbindung zum Paketverzeichnis. Prüfen Sie die Internetverbindung und starten Sie erneut. Einzelheiten: $LOG"
}

# uv does not read pip's configuration; a machine set up for a mirror of its own has it only there.
export_pip_settings() {
    eval "$("$PYTHON" - <<'PY'
import os
import shlex
import subprocess
import sys

listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
found = {}
for line in listing.splitlines():
    name, _, value = line.partition("=")
    section, _, option = name.rpartition(".")
    if section in ("global", "install", ":env:") and value:
        found.setdefault(option.replace("_", "-"), []).append(value.strip().strip("'\""))
last = {option: values[-1] for option, values in found.items()}


def offer(variable, value):
    if value and not os.environ.get(variable):
        print("export %s=%s" % (variable, shlex.quote(value)))


offer("UV_DEFAULT_INDEX", last.get("index-url"))
# pip also takes relative and local directories as extra indexes; uv would stop at a missing one.
offer("UV_INDEX", " ".join(u for u in last.get("extra-index-url", "").split() if u.startswith(("http://", "https://"))))
offer("UV_FIND_LINKS", ",".join(u for u in last.get("find-links", "").split() if "://" in u or os.path.isdir(u)))
offer("UV_NO_INDEX", "1" if last.get("no-index", "").lower() in ("1", "true", "yes", "on") else "")
offer("UV_INSECURE_HOST", last.get("trusted-host"))
offer("SSL_CERT_FILE", last.get("cert"))
offer("HTTPS_PROXY", last.get("proxy"))
PY
    )"
    # As pip does: the best version of all indexes. What arrives is checked against the hashes of the lock anyway.
    export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
}

install_uv() {
    # The tool is pinned with its hash too; a changed pin replaces it.
    cmp -s requirements-tools.txt "$TOOLS/.installed" && [ -x "$TOOLS/bin/uv" ] && return 0
    "$PYTHON" -m pip --version >/dev/null 2>&1 ||
        fail "pip fehlt. Installieren Sie es mit: sudo apt install python3-pip"
    say "Installationswerkzeug wird geladen …"
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 "$PYTHON" -m pip install --disable-pip-version-check --no-input \
        --no-deps --no-compile --upgrade --retries 2 --timeout 20 --only-binary :all: --require-hashes \
        --target "$TOOLS" --requirement requirements-tools.txt >"$LOG" 2>&1 || explain
    cp requirements-tools.txt "$TOOLS/.installed"
}

install_packages() {
    lock=requirements.txt
    [ "$1" = runtime ] || lock=requirements-dev.txt
    # A service account may have no home directory to keep a cache in.
    [ -n "${UV_CACHE_DIR:-}" ] || [ -w "${HOME:-/nonexistent}" ] || export UV_CACHE_DIR="$TOOLS/cache"
    export UV_PYTHON_DOWNLOADS=never UV_NO_CONFIG=1 UV_LINK_MODE="${UV_LINK_MODE:-}"
    [ -n "$UV_LINK_MODE" ] || unset UV_LINK_MODE
    unset VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH
    if ! "$VENV/bin/python" -c '' >/dev/null 2>&1; then
        # The real file, not a link such as /usr/bin/python3, which after an upgrade is another version.
        base=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable))')
        "$TOOLS/bin/uv" venv --quiet --clear --relocatable --python "$base" "$VENV" >"$LOG" 2>&1 || explain
    fi
    rm -f "$VENV/.runtime" "$VENV/.dev"
    say "Pakete werden installiert (beim ersten Mal etwa eine Minute) …"
    "$TOOLS/bin/uv" pip sync --quiet --compile-bytecode --no-build --require-hashes --python "$VENV/bin/python" "$lock" >"$LOG" 2>&1 || explain
}

# The command `beteiligung`: finds its own folder, so that a moved or linked folder still works.
write_command() {
    cat >"$VENV/bin/beteiligung" <<'PY'
#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
import runpy
import sys
from pathlib import Path

root = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root))
sys.argv[0] = "beteiligung"

if sys.argv[1:2] == ["serve"]:
    # It lives as long as the platform: loaded without the application it takes a quarter of the memory.
    del sys.argv[1]
    runpy.run_path(str(root / "participation" / "commands" / "serve.py"), run_name="__main__")
elif sys.argv[1:] == ["cron"]:
    from participation.schedule import main

    sys.exit(main())
else:
    from app import main

    sys.exit(main())
PY
    chmod +x "$VENV/bin/beteiligung"
}

case ${1:-runtime} in
    check-python)
        check_python
        ;;
    runtime | dev)
        check_python
        [ -e "$VENV/.runtime" ] || [ -e "$VENV/.dev" ] || check_space
        mkdir -p "$TOOLS" 2>/dev/null && : >"$LOG" 2>/dev/null ||
            fail "In diesem Ordner darf nicht geschrieben werden. Prüfen Sie die Rechte von $(pwd)."
        install_uv
        export_pip_settings
        install_packages "${1:-runtime}"
        write_command
        : >"$VENV/.${1:-runtime}"
        rm -f "$LOG"
        say "Installation fertig."
        ;;
    *)
        fail "Unbekannt: $1. Möglich sind check-python, runtime und dev."
        ;;
esac
