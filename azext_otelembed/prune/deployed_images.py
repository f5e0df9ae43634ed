"""The images that sites and slots run, in all subscriptions that the caller can read."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import (
    Json,
    object_at,
    required_object_at,
    string_at,
    text_at,
)
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.errors import AzureFailed, NotFound, Unauthorized
from azext_otelembed.parallel import map_concurrently
from azext_otelembed.webapp.observe import SITECONTAINERS

SITES_VERSION = "2024-11-01"
UNREGISTERED = "MissingSubscriptionRegistration"
GONE = "SubscriptionNotFound"


@dataclass(frozen=True, slots=True)
class DeployedImages:
    """`images` by the ARM id of the site or slot that runs them, spelt as App Service has them.

    `unreadable` names subscriptions, sites and slots that may run other images, with the reason
    why they can't be read: `(name, reason)`.
    """

    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unreadable: tuple[tuple[str, str], ...] = ()


def find_deployed_images(session: Session) -> DeployedImages:
    """Reads each site and slot of each subscription. Missing rights are noted in the result; other
    errors are raised.

    Requests: one, one a subscription (two if it is empty), one a site, and one more for each site
    or slot whose image isn't in a list; `parallel.MAX_CONCURRENT` at a time.
    """
    reader = _Reader(Arm(session))
    ids = {one.lower() for one in reader.arm.subscriptions()}
    own = session.subscription.lower()
    if own not in ids:
        # Others may be missing from the list, too.
        reason = f"It doesn't have the subscription '{session.subscription}' of the command."
        reader.unreadable.append(("the list of subscriptions", reason))
    sites = map_concurrently(sorted(ids | {own}), reader.list_sites)
    map_concurrently([site for listed in sites for site in listed], reader.read_site)
    return DeployedImages(reader.images, tuple(reader.unreadable))


def site_label(resource_id: str) -> str:
    """The label of a site or slot, from its ARM id."""
    site = SiteId.parse(resource_id)
    return site.label if site else resource_id.rpartition("/")[2]


class _Reader:
    """Collects the images that were read; its methods run in several threads."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.images: dict[str, tuple[str, ...]] = {}
        self.unreadable: list[tuple[str, str]] = []

    def list_sites(self, subscription: str) -> list[Json]:
        """The Web Apps of a subscription."""
        what = f"Web Apps of subscription '{subscription}'"
        path = f"/subscriptions/{subscription}/providers/Microsoft.Web/sites"
        try:
            return self._listed(what, path)
        except NotFound as missing:
            # A deleted subscription stays listed for a while. Without an error of Azure Resource
            # Manager in its body, the 404 is another server's.
            if missing.message.endswith(": HTTP 404"):
                raise
            if GONE not in missing.message:
                self.unreadable.append((f"subscription '{subscription}'", missing.message))
        except Unauthorized as refusal:
            self.unreadable.append((f"subscription '{subscription}'", refusal.message))
        except AzureFailed as failure:
            # A provider can't be unregistered while the subscription has resources of it.
            if UNREGISTERED not in failure.message:
                raise
        return []

    def read_site(self, site: Json) -> None:
        """Reads the images of a Web App and its slots."""
        identifier = text_at("Web Apps", site, "id")
        name = site_label(identifier)
        try:
            slots = self.arm.get_all(
                f"Slots of Web App '{name}'", f"{identifier}/slots", SITES_VERSION
            )
        except (NotFound, Unauthorized) as refusal:
            # A missing site may have been moved to a subscription that was read before.
            self.unreadable.append((f"'{name}'", refusal.message))
            slots = []
        for one in (site, *slots):
            runs = text_at(f"Slots of Web App '{name}'", one, "id")
            try:
                images = self._images(runs, one)
            except (NotFound, Unauthorized) as refusal:
                self.unreadable.append((f"'{site_label(runs)}'", refusal.message))
            else:
                self.images[runs] = images

    def _listed(self, what: str, path: str) -> list[Json]:
        """A list that is seldom empty: then it is read again, as one answer may be wrong."""
        return self.arm.get_all(what, path, SITES_VERSION) or self.arm.get_all(
            what, path, SITES_VERSION
        )

    def _images(self, identifier: str, site: Json) -> tuple[str, ...]:
        name = site_label(identifier)
        version = self._version(identifier, site)
        kind, _, rest = version.partition("|")
        if kind.upper() == "DOCKER":
            return (rest.lstrip("/"),)
        if kind.upper() == SITECONTAINERS:
            what = f"Site containers of '{name}'"
            containers = self._listed(what, f"{identifier}/sitecontainers")
            return tuple(_container_image(what, one) for one in containers)
        if kind.upper() in ("COMPOSE", "KUBE"):
            images = compose_images(rest)
            if images is None:
                reason = f"The images of '{name}' can't be read out of its {kind} configuration."
                self.unreadable.append((f"'{name}'", reason))
            return images or ()
        return ()

    def _version(self, identifier: str, site: Json) -> str:
        """linuxFxVersion, from the list or, if that leaves it out, from config/web."""
        what = f"Configuration of '{site_label(identifier)}'"
        properties = required_object_at(what, site, "properties")
        listed = object_at(what, properties, "siteConfig").get("linuxFxVersion")
        windows = properties.get("reserved") is False and "linux" not in str(site.get("kind"))
        if listed:
            return text_at(what, {"linuxFxVersion": listed}, "linuxFxVersion")
        if windows:
            return ""
        found = self.arm.get(what, f"{identifier}/config/web", SITES_VERSION)
        return string_at(what, required_object_at(what, found, "properties"), "linuxFxVersion")


def _container_image(what: str, container: Json) -> str:
    """Its image; null, and then empty here, until it has one."""
    properties = required_object_at(what, container, "properties")
    unset = "image" in properties and properties["image"] is None
    return "" if unset else string_at(what, properties, "image")


def compose_images(encoded: str) -> tuple[str, ...] | None:
    """Every `image` in a base64 document of Docker Compose or Kubernetes, at any depth.

    None if they aren't certain: the document isn't base64 or YAML, it names no image, or a name
    contains variables.
    """
    import yaml

    try:
        text = base64.b64decode(encoded, validate=True).decode()
        todo: list[yaml.Node | None] = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except (ValueError, yaml.YAMLError, RecursionError):
        return None
    found: set[str] = set()
    seen: set[int] = set()  # an alias may repeat its node, also inside of the node itself
    while todo:
        node = todo.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            todo += node.value
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == "image" and isinstance(value, yaml.ScalarNode):
                    found.add(value.value)
                todo.append(value)
    if not found or any("$" in image for image in found):
        return None
    return tuple(sorted(found))
