"""The lock, the wheels and the environment: pip's real work, on wheels of a few bytes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from llama_stack.cli.building import environment, wheels
from llama_stack.cli.building.lock import lock_text, locked_versions, resolve
from llama_stack.cli.building.needs import Needs
from llama_stack.cli.building.pip import NoIndex, Pip, usable_pip
from llama_stack.cli.building.sizes import directory_bytes
from llama_stack.cli.failure import Failure
from tests.unit.cli.building.tiny_wheels import only_index, tiny_wheel

LLAMA = "import sys\ndef main():\n    print(*sys.argv[1:])\n"
SCRIPT = "[console_scripts]\nllama = llama_stack:main\n"


@pytest.fixture
def own(tmp_path: Path) -> list[Path]:
    """Two wheels in place of our packages."""
    requires = ("llama-stack-api==1.0", "alpha>=1", "beta; extra == 'redis'")
    stack = tiny_wheel(tmp_path / "own", "llama-stack", "1.0", *requires, scripts=SCRIPT, code=LLAMA)
    return [stack, tiny_wheel(tmp_path / "own", "llama-stack-api")]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "index"
    for name, requires in (("alpha", ["gamma"]), ("beta", []), ("gamma", []), ("delta", [])):
        tiny_wheel(directory, name, "1.2", *requires)
    tiny_wheel(directory, "weights", "3.0", "torch-of-gigabytes")
    only_index(directory, monkeypatch)
    return directory


@pytest.fixture
def pip() -> Pip:
    return Pip(Path(sys.executable))


def needs(*packages: str, extras: tuple[str, ...] = (), weights: tuple[str, ...] = ()) -> Needs:
    return Needs(packages, extras, weights, ())


def test_the_lock_is_exactly_what_is_needed(own: list[Path], index: Path, pip: Pip) -> None:
    assert locked_versions(lock_text(resolve(needs(), own, pip))) == {"alpha": "1.2", "gamma": "1.2"}
    more = resolve(needs("delta>=1", extras=("redis",), weights=("weights",)), own, pip)
    assert [package.name for package in more] == ["alpha", "beta", "delta", "gamma", "weights"]


def test_every_line_has_its_hash_and_none_an_address(own: list[Path], index: Path, pip: Pip) -> None:
    text = lock_text(resolve(needs(), own, pip))
    digest = hashlib.sha256((index / "alpha-1.2-py3-none-any.whl").read_bytes()).hexdigest()
    assert f"alpha==1.2 --hash=sha256:{digest}" in text.splitlines()
    assert "://" not in text
    assert str(index) not in text


def test_what_no_index_has_is_told(own: list[Path], index: Path, pip: Pip) -> None:
    with pytest.raises(NoIndex, match="omega") as caught:
        resolve(needs("omega>=1"), own, pip)
    assert "PIP_INDEX_URL" in str(caught.value.remedy)


def test_an_index_that_does_not_answer_is_told(
    own: list[Path], index: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://ada:s3cret@127.0.0.1:9/simple")
    with pytest.raises(NoIndex) as caught:
        resolve(needs("omega>=1"), own, pip)
    assert "s3cret" not in caught.value.what


def test_an_environment_holds_the_lock_and_the_wheels_and_no_pip(
    own: list[Path], index: Path, pip: Pip, tmp_path: Path
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(lock_text(resolve(needs(), own, pip)))
    environment.install(tmp_path, lock, own, pip)
    done = subprocess.run([tmp_path / "venv/bin/llama", "a", "b"], capture_output=True, text=True, check=True)
    assert done.stdout == "a b\n"
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    assert {path.name for path in site.glob("*.dist-info")} == {
        "alpha-1.2.dist-info",
        "gamma-1.2.dist-info",
        "llama_stack-1.0.dist-info",
        "llama_stack_api-1.0.dist-info",
    }
    assert directory_bytes(tmp_path / "venv") < 200_000


def test_a_wheel_that_is_not_the_locked_one_is_refused_and_nothing_stays(
    own: list[Path], index: Path, pip: Pip, tmp_path: Path
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(lock_text(resolve(needs(), own, pip)))
    tiny_wheel(index, "gamma", "1.2", code="stolen = True\n")
    with pytest.raises(Failure, match=r"(?i)hash"):
        environment.install(tmp_path, lock, own, pip)
    assert not (tmp_path / "venv").exists()


def test_our_wheels_hold_the_source(tmp_path: Path, pip: Pip) -> None:
    """A developer has them as editable installs: then they are built from the source."""
    path = wheels.make("llama-stack-api", tmp_path, pip)
    assert path.name == f"llama_stack_api-{version('llama-stack-api')}-py3-none-any.whl"
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
    assert "llama_stack_api/provider.py" in names
    assert not any("__pycache__" in name for name in names)


def test_a_wheel_can_be_made_again_of_what_is_installed(tmp_path: Path) -> None:
    path = wheels.pack("typer", tmp_path)
    assert path.read_bytes() == wheels.pack("typer", tmp_path).read_bytes()
    target = tmp_path / "target"
    with usable_pip() as pip:
        pip.install("--no-deps", "--no-index", "--target", str(target), str(path))
    code = "import typer; print(typer.__file__, typer.__version__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={"PYTHONPATH": str(target)}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(target / "typer" / "__init__.py"), version("typer")]


@pytest.mark.parametrize(
    ("package", "said"), [("pydantic-core", "not pure Python"), ("no-such-package", "not installed")]
)
def test_what_cannot_be_packed_is_told(tmp_path: Path, package: str, said: str) -> None:
    with pytest.raises(Failure, match=said):
        wheels.pack(package, tmp_path)
