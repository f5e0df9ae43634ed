"""A site and a release of it, for tests to vary with `dataclasses.replace`."""

from __future__ import annotations

from datetime import datetime, timezone

from azext_otelembed.azure.sites import SiteId
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.webapp.observe import Observed

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
SITE = Observed(
    id=SiteId("sub", "rg", "shop"),
    state="Running",
    host="shop.azurewebsites.net",
    linux_fx_version="DOCKER|r.azurecr.io/shop:1",
    windows=False,
    startup_command="",
    tags={},
    settings={"A": "1"},
)
RELEASE = Release(
    id="1",
    site="/s",
    state=record.PENDING,
    started=NOW,
    expires=NOW,
    image="new",
    digest="new",
    previous_image="old",
    setting_existed=False,
    setting_changed=False,
)
