"""The script of the `drain` launcher: a shell that outlives the app until its telemetry is out.

It is POSIX sh and was tried in dash, busybox ash and bash, whose habits explain how it is written:

- A trapped signal interrupts `wait`, whose status is then above 128 as well; so the status counts
  only if no trap ran meanwhile. Where both happened, `wait` is asked again: it answers 127 if it
  had given the app's own status before.
- A signal that is sent to a child that still is the shell's own copy is lost: dash and bash have
  their handlers there and no traps. So each child tells when it has let go of them (URG, which
  means nothing to anybody else), and what came before that is passed on to the app then.
- A trap that runs inside of another one leaves a wrong status behind in dash and busybox: their
  actions decide nothing. Signal 0 stands for none that came early.
- Two signals at once that interrupt `wait` lose one of them in bash, which jumps out of its
  handler; so the shell turns in a loop for these few moments, and doesn't `wait`.
- Not every image has `sleep`. Without it the shell looks at the clock (/proc/uptime, in hundredths
  of a second) until the time has come.

Names begin with `otelembed_` since a variable that is in the environment would reach the app.
"""

from __future__ import annotations

import re

from azext_otelembed.image.layer import FOLDER

# signal(7), for x86-64: number n is the n-th. App Service runs nothing else.
_NAMES = (
    *("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2"),
    *("PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG"),
    *("XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"),
)
_REAL_TIME = re.compile(r"RT(MIN|MAX)(?:([+-])(\d{1,2}))?", re.ASCII)
_FIRST_REAL_TIME, _LAST_REAL_TIME = 34, 64  # as Docker counts them

# After these the container is on its way out; the others are passed on, and that is all.
_STOP = ("INT", "QUIT", "TERM")
_PASSED_ON = ("HUP", "USR1", "USR2", "WINCH")
_UNTOUCHED = ("KILL", "STOP", "CHLD", "URG")

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
if [ "$otelembed_stop" ] && kill -0 "$otelembed_collector" 2>/dev/null; then
  PATH="${PATH:-/usr/bin:/bin}:@FOLDER@" sleep @GRACE@ 2>/dev/null || {
    otelembed_end=
    while read -r otelembed_now otelembed_rest </proc/uptime; do
      otelembed_now=${otelembed_now%.*}${otelembed_now#*.}
      otelembed_end=${otelembed_end:-$((otelembed_now + @GRACE@00))}
      [ "$otelembed_now" -lt "$otelembed_end" ] || break
    done
  }
  kill -TERM "$otelembed_collector" 2>/dev/null
  wait "$otelembed_collector" 2>/dev/null
else
  kill -TERM "$otelembed_collector" 2>/dev/null
fi
exit "$otelembed_status"
"""

# Turns of the loop until a child that doesn't tell is taken to be there: a second or so.
_TURNS = 1_000_000


def script(collector: str, grace: int, stop_signal: str = "") -> str:
    """The script. `"$@"` is the app, `collector` the command that the collector's shell becomes.

    `grace` is in seconds, from the app's end until the collector is told to stop. `stop_signal` is
    the base's STOPSIGNAL, as its configuration spells it.
    """
    stop = list(_STOP)
    own = trappable(stop_signal)
    if own is not None and own not in stop:
        stop.append(own)
    passed_on = [name for name in _PASSED_ON if name not in stop]
    values = {
        "TURNS": str(_TURNS),
        "PASSED_ON": " ".join(passed_on),
        "STOP": " ".join(stop),
        "COLLECTOR": collector,
        "FOLDER": FOLDER,
        "GRACE": str(grace),
    }
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], _SCRIPT)


def trappable(stop_signal: str) -> str | None:
    """A STOPSIGNAL as `trap` and `kill` of every shell take it; None if there is none to be had.

    Docker takes names with and without SIG, numbers, and RTMIN+n. Shells know the names of the
    ordinary ones, and numbers.
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
        if name in _UNTOUCHED:
            return None
        return name if name in (*_STOP, *_PASSED_ON) else str(number)
    return str(number) if _FIRST_REAL_TIME <= number <= _LAST_REAL_TIME else None
