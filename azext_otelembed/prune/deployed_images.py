"""What runs on the sites and slots that the caller can see, in all subscriptions."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import Json, part, text
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.azure.subscriptions import subscriptions
from azext_otelembed.errors import AzureFailed, NotFound, Unauthorized
from azext_otelembed.parallel import for_each
from azext_otelembed.webapp.observe import SITECONTAINERS

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session

SITES_VERSION = "2024-11-01"
UNREGISTERED = "MissingSubscriptionRegistration"


@dataclass(frozen=True, slots=True)
class Running:
    """`images` by the ARM id of the site or slot that runs them, spelt as App Service has them.

    `unread` names what may run images that can't be seen, and why: `(name, reason)`.
    """

    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[tuple[str, str], ...] = ()


def find_running(session: Session) -> Running:
    """Asks each site and slot of each subscription; raises what isn't a matter of rights.

    Requests: one, one a subscription, one a site, and one more for each site or slot whose image
    isn't in a list; `parallel.AT_ONCE` at a time.
    """
    look = _Look(Arm(session))
    ids = {one.lower() for one in subscriptions(look.arm)}
    sites = for_each(sorted(ids | {session.subscription.lower()}), look.sites)
    for_each([site for of_one in sites for site in of_one], look.site)
    return Running(look.images, tuple(look.unread))


def shown(site: str) -> str:
    """A site's or slot's name, from its ARM id."""
    found = SiteId.parse(site)
    if found is None:
        return site.rpartition("/")[2]
    return f"{found.name}/{found.slot}" if found.slot else found.name


class _Look:
    """What has been seen so far; its methods run in several threads."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.images: dict[str, tuple[str, ...]] = {}
        self.unread: list[tuple[str, str]] = []

    def sites(self, subscription: str) -> list[Json]:
        """The Web Apps of a subscription."""
        what = f"Web Apps of subscription '{subscription}'"
        path = f"/subscriptions/{subscription}/providers/Microsoft.Web/sites"
        try:
            return self.arm.get_all(what, path, SITES_VERSION)
        except NotFound:  # it was deleted, and is listed for a while
            return []
        except Unauthorized as refusal:
            self.unread.append((f"subscription '{subscription}'", refusal.message))
        except AzureFailed as failure:
            # Azure doesn't let go of a provider that a subscription has resources of.
            if UNREGISTERED not in failure.message:
                raise
        return []

    def site(self, site: Json) -> None:
        """Notes what a Web App and its slots run."""
        identifier = text("Web Apps", site, "id")
        name = shown(identifier)
        try:
            slots = self.arm.get_all(
                f"Slots of Web App '{name}'", f"{identifier}/slots", SITES_VERSION
            )
        except (NotFound, Unauthorized) as refusal:
            # Not there any more: deleted, or moved to where nobody has looked.
            self.unread.append((f"'{name}'", refusal.message))
            slots = []
        for one in (site, *slots):
            runs = text(f"Slots of Web App '{name}'", one, "id")
            try:
                images = self._images(runs, one)
            except (NotFound, Unauthorized) as refusal:
                self.unread.append((f"'{shown(runs)}'", refusal.message))
            else:
                self.images[runs] = images

    def _images(self, identifier: str, site: Json) -> tuple[str, ...]:
        name = shown(identifier)
        version = self._version(identifier, site)
        kind, _, rest = version.partition("|")
        if kind.upper() == "DOCKER":
            return (rest.lstrip("/"),)
        if kind.upper() == SITECONTAINERS:
            what = f"Site containers of '{name}'"
            containers = self.arm.get_all(what, f"{identifier}/sitecontainers", SITES_VERSION)
            return tuple(
                str(part(what, one, "properties").get("image") or "") for one in containers
            )
        if kind.upper() in ("COMPOSE", "KUBE"):
            images = compose_images(rest)
            if images is None:
                reason = f"The images of '{name}' can't be read out of its {kind} configuration."
                self.unread.append((f"'{name}'", reason))
            return images or ()
        return ()

    def _version(self, identifier: str, site: Json) -> str:
        """linuxFxVersion; a list may leave it out, and then config/web has it."""
        what = f"Configuration of '{shown(identifier)}'"
        properties = part(what, site, "properties")
        listed = part(what, properties, "siteConfig").get("linuxFxVersion")
        windows = properties.get("reserved") is False and "linux" not in str(site.get("kind"))
        if listed or windows:
            return str(listed or "")
        found = self.arm.get(what, f"{identifier}/config/web", SITES_VERSION)
        return str(part(what, found, "properties").get("linuxFxVersion") or "")


def compose_images(encoded: str) -> tuple[str, ...] | None:
    """Every `image` in a base64 document of Docker Compose or Kubernetes, wherever it stands.

    None where they can't be told for certain: what isn't base64 or YAML, what names no image, and
    names with variables in them.
    """
    import yaml

    try:
        text = base64.b64decode(encoded, validate=True).decode()
        todo: list[yaml.Node | None] = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except (ValueError, yaml.YAMLError, RecursionError):
        return None
    found: set[str] = set()
    seen: set[int] = set()  # an alias stands for its node as often as it likes, and in itself too
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
