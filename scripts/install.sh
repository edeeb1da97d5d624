#!/usr/bin/env bash
# Make .venv with everything the project and its tests need, in the versions of constraints.txt.
# Safe to run again; once all is there, nothing is fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf '%s\n' "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }

is_supported() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    if [[ -n ${PYTHON:-} ]]; then
        is_supported "$PYTHON" || die "PYTHON=$PYTHON is not Python 3.11 or later."
        say "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do
        if is_supported "$candidate"; then say "$candidate"; return; fi
    done
    die "Python 3.11 or later is needed, and none is on the PATH. Install one, or name it: make install PYTHON=/path/to/python3.11"
}

make_venv() {
    local python
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$python has no venv module. On Debian and Ubuntu: apt-get install python3-venv"
    say "Making $VENV with $("$python" --version)"
    "$python" -m venv --clear "$VENV"
}

if [[ -x $VENV/bin/python ]]; then
    is_supported "$VENV/bin/python" || die "$VENV has a Python before 3.11; remove it: make clean"
fi
# A venv without pip was cut short while it was made.
"$VENV/bin/python" -m pip --version >/dev/null 2>&1 || make_venv

pip() { "$VENV/bin/python" -m pip install --quiet --constraint constraints.txt "$@"; }

say "Installing Toolcrib and its development tools (the first time this fetches some hundred MB)"
# pip first: dependency groups need a recent one. hatchling next: with it in place the editable
# install builds in this environment, pinned like the rest, instead of fetching its own.
pip "pip>=25.1"
pip hatchling editables
pip --no-build-isolation --editable . --group dev
say "Installed. Try: make demo"
