"""A request to the site's own host name, and whose answer it got: the app's, or another's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.webapp.front_door import (
    NOT_READ,
    FrontDoor,
    is_front_door_answer,
    read_front_door,
)
from azext_otelembed.webapp.observe import Observed


class Answer(Enum):
    """What a request to the site tells."""

    APP = "the app answers"
    FRONT_DOOR = "App Service's front door answers in place of the app"
    NONE = "nothing answers"
    UNREACHABLE = "this machine can't reach the site"


@dataclass(frozen=True, slots=True)
class Ping:
    """One request to the site: the HTTP status, or why there is no answer.

    `unreachable`: no connection came about, so that this says nothing of the site. `location` is
    where the answer redirects to.
    """

    status: int | None
    problem: str = ""
    unreachable: bool = False
    location: str = ""

    @property
    def answered(self) -> bool:
        """Whether the site answered: with any status below 500."""
        return self.status is not None and self.status < 500

    def __str__(self) -> str:
        return f"HTTP {self.status}" if self.status is not None else self.problem


LONGEST_PING = 15.0
"""Seconds for a request to the site: to connect, and to answer with all headers."""


def ping(session: Session, host: str, path: str, patience: float = LONGEST_PING) -> Ping:
    """Sends one request to the site's own host name, without credentials or following redirects.

    A pause of more than `patience` seconds counts as no answer.
    """
    from azext_otelembed.connection_guard import ConnectionGuard
    from azext_otelembed.http_session import PlainSession

    guard = ConnectionGuard(session.deadline)
    limit = min(LONGEST_PING, max(session.deadline.remaining, 0.1))
    with PlainSession() as http, guard.sending(limit):
        answer = _request(http, session, f"https://{host}{path}", (limit, min(patience, limit)))
    # The cut may look like the end of the headers.
    return Ping(None, f"no answer in {limit:.0f} s") if guard.expired else answer


def _request(http: Any, session: Session, url: str, timeout: tuple[float, float]) -> Ping:
    import requests

    verify = session.transport.get("connection_verify", True)
    connect, patience = timeout
    try:
        answer = http.get(
            url,
            headers={"User-Agent": session.user_agent},
            timeout=timeout,
            allow_redirects=False,
            stream=True,
            **({} if verify is True else {"verify": verify}),
        )
    except requests.exceptions.ConnectTimeout:
        return Ping(None, f"no connection in {connect:.0f} s", unreachable=True)
    except requests.Timeout:
        return Ping(None, f"no answer in {patience:.0f} s")
    except requests.exceptions.SSLError:
        problem = "its certificate isn't trusted (see REQUESTS_CA_BUNDLE)"
        return Ping(None, problem, unreachable=True)
    except requests.exceptions.ProxyError:
        return Ping(None, "the proxy refuses the connection", unreachable=True)
    except requests.RequestException as error:
        # A connection that was there and broke comes from the site.
        broken = "RemoteDisconnected" in repr(error) or "reset by peer" in repr(error)
        return Ping(None, "no connection", unreachable=not broken)
    answer.close()
    return Ping(answer.status_code, location=answer.headers.get("Location", ""))


@dataclass(slots=True)
class AnswerReader:
    """Tells whose answer an HTTP answer is: the app's, or that of App Service's front door.

    Without `reachable`, this machine couldn't reach the site on `path` before.
    """

    client: SiteClient
    observed: Observed
    path: str
    reachable: bool = True
    front_door: FrontDoor | None = None

    def classify(self, answer: Ping) -> Answer:
        """What an answer tells; reads the front door's settings where it matters."""
        if answer.unreachable and not self.reachable:
            return Answer.UNREACHABLE
        if answer.status is None or not answer.answered:
            return Answer.NONE
        self.reachable = True
        if not is_front_door_answer(NOT_READ, answer.status, answer.location):
            return Answer.APP
        front_door = self.front_door
        if front_door is None or front_door.problem:
            front_door = read_front_door(self.client, self.observed, self.path)
            self.front_door = front_door
        refused = is_front_door_answer(front_door, answer.status, answer.location)
        return Answer.FRONT_DOOR if refused else Answer.APP

    def describe(self, answer: Ping, kind: Answer) -> str:
        """The evidence that an answer is."""
        if kind is Answer.UNREACHABLE:
            return f"not asked: this machine can't reach the site ({answer})"
        words = f"{answer} on {self.path}"
        if kind is not Answer.FRONT_DOOR or self.front_door is None:
            return words
        known = " and ".join(self.front_door.reasons)
        why = known or f"its settings can't be read: {self.front_door.problem}"
        return f"{words} from App Service's front door ({why}); the app itself wasn't asked"
