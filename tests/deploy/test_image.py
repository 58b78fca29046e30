"""The Containerfile is one that can be built, and what it builds runs as it says: no daemon is needed to see that."""

from __future__ import annotations

import fnmatch
import json
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.deploy.containerfile import Stage, stages_of
from tests.support import running as runner

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BUILD, FINAL = stages_of((DEPLOY / "Containerfile").read_text(encoding="utf-8"))


def _is_ignored(path: str) -> bool:
    """By .containerignore: the last rule that speaks of a path, or of a folder above it, counts."""
    ignored = False
    for rule in (DEPLOY.parent / ".containerignore").read_text().splitlines():
        pattern = rule.lstrip("!")
        if not rule or rule.startswith("#"):
            continue
        wanted = [pattern, f"{pattern}/*", *([pattern[3:], f"*/{pattern[3:]}"] if pattern.startswith("**/") else [])]
        if any(fnmatch.fnmatch(path, each) for each in wanted):
            ignored = not rule.startswith("!")
    return ignored


def _copied(stage: Stage) -> Iterator[str]:
    for copy in stage.all("COPY"):
        words = [word for word in copy.words if not word.startswith("--")]
        if not any(word.startswith("--from=") for word in copy.words):
            yield from words[:-1]


@pytest.mark.parametrize("stage", [BUILD, FINAL], ids=["build", "final"])
def test_what_is_copied_is_there_and_not_ignored(stage: Stage) -> None:
    sources = list(_copied(stage))
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        files = [source] if (ROOT / source).is_file() else [f"{source}/pyproject.toml"]
        assert not any(_is_ignored(file) for file in files), source


def test_secrets_and_rubbish_stay_out() -> None:
    for path in (".git/config", ".venv/bin/python", "deploy/.env", "deploy/api-keys.yaml", "tests/conftest.py"):
        assert _is_ignored(path), path
    assert _is_ignored("packages/llama-stack/src/llama_stack/__pycache__")
    assert (DEPLOY / "Containerfile.dockerignore").read_text() == (ROOT / ".containerignore").read_text()


def test_the_final_stage_is_hardened() -> None:
    assert FINAL.one("USER").value == "10001:10001"
    assert FINAL.one("VOLUME").value == FINAL.environment["LLAMA_STACK_CONFIG_DIR"] == FINAL.environment["HOME"]
    assert FINAL.one("EXPOSE").value == FINAL.environment["LLAMA_STACK_PORT"]
    assert BUILD.base == FINAL.base == "docker.io/library/python:${PYTHON}"
    assert not any("apt" in run.value or "pip install" in run.value for run in FINAL.all("RUN"))
    assert "uninstall --yes hatchling editables pip" in BUILD.all("RUN")[-1].value
    labels = dict(word.split("=", 1) for word in FINAL.one("LABEL").words)
    assert {"title", "version", "revision", "licenses"} <= {name.rpartition(".")[2] for name in labels}
    version = next(arg.value for arg in FINAL.all("ARG") if arg.value.startswith("VERSION="))
    assert (
        f'version = "{version.removeprefix("VERSION=")}"' in (ROOT / "packages/llama-stack/pyproject.toml").read_text()
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build stage's steps with our two packages, in a fresh environment; what the lock holds is the test's own."""
    directory = tmp_path_factory.mktemp("image")
    home, wheels = directory / "llama-stack", directory / "wheels"
    venv.create(home, with_pip=False)
    for package in ("packages/llama-stack-api", "packages/llama-stack"):
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    step = next(run.value for run in BUILD.all("RUN") if " pip wheel " in run.value)
    arguments = step.partition(" pip wheel ")[2].split()
    subprocess.run([*pip, "wheel", *arguments], cwd=directory, check=True)
    python = str(home / "bin" / "python")
    made = sorted(map(str, wheels.glob("*.whl")))
    assert len(made) == 2
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", *made], check=True)
    site = next(home.glob("lib/python*/site-packages"))
    theirs = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "of-the-lock.pth").write_text(f"{theirs}\n")
    return home


def _environment(installed: Path, volume: Path) -> dict[str, str]:
    """The image's, with the volume where the test has it."""
    place = FINAL.one("VOLUME").value
    moved = {name: value.replace(place, str(volume)) for name, value in FINAL.environment.items()}
    path = moved["PATH"].replace("/opt/llama-stack", str(installed))
    return moved | {"PATH": path, "LLAMA_STACK_PORT": "0", "OLLAMA_URL": "", "VLLM_URL": ""}


def test_the_wheels_hold_what_the_image_needs(installed: Path, tmp_path: Path) -> None:
    entry = [word for word in json.loads(FINAL.one("ENTRYPOINT").value) if word]
    command = [str(installed / "bin" / entry[0]), *entry[1:]]
    done = subprocess.run(
        [*command, "list", "--json"], env=_environment(installed, tmp_path), capture_output=True, text=True, check=True
    )
    listed = json.loads(done.stdout)
    assert {"starter", "postgres", "coding-agent"} <= {each["name"] for each in listed}
    assert all(str(installed) in each["path"] for each in listed)


_NAMESPACES = """
set -e
mount --bind "$VOLUME" "$VOLUME"
mount --bind "$SCRATCH" "$SCRATCH"
mount -o remount,bind,ro /
if touch /usr/written 2>/dev/null; then echo "the root is not read-only" >&2; exit 99; fi
exec unshare --user --map-user=10001 --map-group=10001 "$@"
"""


def _read_only(command: list[str], volume: Path, scratch: Path) -> list[str]:
    """`command` as uid 10001 on a root that cannot be written, but for the volume and /tmp."""
    places = [f"VOLUME={volume}", f"SCRATCH={scratch}"]
    return ["unshare", "--map-root-user", "--mount", "env", *places, "sh", "-c", _NAMESPACES, "sh", *command]


def _may_unshare(directory: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(_read_only(["true"], directory, directory), capture_output=True).returncode == 0


def _keys(command: list[str], environ: Mapping[str, str], volume: Path) -> str:
    """A key, whose hash is in a file that the server is to read."""
    made = json.loads(subprocess.check_output([*command, "keys", "new", "--json"], env=dict(environ), text=True))
    key = made.pop("key")
    (volume / "api-keys.yaml").write_text(json.dumps([made]))
    return str(key)


def test_it_serves_as_another_user_on_a_read_only_root(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, scratch = tmp_path / "volume", tmp_path / "tmp"
    volume.mkdir()
    scratch.mkdir()
    if not _may_unshare(volume):
        pytest.skip("this machine allows no user namespaces")
    environ = _environment(installed, volume) | {"TMPDIR": str(scratch)}
    llama = [str(installed / "bin" / "llama"), "stack"]
    environ["LLAMA_STACK_API_KEYS_FILE"] = str(volume / "api-keys.yaml")
    key = _keys(llama, environ, volume)
    monkeypatch.setattr(runner, "COMMAND", _read_only(llama, volume, scratch))
    server = runner.RunningServer(tuple(json.loads(FINAL.one("CMD").value)), environ)
    try:
        server.wait_ready()
        port = server.url.rpartition(":")[2]
        assert _health(installed, environ | {"LLAMA_STACK_PORT": port}) == 0
        address = f"http://127.0.0.1:{port}/v1"
        with httpx.Client(trust_env=False, timeout=30, headers={"Authorization": f"Bearer {key}"}) as client:
            said = {"model": "minilm/all-minilm-l6-v2", "input": "a"}
            assert len(client.post(f"{address}/embeddings", json=said).json()["data"][0]["embedding"]) == 384
            file = client.post(f"{address}/files", data={"purpose": "assistants"}, files={"file": ("a.txt", b"a")})
            assert file.status_code == 200, file.text
            assert httpx.get(f"{address}/models", trust_env=False).status_code == 401
    finally:
        code = server.stop(signal.SIGTERM)
    assert code in (0, -signal.SIGTERM), server.said
    assert list(volume.glob("distributions/starter/*.db"))
    assert _health(installed, environ | {"LLAMA_STACK_PORT": port}) == 1


def _health(installed: Path, environ: Mapping[str, str]) -> int:
    """The image's health check, word for word."""
    python, *arguments = json.loads(FINAL.one("HEALTHCHECK").value.partition("CMD ")[2])
    command = [str(installed / "bin" / python), *arguments]
    return subprocess.run(command, env=dict(environ), capture_output=True, check=False).returncode
