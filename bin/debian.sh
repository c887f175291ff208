# Sourced: installs Debian packages for commands that are missing.

debian_needs() {
    # Each argument is COMMAND:PACKAGE. Leaves what could not be had in $missing.
    local pair packages=()
    missing=()
    PATH=$PATH:/usr/sbin:/sbin
    for pair in "$@"; do
        command -v "${pair%%:*}" > /dev/null || packages+=("${pair#*:}")
    done
    [ "${#packages[@]}" -eq 0 ] && return
    echo "Installing from Debian: ${packages[*]} ..." >&2
    debian_install "${packages[@]}" || true
    for pair in "$@"; do
        command -v "${pair%%:*}" > /dev/null || missing+=("${pair#*:}")
    done
    [ "${#missing[@]}" -eq 0 ] || echo "!!! NOT INSTALLED: ${missing[*]}; what needs them is not checked." >&2
}

debian_install() {
    local sudo=() policy=/usr/sbin/policy-rc.d made=
    command -v apt-get > /dev/null || return 1
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2> /dev/null || return 1
        sudo=(sudo -n)
    fi
    # A server's package starts it, on the port that it is known by; we want only the program.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" > /dev/null && "${sudo[@]}" chmod +x "$policy" && made=yes
    fi
    "${sudo[@]}" apt-get update -qq > /dev/null
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" < /dev/null > /dev/null
    local status=$?
    [ -z "$made" ] || "${sudo[@]}" rm -f "$policy"
    return "$status"
}
