"""The script of the `drain` launcher: a shell that runs until the app's telemetry is exported.

It is POSIX sh, tested in dash, busybox ash and bash. Their behaviour is the reason for these parts:

- A trapped signal interrupts `wait`, whose status is then above 128, as for an app that a signal
  killed. So the status is used only if no trap has run. Otherwise `wait` is called again: it
  returns 127 if it had returned the app's own status before.
- A signal to a child that hasn't reset the shell's handlers yet is lost: in dash and bash the child
  has the handlers, but no traps. So each child sends URG, which has no other use here, once it has
  reset them, and the shell then forwards an earlier signal to the app.
- In dash and busybox, a trap that interrupts another one leaves a wrong status. So no trap's action
  depends on a status. Signal 0 stands for "no earlier signal".
- In bash, two simultaneous signals that interrupt `wait` can lose one of them. So while a child
  starts, the shell polls in a loop and doesn't `wait`.

Names begin with `otelembed_`, because a variable that is already in the environment is exported to
the app.
"""

from __future__ import annotations

import re

# signal(7), for x86-64, App Service's only platform: signal number n is the n-th name.
_NAMES = (
    *("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2"),
    *("PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG"),
    *("XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"),
)
_REAL_TIME = re.compile(r"RT(MIN|MAX)(?:([+-])(\d{1,2}))?", re.ASCII)
_FIRST_REAL_TIME, _LAST_REAL_TIME = 34, 64  # as Docker counts them

# These signals stop the container; the others are only forwarded to the app.
_STOP = ("INT", "QUIT", "TERM")
_FORWARDED = ("HUP", "USR1", "USR2", "WINCH")
_NOT_TRAPPABLE = ("KILL", "STOP", "CHLD", "URG")

_SCRIPT = """\
otelembed_stop= otelembed_early=0 otelembed_status= otelembed_turn=0
trap 'otelembed_trapped=1 otelembed_turn=@TURNS@' URG
for otelembed_name in @STOP@; do
  trap "otelembed_stop=$otelembed_name otelembed_early=$otelembed_name" $otelembed_name
done
{ trap - URG @STOP@; kill -URG $$; @COLLECTOR@; } &
otelembed_collector=$!
while [ "$otelembed_turn" -lt @TURNS@ ]; do otelembed_turn=$((otelembed_turn + 1)); done
otelembed_turn=0
{ trap - URG @STOP@; kill -URG $$; exec "$@"; } &
otelembed_app=$!
while [ "$otelembed_turn" -lt @TURNS@ ]; do otelembed_turn=$((otelembed_turn + 1)); done
for otelembed_name in @PASSED_ON@; do
  trap "otelembed_trapped=1; kill -$otelembed_name $otelembed_app 2>/dev/null" $otelembed_name
done
for otelembed_name in @STOP@; do
  trap "otelembed_trapped=1 otelembed_stop=$otelembed_name
    kill -$otelembed_name $otelembed_app 2>/dev/null" $otelembed_name
done
kill -"$otelembed_early" "$otelembed_app" 2>/dev/null
while :; do
  otelembed_trapped=
  wait "$otelembed_app" 2>/dev/null
  otelembed_last=$?
  if [ "$otelembed_last" = 127 ] && [ "$otelembed_status" ]; then break; fi
  otelembed_status=$otelembed_last
  if [ -z "$otelembed_trapped" ] || [ "$otelembed_last" -le 128 ]; then break; fi
done
kill -TERM "$otelembed_collector" 2>/dev/null
if [ "$otelembed_stop" ]; then wait "$otelembed_collector" 2>/dev/null; fi
exit "$otelembed_status"
"""

# Iterations of the loop until a child that sends no URG is considered started: about a second.
_TURNS = 1_000_000


def script(collector: str, stop_signal: str = "") -> str:
    """The script. `"$@"` is the app, `collector` the command of the collector's supervisor.

    The supervisor gives the collector its grace: it ends some seconds after its stop signal, or at
    once if no collector runs. `stop_signal` is the base's STOPSIGNAL, in the spelling of its
    configuration.
    """
    stop = list(_STOP)
    own = trappable_signal(stop_signal)
    if own is not None and own not in stop:
        stop.append(own)
    forwarded = [name for name in _FORWARDED if name not in stop]
    values = {
        "TURNS": str(_TURNS),
        "PASSED_ON": " ".join(forwarded),
        "STOP": " ".join(stop),
        "COLLECTOR": collector,
    }
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], _SCRIPT)


def trappable_signal(stop_signal: str) -> str | None:
    """A STOPSIGNAL in a form that `trap` and `kill` of every shell accept; None if there is none.

    Docker accepts names with and without SIG, numbers, and RTMIN+n. Shells accept the names of
    standard signals, and numbers.
    """
    name = stop_signal.strip().upper().removeprefix("SIG")
    number = 0
    if name in _NAMES:
        number = _NAMES.index(name) + 1
    elif match := _REAL_TIME.fullmatch(name):
        base = _FIRST_REAL_TIME if match[1] == "MIN" else _LAST_REAL_TIME
        number = base + int(f"{match[2] or '+'}{match[3] or 0}")
    elif name.isascii() and name.isdigit():
        number = int(name[:4])
    if 0 < number <= len(_NAMES):
        name = _NAMES[number - 1]
        if name in _NOT_TRAPPABLE:
            return None
        return name if name in (*_STOP, *_FORWARDED) else str(number)
    return str(number) if _FIRST_REAL_TIME <= number <= _LAST_REAL_TIME else None
