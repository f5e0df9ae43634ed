"""The collector, and a shell where one is brought along, prepared in an app image's registry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.console import Step
from azext_otelembed.embedding.prepare_collector import find_prepared, prepare_collector
from azext_otelembed.embedding.prepare_shell import find_shell, prepare_shell
from azext_otelembed.errors import NotFound, Unauthorized
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.image.prepared_shell import PreparedShell
from azext_otelembed.image.reference import Reference
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.registry.auth import Basic
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.target.embed_target import EmbedOptions


@dataclass(frozen=True, slots=True)
class PreparedImages:
    """Both are ready to be mounted. `shell` is None where the app image's own shell is used."""

    collector: PreparedCollector
    shell: PreparedShell | None = None


def find_prepared_images(client: RegistryClient, options: EmbedOptions) -> PreparedImages | None:
    """None unless the registry holds everything: one request, two with a shell."""
    if options.shell_image is None:
        collector = find_prepared(client, options.collector)
        return PreparedImages(collector) if collector else None
    collector, shell = run_concurrently(
        partial(find_prepared, client, options.collector),
        partial(find_shell, client, options.shell_image),
    )
    return PreparedImages(collector, shell) if collector and shell else None


def prepare_images(
    session: Session, client: RegistryClient, options: EmbedOptions, step: Step
) -> PreparedImages:
    """Copies what is missing into the registry: server side, else through this machine.

    The shell comes first; it is read through this machine where that can reach its registry.
    """
    shell = None
    if options.shell_image is not None:
        step.say(f"preparing the shell of {options.shell_image} in {client.host}")
        importer = partial(_import, session, client, step, None)
        with session.open_registry(options.shell_image.registry) as source:
            shell = prepare_shell(client, options.shell_image, source, importer, step.report)
    step.say(f"preparing {options.collector} in {client.host}")
    login = options.collector_login
    importer = partial(_import, session, client, step, login)
    with session.open_registry(options.collector.registry, login) as source:
        collector = prepare_collector(client, options.collector, source, importer, step.report)
    return PreparedImages(collector, shell)


def _import(
    session: Session,
    client: RegistryClient,
    step: Step,
    login: Basic | None,
    source: Reference,
    target: str,
) -> None:
    """Has the registry import `source` as `target` (repository:tag), server side."""
    arm = Arm(session)
    known = registries.all_registries(arm, session.subscription)
    try:
        registry = registries.pick(known, session.subscription, client.host, session.caller)
    except NotFound as hidden:
        # The registry answers, so it exists: the caller has no right to see it.
        raise Unauthorized(hidden.message, hidden.recommendation) from None
    ids = {each.login_server.lower(): each.id for each in known}
    registries.import_image(
        arm,
        registry,
        source,
        target,
        lambda state: step.say(f"{registry.name} imports {source}: {state.lower()}"),
        login,
        ids.get(source.registry.lower()),
    )
