# What the build scripts of plugins/LANGUAGE have in common; they source this after they have set `label` and `work`.

fail() { echo "$label: $*" >&2; exit 1; }

# Runs a command silently; what it said is shown only when it failed.
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; return 1; }; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi
}

# Debian packages by name; the package lists are fetched only when the first try fails.
install_packages() {
  command -v apt-get >/dev/null || fail "please install $* (there is no apt-get here)"
  echo "$label: installing $*"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@")
  as_root "${install[@]}" >"$work/log" 2>&1 && return
  as_root apt-get update >>"$work/log" 2>&1 && as_root "${install[@]}" >>"$work/log" 2>&1 && return
  tail -n 5 "$work/log" >&2
  fail "could not install $* (root or sudo is needed, and a package mirror); install them and run this again"
}

# pip_tool FOLDER PACKAGE==VERSION: the package in a virtual environment of its own.
pip_tool() {
  [ "$(cat "$1/installed" 2>/dev/null)" = "$2" ] && return
  command -v python3 >/dev/null || install_packages python3 python3-venv
  rm -rf "$1"
  python3 -m venv "$1" >"$work/log" 2>&1 || { install_packages python3-venv; rm -rf "$1"; quietly python3 -m venv "$1"; } ||
    fail "python3 cannot make a virtual environment in $1"
  quietly "$1/bin/pip" install --disable-pip-version-check "$2" || fail "could not install $2 with pip"
  echo "$2" >"$1/installed"
}

# npm_tools FOLDER: what package.json there names, in $work.
npm_tools() {
  cmp -s "$1/package-lock.json" "$work/installed-lock.json" && return
  command -v npm >/dev/null && command -v node >/dev/null || install_packages nodejs npm
  cp "$1/package.json" "$1/package-lock.json" "$work/"
  # Not `npm ci`: it stumbles over the bindings for other systems that a registry does not carry.
  (cd "$work" && npm install --no-audit --no-fund --ignore-scripts) >"$work/log" 2>&1 ||
    { tail -n 5 "$work/log" >&2; fail "npm could not install what package.json names; is a package registry in reach?"; }
  cp "$1/package-lock.json" "$work/installed-lock.json"
}

# stage_wit FOLDER: the plugin's WIT in $work/wit, with the interface under deps/.
stage_wit() {
  rm -rf "$work/wit"
  mkdir -p "$work/wit/deps/mail"
  cp "$1"/wit/*.wit "$work/wit/"
  cp "$1"/../../wit/since-0.1/*.wit "$work/wit/deps/mail/"
}

# Whether COMPONENT is newer than everything else that is named. Directories count as well: a removed file changes its directory.
is_current() {
  local component=$1
  shift
  [ -e "$component" ] && [ -z "$(find "$@" -newer "$component" -print -quit)" ]
}
