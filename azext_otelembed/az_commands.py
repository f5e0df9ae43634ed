"""The az commands that messages tell the user to type. Each addresses its object as it is printed.

A command names its subscription unless that is az's current one, repeats `--credential`, and is
quoted for a shell. The texts of commands are made here only (tests/unit/test_command_texts.py).
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from azext_otelembed.printable import printable_result

AZ_LOGIN = "cli"
"""The value of `--credential` that means the account of `az login`."""
_PLAIN_ON_WINDOWS = re.compile(r"[\w./:=+-]+", re.ASCII)


class Verbatim(str):
    """A word that is printed as it is: a constant that is quoted already, or a placeholder."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Caller:
    """How the running command was called, as far as the commands that it prints depend on it.

    `current` is the id of az's current subscription, which a command needn't name. It is empty
    where az has none, or isn't used (`--credential`): then each command names its subscription.
    None: the subscription of the object that the caller belongs to (a session, a site).
    """

    current: str | None = None
    credential: str = AZ_LOGIN

    def within(self, subscription: str) -> Caller:
        """The same caller, with `subscription` as the current one if that isn't known."""
        return self if self.current is not None else Caller(subscription, self.credential)

    def command(
        self,
        verb: str,
        *names: str,
        subscription: str | None,
        options: Sequence[str] = (),
    ) -> str:
        """`az VERB NAMES [--subscription ID] [--credential KIND] OPTIONS`, quoted for a shell.

        `names` and `options` are single words. `subscription` is None where they name it, such as
        in a resource id.
        """
        words = [*names, *self.subscription_words(subscription)]
        if verb.startswith("otelembed") and self.credential != AZ_LOGIN:
            words += ["--credential", self.credential]
        return " ".join(["az", verb, *map(quote, [*words, *options])])

    def subscription_words(self, subscription: str | None) -> tuple[str, ...]:
        """`--subscription ID`, unless the subscription is az's current one."""
        if subscription is None or self.current is None:
            return ()
        is_current = subscription.lower() == self.current.lower()
        return () if is_current else ("--subscription", subscription)

    def acr_command(
        self, host: str, verb: str, *options: str, subscription: str | None = None
    ) -> str:
        """A command of `az acr` for the registry at `host`, whose name isn't known.

        A host may hold a hash (`contoso-<hash>.azurecr.io`), so the name isn't derived from it:
        the shell (not Windows' cmd) looks it up.
        """
        own = " ".join(self.subscription_words(subscription))
        query = f"\"[?loginServer=='{host.lower()}'].name\""
        lookup = f"az acr list --query {query} -o tsv {own}".rstrip()
        words = [f"az acr {verb} -n $({lookup})", own, *map(quote, options)]
        return " ".join(filter(None, words))


DEFAULT = Caller()
"""For objects that are made without a caller."""


def placeholder(what: str) -> Verbatim:
    """A word like `<its id>`, for the user to fill in."""
    return Verbatim(f"<{what}>")


def option(name: str, value: str) -> tuple[str, ...]:
    """The words of an option. A value that starts with a hyphen would be read as an option."""
    return (f"{name}={value}",) if value.startswith("-") else (name, value)


def quote(word: str, *, windows: bool = os.name == "nt") -> str:
    """A word of a command line, quoted if need be; a placeholder if it would be printed changed.

    On Windows in double quotes, which both cmd and PowerShell read: POSIX quotes mean nothing to
    cmd.
    """
    if isinstance(word, Verbatim):
        return word
    if printable_result(word) != word:
        return placeholder("a value that is not printable")
    if not windows:
        return shlex.quote(word)
    if _PLAIN_ON_WINDOWS.fullmatch(word):
        return word
    # Backslashes before a double quote are doubled (learn.microsoft.com, "Parsing C command-line
    # arguments").
    doubled = re.sub(r'(\\*)("|$)', r"\1\1\2", word)
    return '"' + doubled.replace('"', '\\"') + '"'
