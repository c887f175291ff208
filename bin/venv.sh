# Sourced by the commands beside it: makes `.venv` ready and leaves its folder in $venv, the checkout's in $root.
#
# A mark in the environment holds what it was made from: this checkout's place, the Python, setup.cfg and the extras. Where
# that still holds, nothing is asked of pip. Two commands started at once wait for one another. A `.venv` that is a link is
# somebody else's, and used as it is.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv

venv_print() {
    # What the environment depends on, without the extras.
    printf '%s\n' "$root" "$("$1" -V 2>&1)" "$(sha256sum < "$root/setup.cfg")"
}

venv_is_ready() {
    # $1: an extra, or nothing. More extras than asked for are as good.
    local mark=$venv/ecpds-made-from
    [ -L "$venv" ] && [ -x "$venv/bin/python" ] && return 0
    [ -x "$venv/bin/python" ] && [ -f "$mark" ] || return 1
    [ "$(head -n 3 "$mark")" = "$(venv_print "$venv/bin/python")" ] || return 1
    [ -z "$1" ] || tail -n +4 "$mark" | grep -qx "$1"
}

venv_python() {
    # The first Python that is new enough.
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            printf '%s\n' "$name"
            return
        fi
    done
    echo "ecpds needs Python 3.11 or newer, as python3." >&2
    return 1
}

venv_make() {
    # $1: an extra, or nothing. Refreshes what is there where it was made here, by the same Python; extras stay.
    local python extras=$1 mark=$venv/ecpds-made-from
    python=$(venv_python) || return 1
    echo "Installing what ecpds needs into .venv, once; this takes a minute ..." >&2
    if [ -f "$mark" ] && [ "$(head -n 2 "$mark")" = "$(venv_print "$venv/bin/python" | head -n 2)" ]; then
        [ -n "$extras" ] || extras=$(tail -n +4 "$mark")
        rm "$mark"
    else
        "$python" -m venv --clear "$venv" || return 1
    fi
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
        --editable "$root${extras:+[$extras]}" || return 1
    # Editable installs put `ecpds` on the path by ways of their own; twistd finds its plugin only in a folder on sys.path.
    printf '%s\n' "$root" > "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ecpds-checkout.pth"
    { venv_print "$venv/bin/python"; printf '%s\n' "$extras"; } > "$mark"
}

venv_ready() {
    # $1: an extra of setup.cfg that must be there too, or nothing.
    # Somebody else's environment need not know where this checkout is.
    [ ! -L "$venv" ] || export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
    venv_is_ready "${1:-}" && return
    (
        flock 9
        venv_is_ready "${1:-}" || venv_make "${1:-}"
    ) 9< "$root/setup.cfg" || { echo "The environment could not be made." >&2; return 1; }
}
