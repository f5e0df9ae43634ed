"""The registry of a site's app image: one client for one command, and the release records there."""

from __future__ import annotations

from functools import partial

from azext_otelembed.azure.registries import acr_command
from azext_otelembed.azure.session import Session
from azext_otelembed.image.prepared_collector import REPOSITORY
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.records.record import REPOSITORY as RELEASES
from azext_otelembed.records.record_store import RecordStore
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.scope import pull, push
from azext_otelembed.target.app_image import image_for_site, parse_reference
from azext_otelembed.webapp.observe import Observed


class AppRegistry:
    """Opens the registry once, with the rights that a release takes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._client: RegistryClient | None = None

    def open(self, reference: Reference) -> RegistryClient:
        """The client of the app image's registry; the first call decides which one that is."""
        if self._client is None:
            client = self._open(reference.registry)
            client.declare_scopes(push(reference.repository), pull(REPOSITORY), push(RELEASES))
            self._client = client
        return self._client

    def records(self, observed: Observed) -> RecordStore:
        """The records of the site's releases, in the registry opened, else in that of its image."""
        client = self._client or self.open(image_for_site(self._session, observed, None, None))
        return RecordStore(client, observed.id.resource_id)

    def records_left(self, observed: Observed) -> RecordStore | None:
        """The site's records in its present registry, where the release moves it to another."""
        current = parse_reference(observed.image, f"The image of {observed.id}")
        if self._client is None or self._client.host.lower() == current.registry.lower():
            return None
        if not self._session.is_acr(current.registry):
            return None
        client = self._open(current.registry)
        client.declare_scopes(pull(RELEASES))
        return RecordStore(client, observed.id.resource_id)

    def digest_of(self, reference: Reference) -> Digest | None:
        """The digest of an image in any registry; None where that registry doesn't hold it."""
        client = self._client
        if client is None or client.host.lower() != reference.registry.lower():
            client = self._open(reference.registry)
        found = client.head_manifest(reference.repository, reference.selector)
        return None if found is None else found.digest

    def _open(self, host: str) -> RegistryClient:
        client = self._session.open_registry(host)
        client.acr_command = partial(acr_command, self._session, host)
        return client
