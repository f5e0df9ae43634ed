"""The environment of the programs that are started: what they need of the caller's, and no more.

A build service keeps its secrets in variables (AZURE_CLIENT_SECRET, tokens), and an engine with its
plug-ins, or git with the hooks of a checkout, would inherit them all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_ANY_PROGRAM = (
    r"PATH|HOME|USER|LOGNAME|SHELL|PWD|TMPDIR|TMP|TEMP|TZ|TERM|LANG|LANGUAGE|LC_\w+|XDG_\w+"
    r"|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT|USERPROFILE|HOMEDRIVE|HOMEPATH|APPDATA"
    r"|LOCALAPPDATA|PROGRAMDATA|PROGRAMFILES(?:\(X86\))?|PROGRAMW6432"
)
_ENGINE = re.compile(
    _ANY_PROGRAM
    # docker (docker/cli, docs/reference/commandline/docker.md), buildx and BuildKit (docker/docs,
    # content/manuals/build/building/variables.md), a builder in Kubernetes. By their whole names:
    # people keep passwords in others that begin with DOCKER_.
    + r"|DOCKER_(?:API_VERSION|AUTH_CONFIG|BUILDKIT|CERT_PATH|CLI_\w+|CONFIG|CONTENT_TRUST\w*"
    r"|CONTEXT|CUSTOM_HEADERS|DEFAULT_PLATFORM|HIDE_LEGACY_COMMANDS|HOST|TLS|TLS_VERIFY|TMPDIR)"
    r"|BUILDX_(?!BAKE_)\w+|BUILDKIT_\w+|EXPERIMENTAL_BUILDKIT_SOURCE_POLICY|SOURCE_DATE_EPOCH"
    r"|NO_COLOR|KUBECONFIG"
    # podman and buildah (podman(1), containers.conf(5), containers-auth.json(5)); without root,
    # its cgroups need the session bus.
    r"|CONTAINER_(?:HOST|SSHKEY|CONNECTION|TLS_\w+)|_?CONTAINERS_\w+|BUILDAH_\w+"
    r"|PODMAN_(?:CONNECTIONS_CONF|IGNORE_CGROUPSV1_WARNING|USERNS)|STORAGE_(?:DRIVER|OPTS)"
    r"|REGISTRY_AUTH_FILE|DBUS_SESSION_BUS_ADDRESS"
    # Go's programs: proxies and certificates. An engine on another machine: ssh.
    r"|(?:HTTPS?|FTP|ALL|NO)_PROXY|SSL_CERT_(?:FILE|DIR)|GODEBUG|SSH_AUTH_SOCK|SSH_AGENT_PID"
    # The stores of passwords that an engine's credential helpers use; Windows' helpers in WSL.
    r"|PASSWORD_STORE_DIR|GNUPGHOME|GPG_TTY|WSL_\w+",
    re.IGNORECASE,
)
_GIT = re.compile(
    # git(1), "Environment Variables"; GIT_CONFIG_COUNT and the like hold safe.directory.
    _ANY_PROGRAM + r"|GIT_(?:DIR|WORK_TREE|COMMON_DIR|CEILING_DIRECTORIES|INDEX_FILE|EXEC_PATH"
    r"|OBJECT_DIRECTORY|DISCOVERY_ACROSS_FILESYSTEM|OPTIONAL_LOCKS|CONFIG\w*)",
    re.IGNORECASE,
)


def engine_environment(
    environment: Mapping[str, str], build_args: Collection[str] = ()
) -> dict[str, str]:
    """The environment of a container engine.

    It has the variables that `build_args` name: `--build-arg NAME` without a value takes it from
    the engine's environment.
    """
    return {
        name: value
        for name, value in environment.items()
        if name in build_args or _ENGINE.fullmatch(name)
    }


def git_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of git."""
    return {name: value for name, value in environment.items() if _GIT.fullmatch(name)}
