from pathlib import Path

import pytest

from llama_stack.config.locate import locate, packaged_distributions
from llama_stack.config.problem import ConfigError


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    return {"HOME": str(tmp_path / "home")}


def _write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x: 1\n")
    return path


def test_nothing_means_the_starter(environ: dict[str, str]) -> None:
    assert locate(None, environ) == locate("starter", environ) == packaged_distributions()["starter"]


def test_a_file_comes_before_a_distribution_of_that_name(tmp_path: Path, environ: dict[str, str]) -> None:
    _write(tmp_path / "starter")
    assert locate("starter", environ) == Path("starter")
    assert locate(tmp_path / "starter", environ) == tmp_path / "starter"


def test_a_directory_does_not(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "starter").mkdir()
    assert locate("starter", environ) == packaged_distributions()["starter"]


def test_own_distributions_in_the_order_of_their_layouts(tmp_path: Path, environ: dict[str, str]) -> None:
    own = tmp_path / "home" / ".llama" / "distributions"
    plain = _write(own / "mine" / "config.yaml")
    assert locate("mine", environ) == plain
    built = _write(own / "llamastack-mine" / "mine-config.yaml")
    assert locate("mine", environ) == built
    other = _write(own / "mine" / "other.yaml")
    assert locate("mine::other.yaml", environ) == other


def test_the_base_directory_can_be_moved(tmp_path: Path, environ: dict[str, str]) -> None:
    moved = _write(tmp_path / "elsewhere" / "distributions" / "mine" / "config.yaml")
    assert locate("mine", {**environ, "LLAMA_STACK_CONFIG_DIR": str(tmp_path / "elsewhere")}) == moved


@pytest.mark.parametrize("file", ["config.yaml", "run.yaml", "starter.yaml"])
def test_the_main_file_of_a_packaged_distribution(environ: dict[str, str], file: str) -> None:
    assert locate(f"starter::{file}", environ) == packaged_distributions()["starter"]


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ("startr", "Did you mean starter?"),
        ("starter::nothing.yaml", "Did you mean starter?"),
        ("xyzzy", "There are bedrock, "),
        ("mune", "mine"),
        ("./confg.yaml", "Did you mean config.yaml?"),
        ("starter::../../etc/passwd", "no distribution"),
        ("../starter", "no distribution"),
    ],
)
def test_what_is_not_there_has_the_closest_names(
    tmp_path: Path, environ: dict[str, str], reference: str, part: str
) -> None:
    _write(tmp_path / "config.yaml")
    _write(tmp_path / "home" / ".llama" / "distributions" / "mine" / "config.yaml")
    _write(tmp_path / "home" / ".llama" / "distributions" / "stateful" / "kvstore.db")
    with pytest.raises(ConfigError) as caught:
        locate(reference, environ)
    assert part in str(caught.value)
    assert "stateful" not in str(caught.value)
