"""A container log that is read again and again: only what is new in it gets parsed. Pure.

Azure answers with the newest lines of the log, or of several files one after the other, so that
new lines are at the end of each file and old ones disappear at the beginning.
"""

from __future__ import annotations

from azext_otelembed.verification.platform_log import Event, parse

MOST_EVENTS = 2000
"""How many events are kept: the newest ones. A start has some 30."""
_BLOCK = 1 << 16
_ANCHOR = 200
"""Characters that are compared to find a place again: more than a line's stamp."""


class ContainerLog:
    """The log as answered last (`text`), and its events, sorted by time.

    `has_gap`: an answer didn't join the one before, so that lines may have been missed.
    """

    def __init__(self) -> None:
        self.text = ""
        self.events: list[Event] = []
        self.has_gap = False
        self._events: list[Event] = []

    def update(self, text: str) -> None:
        """Takes the next answer."""
        whole = text.rfind("\n") + 1
        pieces, joined = new_pieces(self.text, text[:whole])
        self.has_gap = self.has_gap or not joined
        known = set(self._events)
        # A line can be answered twice: in two files, or in what is read again.
        parsed = dict.fromkeys(event for piece in pieces for event in parse(piece))
        found = [event for event in parsed if event not in known]
        if found:
            self._events = _sorted([*self._events, *found])
        self.text = text[:whole]
        # The last line may be incomplete: its event counts until the next answer only.
        last = list(parse(text[whole:]))
        self.events = _sorted([*self._events, *last]) if last else self._events


def _sorted(events: list[Event]) -> list[Event]:
    # The sort is stable: lines with the same time stay in the order of the text.
    return sorted(events, key=lambda one: one.time)[-MOST_EVENTS:]


def new_pieces(old: str, new: str) -> tuple[list[str], bool]:
    """The parts of `new` that `old` doesn't have, and whether the two join.

    The parts are whole lines. They may hold some lines of `old` too, but never miss a new one.
    """
    pieces: list[str] = []
    at_old = at_new = 0
    while True:
        same = _common(old, at_old, new, at_new)
        at_old, at_new = at_old + same, at_new + same
        if at_new == len(new):
            return pieces, True
        back = at_new - (new.rfind("\n", 0, at_new) + 1)
        at_old, at_new = max(at_old - back, 0), at_new - back
        if at_old + back >= len(old):
            return [*pieces, new[at_new:]], True
        # Lines were added here, or lines of `old` are gone. `at_new` is always the beginning of a
        # line: from the middle of one the search could go back, and never end.
        if found := _next_line(new, old[at_old : at_old + _ANCHOR], at_new):
            pieces.append(new[at_new:found])
            at_new = found
        elif found := _next_place(old, new[at_new : at_new + _ANCHOR], at_old, is_cut=not at_new):
            at_old = found
        else:
            at_old, found = _later(old, at_old, new, at_new)
            if not found:
                return [*pieces, new[at_new:]], False
            pieces.append(new[at_new:found])
            at_new = found


def _later(old: str, at_old: int, new: str, at_new: int) -> tuple[int, int]:
    """The next line of `old` that is in `new` too, tried at growing distances; or 0."""
    distance = _ANCHOR
    while at_old + distance < len(old):
        start = old.find("\n", at_old + distance) + 1
        if not start:
            break
        if found := _next_line(new, old[start : start + _ANCHOR], at_new):
            return start, found
        distance *= 2
    return at_old, 0


def _next_line(text: str, beginning: str, place: int) -> int:
    """Where the next line after `place` starts that begins so; 0 if none does."""
    return text.find(f"\n{beginning}", place) + 1


def _next_place(text: str, beginning: str, place: int, *, is_cut: bool) -> int:
    """As `_next_line`; `is_cut`: the line may be the rest of one."""
    if is_cut:
        return max(text.find(beginning, place + 1), 0)
    return _next_line(text, beginning, place)


def _common(old: str, at_old: int, new: str, at_new: int) -> int:
    """How many characters are the same from these places on."""
    start = at_old
    size = _BLOCK
    while size:
        while (
            at_old + size <= len(old)
            and at_new + size <= len(new)
            and old[at_old : at_old + size] == new[at_new : at_new + size]
        ):
            at_old, at_new = at_old + size, at_new + size
        size //= 2
    return at_old - start
