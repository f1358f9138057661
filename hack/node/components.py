"""The node's programs: command lines and configuration files, and nothing else."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml
from hack.node.places import ADDRESS, NODE_NAME, POD_NETWORK, Places
from hack.node.requirements import PLUGINS

PAUSE_IMAGE = "localhost/pause:3"

_CONTAINERD = """\
version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without it every sandbox fails where the capability SYS_RESOURCE is missing.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{network_plugins}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "runc"
      SystemdCgroup = false
"""

_DNS = """\
.:53 {{
    bind {address}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
    cache 5
}}
"""


def containerd(places: Places) -> list[str]:
    """The container runtime."""
    return ["containerd", "--config", str(places.containerd_configuration)]


def kubelet(program: Path, places: Places, *, kubeconfig: Path) -> list[str]:
    """The kubelet."""
    return [
        str(program),
        f"--config={places.kubelet_configuration}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={ADDRESS}",
        f"--root-dir={places.directory / 'kubelet'}",
    ]


def kube_proxy(program: Path, *, kubeconfig: Path) -> list[str]:
    """Services."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        "--proxy-mode=nftables",
        f"--hostname-override={NODE_NAME}",
        f"--cluster-cidr={POD_NETWORK}",
        # Limits of the whole machine, which are not ours to set.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]


def coredns(program: Path, places: Places) -> list[str]:
    """Names of Services and of the pods behind headless ones."""
    return [str(program), "-conf", str(places.dns_configuration)]


def write_configurations(places: Places) -> None:
    """Configuration of all that needs no certificate."""
    places.network_plugins.mkdir(parents=True)
    places.containerd_configuration.write_text(
        _CONTAINERD.format(
            root=places.containerd_root,
            state=places.directory / "containerd",
            socket=places.containerd_socket,
            pause=PAUSE_IMAGE,
            plugins=PLUGINS,
            network_plugins=places.network_plugins,
        ),
        encoding="utf-8",
    )
    (places.network_plugins / "10-node.conflist").write_text(json.dumps(_pod_network(places)), encoding="utf-8")
    places.name_servers.write_text(f"nameserver {ADDRESS}\n", encoding="utf-8")


def write_dns_configuration(places: Places, *, kubeconfig: Path) -> None:
    """CoreDNS reads Services from the API server."""
    text = _DNS.format(address=ADDRESS, kubeconfig=kubeconfig)
    places.dns_configuration.write_text(text, encoding="utf-8")


def write_kubelet_configuration(places: Places, *, authority: Path, certificate: Path, key: Path) -> None:
    """Made for a machine that does other things too: nothing of it is reserved or cleaned up."""
    configuration: Mapping[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": str(authority)},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "address": ADDRESS,
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "containerRuntimeEndpoint": f"unix://{places.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "maxOpenFiles": 20_000,
        # Volumes of Secrets and ConfigMaps follow quickly.
        "syncFrequency": "5s",
        # A node that is lost is known to be after 40 s; see node-monitor-grace-period.
        "nodeStatusUpdateFrequency": "5s",
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1Gi",
            "imagefs.available": "1Gi",
            "nodefs.inodesFree": "1%",
            "imagefs.inodesFree": "1%",
        },
        "clusterDNS": [ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(places.name_servers),
        "volumePluginDir": str(places.directory / "volume-plugins"),
        "podLogsDir": str(places.directory / "pod-logs"),
    }
    places.kubelet_configuration.write_text(yaml.safe_dump(configuration), encoding="utf-8")


def _pod_network(places: Places) -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(places.directory / "addresses"),
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {"cniVersion": "0.4.0", "name": "node", "plugins": [bridge, ports]}
