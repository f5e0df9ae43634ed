"""The result object of a deploy, and the words for its plan. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azext_otelembed.release.release_context import ReleaseResult
from azext_otelembed.target.embed_target import Existing, Target
from azext_otelembed.verification.site_answer import Ping
from azext_otelembed.verification.verify import verdict_result
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.plan import NO_NAME_YET, Plan
from azext_otelembed.webapp.setting import Setting


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result object, and the exit status of the command."""

    result: dict[str, Any]
    exit_status: int


def deploy_result(
    observed: Observed,
    target: Target,
    build: dict[str, Any] | None,
    setting: Setting,
    plan: Plan,
    answer: Ping | None,
) -> dict[str, Any]:
    """The fields that are known before the release; `build` is that of the app image.

    `answer` is the site's to the request before the change, None if it wasn't asked.
    """
    site = observed.id
    return {
        "site": site.label,
        "resourceGroup": site.group,
        "host": observed.host,
        "image": {
            "name": str(target.image or NO_NAME_YET),
            "digest": str(target.digest) if target.digest else None,
        },
        "base": {
            "name": str(target.base),
            "digest": str(target.base_digest) if target.base_digest else None,
        },
        "collector": target.collector.as_result(),
        "build": build,
        "changed": not plan.empty,
        "dryRun": False,
        "changes": [change.as_result() for change in plan.changes],
        "reachable": None if answer is None else not answer.unreachable,
        "setting": {"name": SETTING, "value": setting.masked, "source": setting.source},
        "problems": [],
        **verdict_result(None),
        "release": None,
        "swap": None,
        "seconds": {},
    }


def ended(result: dict[str, Any], ending: ReleaseResult) -> Outcome:
    """The result with how the release ended; after a rollback nothing has changed."""
    changed = result["changed"] and not ending.rolled_back
    return Outcome({**result, **ending.as_result(), "changed": changed}, ending.exit_status)


_OF_ONE_SITE = (
    "site",
    "host",
    "changed",
    "reachable",
    "healthy",
    "reason",
    "evidence",
    "release",
)


def with_swap(
    outcome: Outcome, slot: dict[str, Any] | None, production: Observed, answer: Ping | None
) -> Outcome:
    """The outcome with the fields of the slot and of production apart, as `swap`.

    `slot` is the slot's result before the swap, None if an earlier run swapped. `outcome` has how
    production ended; `answer` is production's to the request before the swap.
    """
    there = {
        **outcome.result,
        "site": production.id.label,
        "host": production.host,
        "reachable": None if answer is None else not answer.unreachable,
    }
    apart = {
        "slot": slot and {name: slot[name] for name in _OF_ONE_SITE},
        "production": {name: there[name] for name in _OF_ONE_SITE},
    }
    return Outcome({**outcome.result, "swap": apart}, outcome.exit_status)


def summary(plan: Plan, target: Target) -> str:
    """The plan in one line."""
    exists = isinstance(target, Existing)
    if plan.empty and exists:
        return "nothing to change"
    todo = [] if exists else ["embed the collector"]
    todo += [f"set the connection string of {plan.setting.source}"] if plan.setting else []
    todo += ["switch the image"] if plan.switches_image else []
    return ", ".join(todo)


def plan_lines(plan: Plan, target: Target) -> list[str]:
    """The plan as a dry run shows it: a line for each change."""
    exists = isinstance(target, Existing)
    lines = [] if exists else [f"embed {target.collector} in {target.base}"]
    lines += [str(change) for change in plan.changes]
    return [f"  {line}" for line in lines or ["nothing to change"]]
