"""`az otelembed config validate` with the collector of a registry."""

from __future__ import annotations

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.console import Console
from azext_otelembed.image.prepared_collector import REPOSITORY
from azext_otelembed.registry.scope import pull
from azext_otelembed.validation.otelcol_validate import Reporting, Validation, validate
from azext_otelembed.validation.verdict import Verdict


def validate_with_collector(
    session: Session, registry: str, validation: Validation, console: Console
) -> Verdict:
    """The verdict of the collector in the registry called `registry`. Raises as `validate`."""
    validation.check_possible()
    with console.step("validate") as step:
        step.say(f"looking for registry '{registry}'")
        found = registries.find(Arm(session), session.subscription, registry)
        with session.open_registry(found.login_server) as client:
            client.declare_scopes(pull(REPOSITORY))
            step.say(f"validating with {validation.collector}")
            reporting = Reporting(step.report, console.tell, console.stands)
            verdict = validate(session, client, validation, reporting)
        count = len(verdict.errors)
        step.found(f"{validation.collector}: {f'{count} errors' if count else 'valid'}", not count)
    if verdict.note:
        console.note(verdict.note)
    return verdict
