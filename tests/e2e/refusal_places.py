"""What the refused commands are about: sites and images of every kind, and files."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from localazure.images.assemble import (
    MANIFEST,
    Entry,
    Image,
    descriptor,
    layer,
    sha256,
    write_layout,
)
from tests.e2e.refusals import GOOD, KEY
from tests.e2e.support import SETTING, Cloud, Site

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
CONFIGURATION = """receivers:
  otlp: {protocols: {http: {}}}
exporters:
    azuremonitor: {}
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [azuremonitor]
"""


COMPOSE = """
services:
  web:
    image: docker.io/library/nginx:1.27
"""


def component_id(site: Site) -> str:
    group = site.id.partition("/providers/")[0]
    return f"{group}/providers/Microsoft.Insights/components/{site.component}"


def make_sites(cloud: Cloud, files: Path) -> dict[str, Site]:
    """One of each kind. Whether they come up makes no difference here."""

    def make(**spec: Any) -> Site:
        return cloud.make_site(wait=False, **spec)

    def configured(version: str, **spec: Any) -> Site:
        return make(config={"linuxFxVersion": version}, image=None, **spec)

    def layout(name: str, image: Image) -> Path:
        write_layout(files / name, image, "1.0")
        return files / name

    binary = layer([Entry("server", b"\x7fELF" + bytes(4096), 0o755)])
    plain = make()
    link = {"hidden-link: /app-insights-resource-id": f"{component_id(plain)}-gone"}
    empty = cloud.add_registry()
    sites = {
        "plain": plain,
        "two": make(),
        "none": make(component=False),
        "linked": make(component=False, tags=link),
        "windows": configured("", kind="app"),
        # Its images can be read: `prune` in another test of the same double deletes none otherwise.
        "compose": configured(f"COMPOSE|{base64.b64encode(COMPOSE.encode()).decode()}"),
        "sidecars": configured("SITECONTAINERS"),
        "code": configured("NODE|20-lts"),
        "empty": configured(""),
        "hub": make(image="docker.io/library/nginx:1.27"),
        "fresh": make(registry=empty),
        "scratch": make(
            registry=cloud.add_registry(),
            layout=layout("scratch", Image([binary], {"Entrypoint": ["/server"]})),
        ),
        "bare": make(layout=layout("bare", Image([binary]))),
        "gone": make(),
        "broken": make(settings={SETTING: "InstrumentationKey=not-a-guid-but-secret"}),
    }
    cloud.local.add_component({"name": "another", "group": sites["two"].group})
    sites["gone"].configure(linuxFxVersion=f"DOCKER|{sites['gone'].image('2.0')}")
    return sites


def push_images(site: Site, files: Path) -> None:
    """Images of kinds that can't be embedded, as tags of the site's repository."""
    root = layer([Entry("bin/sh", b"#!", 0o755)])
    arm = Image([root], {"Cmd": ["/bin/sh"]}, platform=("linux", "arm64"))
    windows = Image([root], {"Cmd": ["cmd"]}, platform=("windows", "amd64"))
    for tag, images in (("arm", arm), ("windows", windows), ("index", [arm, windows])):
        write_layout(files / tag, images, tag)
        site.push(tag, files / tag)
    ancient = {
        "schemaVersion": 1,
        "name": "shop",
        "tag": "ancient",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": root.digest}],
        "history": [{"v1Compatibility": "{}"}],
        "signatures": [],
    }
    _push(site, files, "ancient", ancient, SCHEMA_1, root.data)
    config = b"{}"
    chart = {
        "schemaVersion": 2,
        "mediaType": MANIFEST["oci"],
        "config": descriptor("application/vnd.cncf.helm.config.v1+json", config),
        "layers": [],
    }
    _push(site, files, "chart", chart, MANIFEST["oci"], config)


def _push(
    site: Site, files: Path, tag: str, manifest: dict[str, Any], media_type: str, blob: bytes
) -> None:
    """Push a manifest that `assemble` doesn't make."""
    layout = files / tag
    (layout / "blobs" / "sha256").mkdir(parents=True)
    data = json.dumps(manifest).encode()
    for content in (data, blob):
        (layout / "blobs" / sha256(content).replace(":", "/")).write_bytes(content)
    name = {"annotations": {"org.opencontainers.image.ref.name": tag}}
    index = {"schemaVersion": 2, "manifests": [{**descriptor(media_type, data), **name}]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    site.push(tag, layout)


def write_files(files: Path) -> None:
    """Collector configurations and connection strings."""
    contents: dict[str, str | bytes] = {
        "good.txt": GOOD,
        "rubbish.txt": f"{KEY}-and-more",
        "latin1.yml": b"receivers:\n  # caf\xe9\n",
        "large.yml": CONFIGURATION + "# " + "x" * (48 << 10) + "\n",
        "huge.yml": CONFIGURATION + "# " + "x" * (1 << 20) + "\n",
        "empty.yml": "",
        "syntax.yml": "receivers:\n  otlp:\n   protocols: [\nexporters: {}\n",
        "undefined.yml": CONFIGURATION.replace("[azuremonitor]", "[nosuch]"),
        "idle.yml": CONFIGURATION.partition("service:")[0] + "service: {}\n",
        "typo.yml": CONFIGURATION.replace("exporters: [", "processors: []\n      exportes: ["),
        "secret.yml": CONFIGURATION.replace(
            "azuremonitor: {}", f"azuremonitor:\n      connection_string: {GOOD}"
        ),
    }
    for name, content in contents.items():
        data = content.encode() if isinstance(content, str) else content
        (files / name).write_bytes(data)
    # Opens, and then fails on reading: even root can't read from its start.
    (files / "unreadable.yml").symlink_to("/proc/self/mem")
