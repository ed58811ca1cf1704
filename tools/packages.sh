# Sourced by the scripts beside it. need_packages NAME...: installs what is missing of these Debian packages, or says
# in one line why it cannot. Touches neither apt nor the network when nothing is missing.
need_packages() {
    local missing=() name
    if ! command -v dpkg-query >/dev/null; then
        echo "$0: this is not Debian; make sure that the equivalents of these are installed: $*" >&2
        return 0
    fi
    for name in "$@"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$name")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        echo "$0: run it as root once, or install first: apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "installing ${missing[*]}" >&2
    # Tests start servers of their own: none is to run on this machine because its package was installed.
    local guard=/usr/sbin/policy-rc.d guarded=0 status=0
    if [[ ! -e $guard ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$guard" && chmod 755 "$guard" && guarded=1
    fi
    apt-get update -qq >&2 &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || status=1
    ((guarded)) && rm -f "$guard"
    ((status == 0)) || echo "$0: apt-get could not install: ${missing[*]}" >&2
    return "$status"
}

# What building keepnet and its programs takes.
build_packages=(g++ cmake ninja-build pkg-config capnproto libcapnp-dev libboost1.81-dev libpcap-dev libcli11-dev liblua5.4-dev)
