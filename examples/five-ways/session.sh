#!/usr/bin/env bash
# Starts hello.py in every way there is, with Caddy in front; asks all of them; stops everything.
# Needs bash, curl, Caddy, systemd-socket-activate, and a Python that has pierhead[aiohttp]:
#
#   PYTHON=.venv/bin/python examples/five-ways/session.sh
#
# CADDY_PORT, TCP_PORT, … below choose other ports.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$(command -v "${PYTHON:-python3}") && "$python" -c 'import aiohttp, pierhead' 2>/dev/null || {
  echo "${PYTHON:-python3} has no pierhead[aiohttp]; after make venv: PYTHON=.venv/bin/python $0" >&2
  exit 3
}
python=$(realpath -s "$python")
export CADDY_PORT=${CADDY_PORT:-4000} TCP_PORT=${TCP_PORT:-8080} SD_LISTEN_PORT=${SD_LISTEN_PORT:-8081}
export INETD_PORT=${INETD_PORT:-8082} ABSTRACT_NAME=${ABSTRACT_NAME:-abstract_socket}
foo=${FOO_PORT:-8083} bar=${BAR_PORT:-8084} first=${FIRST_PORT:-8085} second=${SECOND_PORT:-8086}

# Everything that is written lands here: ./path_socket, the log, what Caddy keeps in its home.
folder=$(mktemp -d)
cd "$folder"
export HOME=$folder
unset XDG_CONFIG_HOME XDG_DATA_HOME

# The log ends when the last process that may write to it has ended.
exec 9> >(exec cat >log)
logging=$!
started=()

stop_all() {
  code=$?
  trap - EXIT
  kill "${started[@]}" 2>/dev/null || true
  wait "${started[@]}" 2>/dev/null || true
  exec 9>&-
  wait "$logging" || true
  if [ "$code" != 0 ]; then cat log >&2; fi
  cd "$here"
  rm -rf "$folder"
  exit "$code"
}
trap stop_all EXIT
trap 'exit 1' INT TERM

start() {
  "$@" </dev/null >&9 2>&9 9>&- &
  started+=("$!")
}

wait_for() {
  for _ in {1..400}; do
    if grep -qF -- "$1" log; then return; fi
    if [ "$(jobs -pr | wc -l)" != "${#started[@]}" ]; then break; fi  # one has ended
    sleep 0.05
  done
  echo "nobody has said \"$1\"" >&2
  exit 1
}

show() {
  printf '$ curl%s\n' "$(printf ' %s' "$@")"
  curl --silent --show-error --max-time 20 "$@"
}

hello=("$python" "$here/hello.py")
activate=systemd-socket-activate

start "${hello[@]}" "127.0.0.1:$TCP_PORT" $'Hello from usual mode\n'
start "${hello[@]}" ./path_socket $'Hello from UNIX socket path mode\n'
start "${hello[@]}" "@$ABSTRACT_NAME" $'Hello from UNIX socket abstract mode\n'
start $activate -l "127.0.0.1:$SD_LISTEN_PORT" \
  "${hello[@]}" sd-listen $'Hello from pre-listened socket\n'
start $activate --inetd -al "127.0.0.1:$INETD_PORT" \
  "${hello[@]}" inetd $'Hello from inetd mode\n'
start $activate -l "127.0.0.1:$foo" -l "127.0.0.1:$bar" --fdname=foo:bar -- \
  "${hello[@]}" sd-listen:bar $'Hello from a named pre-listened socket\n'
start $activate -l "127.0.0.1:$first" -l "127.0.0.1:$second" -- \
  "${hello[@]}" 'sd-listen:*' $'Hello from any of the two pre-listened sockets\n'
start caddy run --config "$here/Caddyfile" --adapter caddyfile

wait_for "ready tcp:127.0.0.1:$TCP_PORT"
wait_for "ready unix:./path_socket"
wait_for "ready unix:@$ABSTRACT_NAME"
for port in "$SD_LISTEN_PORT" "$INETD_PORT" "$foo" "$bar" "$first" "$second"; do
  wait_for "Listening on 127.0.0.1:$port"
done
wait_for "serving initial configuration"

for way in tcp unix abstract sdlisten inetd; do
  show "http://127.0.0.1:$CADDY_PORT/$way/"
done
show --unix-socket ./path_socket http://q/
show --abstract-unix-socket "$ABSTRACT_NAME" http://q/
for port in "$bar" "$first" "$second"; do
  show "http://127.0.0.1:$port/"
done
