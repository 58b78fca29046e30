"""deploy/kubernetes: the manifests refer to each other, to our commands and to our settings as they are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from llama_stack.cli.main import commands
from llama_stack.cli.recipes.variables import variables_of
from llama_stack.config.load import load_config
from llama_stack.config.locate import packaged_distributions
from tests.deploy.containerfile import stages_of

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
BASE = KUBERNETES / "base"
FINAL = stages_of((DEPLOY / "Containerfile").read_text(encoding="utf-8"))[-1]
NAME = {"app.kubernetes.io/name": "llama-stack"}
PRE_STOP_S = 5
CLOSING_S = 15

Manifest = dict[str, Any]


def _documents(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def _resources(folder: Path) -> list[Manifest]:
    kustomization = _documents(folder / "kustomization.yaml")[0]
    return [each for file in kustomization.get("resources", ()) for each in _documents(folder / file)]


RESOURCES = _resources(BASE)
SECRETS = _documents(KUBERNETES / "secrets.example.yaml")


def _named(kind: str, name: str) -> Manifest:
    (found,) = [each for each in RESOURCES if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


WORKLOADS = [each for each in RESOURCES if each["kind"] in ("Deployment", "Job")]
by_name = {"ids": lambda workload: workload["metadata"]["name"]}
each_workload = pytest.mark.parametrize("workload", WORKLOADS, **by_name)  # type: ignore[arg-type]


def _pod(workload: Manifest) -> Manifest:
    pod: Manifest = workload["spec"]["template"]["spec"]
    return pod


def _containers(workload: Manifest) -> Iterator[Manifest]:
    yield from _pod(workload).get("initContainers", ())
    yield from _pod(workload)["containers"]


def _environment() -> dict[str, str]:
    data: dict[str, str] = _named("ConfigMap", "llama-stack-environment")["data"]
    return data


def test_there_is_what_a_deployment_needs() -> None:
    kinds = sorted(each["kind"] for each in RESOURCES)
    assert kinds == sorted(
        ["ServiceAccount", "ConfigMap", "PersistentVolumeClaim", "Job", "Deployment", "Deployment", "Service"]
        + ["PodDisruptionBudget"] * 2
    )


@each_workload
def test_pods_are_hardened(workload: Manifest) -> None:
    pod = _pod(workload)
    user, _, group = FINAL.one("USER").value.partition(":")
    security = pod["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (True, int(user), int(group))
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == _named("ServiceAccount", "llama-stack")["metadata"]["name"]
    for container in _containers(workload):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert FINAL.one("VOLUME").value in [mount["mountPath"] for mount in container["volumeMounts"]]
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]


@each_workload
def test_what_pods_refer_to_is_there(workload: Manifest) -> None:
    volumes = {volume["name"]: volume for volume in _pod(workload)["volumes"]}
    generated = {made["name"] for made in _documents(BASE / "kustomization.yaml")[0]["configMapGenerator"]}
    maps = generated | {each["metadata"]["name"] for each in RESOURCES if each["kind"] == "ConfigMap"}
    secrets = {each["metadata"]["name"]: each for each in SECRETS}
    mounted = {mount["name"] for container in _containers(workload) for mount in container["volumeMounts"]}
    assert mounted == volumes.keys()
    for volume in volumes.values():
        if "configMap" in volume:
            assert volume["configMap"]["name"] in maps
        if "secret" in volume:
            assert volume["secret"]["secretName"] in secrets
        if "persistentVolumeClaim" in volume:
            _named("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    for container in _containers(workload):
        assert container["envFrom"][0]["configMapRef"]["name"] in maps
        assert container["envFrom"][1]["secretRef"]["name"] in secrets


@each_workload
def test_they_run_commands_of_ours_on_the_config(workload: Manifest) -> None:
    stack: Any = get_command(commands()).commands["stack"]  # type: ignore[attr-defined]
    for container in _containers(workload):
        verb, config, *options = container["args"]
        command = stack.commands[verb]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(options) <= known
        folder, _, file = config.rpartition("/")
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts[folder] == "config"
        (made,) = _documents(BASE / "kustomization.yaml")[0]["configMapGenerator"]
        assert file in made["files"]


def test_the_config_is_that_of_the_distribution_and_reads(tmp_path: Path) -> None:
    """With the variables of the manifests, without a warning."""
    config = BASE / "run.yaml"
    packaged = packaged_distributions()["postgres"].read_text()
    assert config.read_text() == packaged, "make docs"
    secret = next(each for each in SECRETS if each["metadata"]["name"] == "llama-stack-secrets")["stringData"]
    known = {variable.name for variable in variables_of(packaged)}
    assert _environment().keys() | secret.keys() <= known
    key_file = tmp_path / "api-keys.yaml"
    key_file.write_text("[]")
    environ = _environment() | {"HOME": str(tmp_path), "LLAMA_STACK_API_KEYS_FILE": str(key_file)}
    loaded = load_config(config, environ=environ, strict=True).config
    assert loaded.server.workers == 1
    assert loaded.server.runs.execute is False
    assert loaded.server.auth is not None
    assert loaded.server.auth.provider_config is not None
    assert loaded.storage.stores.shared.backend == "kv_redis"


def test_keys_and_files_are_mounted_where_the_environment_says() -> None:
    for component in ("server", "worker"):
        pod = _pod(_named("Deployment", f"llama-stack-{component}"))
        mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        folder, _, file = _environment()["LLAMA_STACK_API_KEYS_FILE"].rpartition("/")
        assert mounts[folder] == "keys"
        assert (
            file in next(each for each in SECRETS if each["metadata"]["name"] == "llama-stack-api-keys")["stringData"]
        )
        assert mounts[_environment()["FILES_STORAGE_DIR"]] == "files"


def test_selectors_and_ports_meet() -> None:
    for component in ("server", "worker"):
        deployment = _named("Deployment", f"llama-stack-{component}")
        labels = NAME | {"app.kubernetes.io/component": component}
        assert deployment["spec"]["selector"]["matchLabels"] == labels
        assert deployment["spec"]["template"]["metadata"]["labels"] == labels
        budget = _named("PodDisruptionBudget", f"llama-stack-{component}")
        assert budget["spec"]["selector"]["matchLabels"] == labels
        assert budget["spec"]["maxUnavailable"] < deployment["spec"]["replicas"]
    server = _pod(_named("Deployment", "llama-stack-server"))["containers"][0]
    (port,) = server["ports"]
    assert str(port["containerPort"]) == FINAL.environment["LLAMA_STACK_PORT"] == FINAL.one("EXPOSE").value
    service = _named("Service", "llama-stack")["spec"]
    assert service["selector"] == NAME | {"app.kubernetes.io/component": "server"}
    assert [each["targetPort"] for each in service["ports"]] == [port["name"]]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"] == {"path": "/v1/health", "port": port["name"]}


def test_a_pod_has_the_time_that_its_process_takes_to_stop(tmp_path: Path) -> None:
    server = load_config(BASE / "run.yaml", environ={"HOME": str(tmp_path)}).config.server
    pod = _pod(_named("Deployment", "llama-stack-server"))
    assert pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", str(PRE_STOP_S)]
    needed = PRE_STOP_S + server.shutdown_grace_s + server.runs.drain_s + CLOSING_S
    assert pod["terminationGracePeriodSeconds"] >= needed
    worker = _pod(_named("Deployment", "llama-stack-worker"))
    assert worker["terminationGracePeriodSeconds"] >= server.runs.drain_s + CLOSING_S


def test_components_speak_of_what_is_there() -> None:
    (autoscaler,) = _resources(KUBERNETES / "components" / "autoscaling")
    target = autoscaler["spec"]["scaleTargetRef"]
    assert _named(target["kind"], target["name"])["spec"]["replicas"] == autoscaler["spec"]["minReplicas"]
    for policy in _resources(KUBERNETES / "components" / "network-policy"):
        assert policy["spec"]["podSelector"]["matchLabels"].items() >= NAME.items()
    for folder in ("autoscaling", "s3"):
        for patch in _documents(KUBERNETES / "components" / folder / "kustomization.yaml")[0]["patches"]:
            wanted = patch["target"]
            assert [each for each in RESOURCES if each["kind"] == wanted["kind"]]
            if "name" in wanted:
                _named(wanted["kind"], wanted["name"])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on this machine")
@pytest.mark.parametrize("folder", ["base", "example"])
def test_kustomize_renders_them(folder: str) -> None:
    done = subprocess.run(["kubectl", "kustomize", KUBERNETES / folder], capture_output=True, text=True, check=True)
    rendered = [each for each in yaml.safe_load_all(done.stdout) if each]
    config = next(each["metadata"]["name"] for each in rendered if "run.yaml" in each.get("data", {}))
    pods = [each for each in rendered if each["kind"] in ("Deployment", "Job")]
    assert len(pods) == 3
    for workload in pods:
        volumes = {volume.pop("name"): volume for volume in _pod(workload)["volumes"]}
        assert volumes["config"]["configMap"]["name"] == config
        assert workload["spec"]["template"]["metadata"]["labels"].items() >= NAME.items()
        if folder == "example" and "files" in volumes:
            assert volumes["files"] == {"emptyDir": {}}
    claims = [each for each in rendered if each["kind"] == "PersistentVolumeClaim"]
    assert len(claims) == (folder == "base")
