"""Makes a target exist: prepares the collector if need be, embeds it, pushes the image."""

from __future__ import annotations

from collections.abc import Callable

from azext_otelembed.azure.session import Session
from azext_otelembed.console import Step
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.embedding.shell_check import check_shell
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.target.embed_options import EmbedOptions
from azext_otelembed.target.embed_target import Existing, Found, ToEmbed, ToPrepare
from azext_otelembed.target.finder import TargetFinder
from azext_otelembed.target.prepared_images import prepare_images


class Embedder:
    """Embeds into images of one registry. `standing` is told what a failure would leave behind."""

    def __init__(
        self,
        session: Session,
        client: RegistryClient,
        finder: TargetFinder,
        options: EmbedOptions,
        standing: Callable[[str], None],
    ) -> None:
        self._session = session
        self._client = client
        self._finder = finder
        self._options = options
        self._standing = standing

    def embed(self, target: Found, step: Step) -> Existing:
        """The target, in the registry; one that exists is returned as it is.

        Raises `Refused`, before anything is written, for a base without a shell.
        """
        if isinstance(target, ToPrepare):
            target = self._prepared(target, step)
        if isinstance(target, Existing):
            return target
        self._standing("the registry may hold parts of the new image; the site is unchanged")
        step.say(f"embedding the collector in {target.base}")
        push_embedded(self._client, target.embedded, step.report)
        return target.existing

    def _prepared(self, target: ToPrepare, step: Step) -> Existing | ToEmbed:
        if self._options.shell_image is None:
            check_shell(self._client, target.source, step.report)
        self._standing("the collector may have been copied to the registry; the site is unchanged")
        prepared = prepare_images(self._session, self._client, self._options, step)
        return self._finder.embedded_in(target.source, prepared, unwrap=target.unwrap)
