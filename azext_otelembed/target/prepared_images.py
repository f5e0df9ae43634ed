"""What is mounted into app images: the collector, and a shell where one is to be brought along."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.registry_access import open_registry
from azext_otelembed.embedding.prepare_collector import find_prepared, prepare_collector
from azext_otelembed.embedding.prepare_shell import find_shell, prepare_shell
from azext_otelembed.errors import NotFound, Unauthorized
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.image.prepared_shell import PreparedShell
from azext_otelembed.image.reference import Reference
from azext_otelembed.parallel import together
from azext_otelembed.registry.auth import Basic
from azext_otelembed.registry.client import RegistryClient

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Step


class PreparedImages:
    """Looks for them in an app image's registry, and brings there what is missing.

    `shell` is there once it was found or brought, if `shell_image` is given.
    """

    def __init__(
        self,
        session: Session,
        collector: Reference,
        collector_login: Basic | None = None,
        shell_image: Reference | None = None,
    ) -> None:
        self.collector = collector
        self.shell: PreparedShell | None = None
        self._session = session
        self._login = collector_login
        self._shell_image = shell_image

    @property
    def brings_shell(self) -> bool:
        """Whether the app image needs no shell of its own."""
        return self._shell_image is not None

    def find(self, client: RegistryClient) -> PreparedCollector | None:
        """The collector, if the registry has everything: one request, two with a shell."""
        if self._shell_image is None:
            return find_prepared(client, self.collector)
        collector, self.shell = together(
            partial(find_prepared, client, self.collector),
            partial(find_shell, client, self._shell_image),
        )
        return collector if self.shell else None

    def bring_in(self, client: RegistryClient, step: Step) -> PreparedCollector:
        """The collector, copied into the registry: server side, else through this machine.

        And before it the shell, which is read through this machine if that can be.
        """
        if self._shell_image is not None:
            step.say(f"bringing the shell of {self._shell_image} into {client.host}")
            importer = partial(self._import, client, step, None)
            with open_registry(self._session, self._shell_image.registry) as source:
                self.shell = prepare_shell(client, self._shell_image, source, importer, step.report)
        step.say(f"bringing {self.collector} into {client.host}")
        importer = partial(self._import, client, step, self._login)
        with open_registry(self._session, self.collector.registry, self._login) as source:
            return prepare_collector(client, self.collector, source, importer, step.report)

    def _import(
        self,
        client: RegistryClient,
        step: Step,
        login: Basic | None,
        source: Reference,
        target: str,
    ) -> None:
        arm = Arm(self._session)
        subscription = self._session.subscription
        known = registries.all_registries(arm, subscription)
        try:
            registry = registries.pick(known, subscription, client.host)
        except NotFound as unseen:
            # It answers, so it is there: the caller may not see it.
            raise Unauthorized(unseen.message, unseen.recommendation) from None
        homes = {each.login_server.lower(): each.id for each in known}
        registries.import_image(
            arm,
            registry,
            source,
            target,
            lambda state: step.say(f"{registry.name} imports {source}: {state.lower()}"),
            login,
            homes.get(source.registry.lower()),
        )
