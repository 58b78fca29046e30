"""`build` where it refuses, `list`, `show`, `rm` and `diff`, and which environment `run` takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from llama_stack.cli.building.builder import target
from llama_stack.cli.building.questions import Answers, ask
from llama_stack.cli.building.shelf import Record
from llama_stack.cli.failure import Failure
from llama_stack.cli.own_environment import own_command
from llama_stack.cli.recipes.recipe import Storage
from llama_stack.routing.catalog import Catalog
from tests.unit.cli.conftest import ConfigFile, Llama

RECORD = Record("mine", "1.0.0", "providers inference=remote::ollama", "3.11", "linux-x86_64", 3)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home/.llama/distributions"
    directory.mkdir(parents=True)
    return directory


def put(home: Path, name: str, *, built: bool = False, environment: bool = False) -> Path:
    directory = home / name
    directory.mkdir()
    entry = {"provider_id": "o", "provider_type": "remote::ollama", "config": {"base_url": "http://h/v1"}}
    config = {"version": 2, "distro_name": name, "providers": {"inference": [entry]}}
    (directory / "config.yaml").write_text(f"# For tests. Really.\n{yaml.safe_dump(config)}")
    if built:
        (directory / "build.json").write_text(RECORD.text())
    if environment:
        (directory / "venv/bin").mkdir(parents=True)
        (directory / "venv/bin/llama").write_text("#!/bin/sh\n")
    return directory


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine"], "nothing to build from, and no terminal"),
        (["mine", "--providers", "inference=olama"], "Did you mean ollama"),
        (["mine", "--providers", "inferense=ollama"], "there is no API 'inferense'"),
        (["--providers", "inference=ollama"], "which name"),
        (["mine", "yours", "--providers", "inference=ollama"], "one name, please"),
        (["../mine", "--providers", "inference=ollama"], "no name for a distribution"),
        (["starter", "--providers", "inference=ollama"], "comes with the server"),
        (["mine", "--providers", "inference=ollama", "--storage", "tape"], "none of sqlite"),
        (["mine", "--providers", "inference=ollama", "--template", "starter"], "excludes"),
        (["mine", "--template", "nowhere"], "no distribution 'nowhere'"),
    ],
)
def test_build_refuses_before_it_does_anything(llama: Llama, home: Path, arguments: list[str], said: str) -> None:
    result = llama("build", *arguments)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert list(home.iterdir()) == []


def test_a_name_that_is_taken_and_a_directory_that_is_not_ours(home: Path, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home")}
    put(home, "mine", built=True)
    with pytest.raises(Failure, match="already"):
        target("mine", None, environ, replace=False)
    assert target("mine", None, environ, replace=True) == home / "mine"
    put(home, "by-hand")
    for replace in (False, True):
        with pytest.raises(Failure, match=r"not made by `llama stack build`.*config\.yaml"):
            target("by-hand", None, environ, replace=replace)
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="is not a directory"):
        target("new", tmp_path / "file", environ, replace=True)
    (tmp_path / "empty").mkdir()
    assert target("new", tmp_path / "empty", environ, replace=False) == tmp_path / "empty"


def test_list_tells_what_is_packaged_built_and_written_by_hand(llama: Llama, home: Path) -> None:
    put(home, "mine", built=True, environment=True)
    put(home, "by-hand")
    put(home, "starter")
    (home / "empty").mkdir()
    rows = {row["name"]: row for row in json.loads(llama("list", "--json").stdout)}
    assert rows["starter"]["origin"] == "packaged"
    assert rows["starter"]["description"]
    assert (rows["mine"]["origin"], rows["mine"]["environment"]) == ("built", str(home / "mine/venv"))
    assert (rows["by-hand"]["origin"], rows["by-hand"]["environment"]) == ("yours", None)
    assert rows["mine"]["description"] == "For tests"
    assert rows["mine"]["bytes"] > 0
    assert "empty" not in rows
    lines = llama("list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "ORIGIN", "ENVIRONMENT", "SIZE", "DESCRIPTION"]
    assert max(map(len, lines)) < 200


def test_a_config_that_cannot_be_read_is_listed_nevertheless(llama: Llama, home: Path) -> None:
    (put(home, "mine") / "config.yaml").write_text("providers: [")
    assert "cannot be read" in llama("list").stdout


def test_show(llama: Llama, home: Path) -> None:
    put(home, "mine", built=True)
    shown = json.loads(llama("show", "mine", "--json").stdout)
    assert shown["build"]["made_from"] == RECORD.made_from
    (entry,) = shown["providers"]
    assert (entry["api"], entry["provider_id"], entry["type"]) == ("inference", "o", "remote::ollama")
    text = llama("show", "starter").stdout
    assert "remote::openai" in text
    assert "OPENAI_API_KEY" in text
    assert "Must be set: none" in text or "must be set: none" in text


def test_rm_asks_and_keeps_off_what_is_not_ours(llama: Llama, home: Path, tmp_path: Path) -> None:
    directory = put(home, "mine", built=True)
    assert "--yes" in llama("rm", "mine").stderr
    assert "comes with the server" in llama("rm", "starter", "--yes").stderr
    assert "no distribution '../mine'" in llama("rm", "../mine", "--yes").stderr
    assert "name one distribution" in llama("rm").stderr
    assert directory.is_dir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config.yaml").write_text("version: 2\n")
    (home / "link").symlink_to(elsewhere)
    result = llama("rm", "--all", "--yes")
    assert result.exit_code == 0
    assert list(home.iterdir()) == []
    assert (elsewhere / "config.yaml").is_file()


def test_diff(llama: Llama, config_file: ConfigFile, tmp_path: Path) -> None:
    def entry(name: str, type_: str, **config: str) -> dict[str, object]:
        return {"provider_id": name, "provider_type": type_, "config": config}

    one = config_file(
        {"inference": [entry("a", "remote::openai", api_key="sk-old", base_url="http://old")], "files": []},
        server={"port": 1},
    ).rename(tmp_path / "one.yaml")
    two = config_file(
        {
            "inference": [
                entry("a", "remote::openai", api_key="sk-new", base_url="http://u:pw@new"),
                entry("${env.V:+v}", "remote::vllm", api_key="${env.V_KEY:=sk-default}"),
            ],
            "safety": [],
        },
        server={"port": 2},
    )
    result = llama("diff", str(one), str(two), "--json")
    found = json.loads(result.stdout)
    assert found["apis"] == {"only_a": ["files"], "only_b": ["safety"]}
    (added,) = found["providers"]["only_b"]
    assert (added["provider_id"], added["turned_on_by"]) == ("v", ["V"])
    changed = {each["path"]: (each["a"], each["b"]) for each in found["settings"]}
    assert changed["server.port"] == (1, 2)
    assert changed["providers.inference.a.config.base_url"] == ("http://old", "http://u:********@new")
    assert changed["providers.inference.a.config.api_key"] == ("********", "********")
    text = llama("diff", str(one), str(two)).stdout
    assert "  + inference: v, remote::vllm (if V)" in text.splitlines()
    assert "  server.port: 1 → 2" in text.splitlines()
    for secret in ("sk-old", "sk-new", "pw@", "sk-default"):
        assert secret not in result.stdout + text
    assert llama("diff", str(one), str(one)).stdout == "No difference.\n"


def test_a_key_that_is_the_default_of_a_reference_is_not_shown(
    llama: Llama, config_file: ConfigFile, tmp_path: Path
) -> None:
    def config(key: str) -> Path:
        entry = {"provider_id": "a", "provider_type": "remote::openai", "config": {"api_key": key}}
        return config_file({"inference": [entry]})

    one = config("${env.KEY:=sk-old}").rename(tmp_path / "one.yaml")
    text = llama("diff", str(one), str(config("${env.OTHER:=}"))).stdout
    assert "${env.KEY:=********} → ${env.OTHER:=}" in text
    assert "sk-old" not in text


def test_diff_with_what_the_reference_starter_was(llama: Llama) -> None:
    found = json.loads(llama("diff", "starter", "--upstream", "--json").stdout)
    assert found == json.loads(llama("diff", "starter", "reference-starter", "--json").stdout)
    gone = {(each["api"], each["type"]) for each in found["providers"]["only_b"]}
    assert ("scoring", "inline::basic") in gone
    assert ("inference", "remote::openai") not in gone
    assert "post_training" in found["apis"]["only_b"]
    ids = {each["path"]: (each["a"], each["b"]) for each in found["settings"]}
    assert ids["providers.files.localfs.provider_id"] == ("localfs", "meta-reference-files")
    assert llama("diff", "starter").exit_code == 2


def test_run_takes_the_environment_of_a_name_and_never_that_of_a_path(home: Path, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home")}
    built = put(home, "mine", built=True, environment=True)
    put(home, "by-hand", environment=True)
    put(home, "bare", built=True)
    put(home, "starter", built=True, environment=True)
    assert own_command("mine", environ) == built / "venv/bin/llama"
    assert own_command("mine::config.yaml", environ) == built / "venv/bin/llama"
    for reference in (None, "by-hand", "bare", "starter", "..", "", str(built / "config.yaml"), str(built)):
        assert own_command(reference, environ) is None, reference


def test_the_questions() -> None:
    catalog = Catalog()
    types = [descriptor.type for descriptor in catalog.all() if descriptor.api == "inference"]
    chosen = f"remote::ollama, {types.index('inline::llama-cpp') + 1}"
    app = typer.Typer()
    seen: list[Answers] = []
    app.command()(lambda: seen.append(ask(catalog)))
    result = CliRunner().invoke(app, input=f"7\n1 3\nnope\n{chosen}\ninline::localfs\n2 3\n2\nmine\n")
    assert result.exit_code == 0, result.output
    (answers,) = seen
    assert sorted(each.type for each in answers.providers) == ["inline::llama-cpp", "inline::localfs", "remote::ollama"]
    assert (answers.name, answers.storage) == ("mine", Storage.POSTGRES)
    assert "Please give numbers from 1 to" in result.output


def test_enter_takes_what_the_starter_has_and_a_name_that_will_not_do_is_asked_again() -> None:
    def check(name: str) -> None:
        if name != "mine":
            raise Failure(f"{name!r} is taken", "Take another")

    app = typer.Typer()
    seen: list[Answers] = []
    app.command()(lambda: seen.append(ask(Catalog(), storage=Storage.SQLITE, check_name=check)))
    result = CliRunner().invoke(app, input="inference vector_io\nollama\n\nyours\nmine\n", env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    assert [each.type for each in seen[0].providers] == ["remote::ollama", "inline::faiss"]
    assert seen[0].name == "mine"
    assert "'yours' is taken. Take another." in result.output
    listed = [line for line in result.output.splitlines() if "::" in line]
    assert len(listed) > 30
    assert all(len(line) <= 80 for line in listed)
