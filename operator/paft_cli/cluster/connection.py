"""Which cluster is meant, who we are there, and in which namespace: what the kubeconfig says, as kubectl reads it."""

import os
import shlex
from dataclasses import dataclass
from typing import Any

import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from paft_cli.errors import CommandError
from paft_cli.targets import ClusterOptions

_DEFAULT_FILE = "~/.kube/config"
_DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A cluster, a user and a namespace. `options`: what the command line named of it."""

    client: ApiClient
    context: str
    own_namespace: str
    options: ClusterOptions

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self.client.configuration.host)

    @property
    def namespace(self) -> str:
        """The namespace that is meant: the one that was named, else the context's."""
        return self.options.namespace or self.own_namespace

    def command(self, *words: str, namespace: str | None = None) -> str:
        """A command line for a person to copy, which means this cluster and this (or another) namespace."""
        meant = namespace or self.namespace
        named = ["-n", meant] if meant != self.own_namespace else []
        context = ["--context", self.options.context] if self.options.context is not None else []
        return shlex.join(["paft", *words, *named, *context])


def connect(options: ClusterOptions) -> Connection:
    """What the kubeconfig says; asks nobody. Raises CommandError."""
    file = os.environ.get("KUBECONFIG") or _DEFAULT_FILE
    configuration = Configuration()
    # Everything that fails is told at once, in our words.
    configuration.retries = False
    try:
        merged = KubeConfigMerger(file).config
        if merged is None:
            raise CommandError(
                f"no cluster is known: there is no kubeconfig {file}; set KUBECONFIG to one, or name a file "
                "(such as job.yaml or ./job) for a job on this machine"
            )
        context = _context(merged.value, options, file)
        loader = KubeConfigLoader(merged, active_context=context)
        loader.load_and_set(configuration)
    except (ConfigException, OSError, TypeError, yaml.YAMLError) as error:
        raise CommandError(f"the kubeconfig {file} cannot be used: {error}") from error
    namespace = loader.current_context["context"].get("namespace") or _DEFAULT_NAMESPACE
    return Connection(client=ApiClient(configuration), context=context, own_namespace=namespace, options=options)


def _context(kubeconfig: dict[str, Any], options: ClusterOptions, file: str) -> str:
    names = [str(context["name"]) for context in kubeconfig["contexts"]]
    chosen = options.context or kubeconfig.get("current-context")
    there_are = f"there are: {', '.join(names)}" if names else "it has none"
    if not chosen:
        raise CommandError(f"the kubeconfig {file} has no current context: name one with --context; {there_are}")
    if chosen not in names:
        raise CommandError(f"the kubeconfig {file} has no context {chosen}; {there_are}")
    return str(chosen)
