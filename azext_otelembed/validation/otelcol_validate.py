"""`otelcol validate` with the collector of a registry, where the caller asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.collector.config import Config
from azext_otelembed.embedding.prepare_collector import find_prepared
from azext_otelembed.errors import NotFound
from azext_otelembed.image.reference import Reference
from azext_otelembed.progress import Report
from azext_otelembed.registry.auth import Basic
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.validation.acr_validation import validate_in_acr
from azext_otelembed.validation.binary_cache import BinaryCache
from azext_otelembed.validation.local_validation import check_machine, validate_locally
from azext_otelembed.validation.verdict import LOCAL, Verdict


@dataclass(frozen=True, slots=True)
class Validation:
    """What to validate, and where: "local" or "acr". `cache` is the folder of binaries.

    `collector` is the collector image, `login` the sign-in to its registry.
    """

    where: str
    config: Config = field(repr=False)
    collector: Reference
    cache: Path
    login: Basic | None = None

    def check_possible(self) -> None:
        """Raises `Refused` for a validation that this machine can't make, before anything else."""
        if self.where == LOCAL:
            check_machine()


@dataclass(frozen=True, slots=True)
class Reporting:
    """Receivers of what goes on: progress, a run's lines, and the state that a failure leaves."""

    progress: Report
    line: Callable[[str], None]
    state: Callable[[str], None]


def validate(
    session: Session, client: RegistryClient, validation: Validation, reporting: Reporting
) -> Verdict:
    """The verdict of the collector. `client` is the registry that has the prepared collector.

    Raises `NotFound` if it isn't prepared there and is to run on this machine, `Refused` if it
    can't run here, `BuildFailed` if the run of ACR Tasks doesn't come to the collector.
    """
    if validation.where != LOCAL:
        registry = registries.find(Arm(session), session.subscription, client.host)
        with_login = partial(validate_in_acr, session, registry, client, validation.collector)
        return with_login(validation.config, validation.login, reporting.state, reporting.line)
    validation.check_possible()
    prepared = find_prepared(client, validation.collector)
    if prepared is None:
        raise NotFound(
            f"Registry '{client.host}' has no prepared collector {validation.collector} yet.",
            "The first build or deploy with that registry prepares it. Add `--validate acr` to "
            "validate without it.",
        )
    cache = BinaryCache(validation.cache)
    return validate_locally(
        client,
        prepared,
        validation.config,
        cache,
        reporting.progress,
        session.secrets,
        session.deadline,
    )
