"""Prompts: what a template may say, and how it is filled in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llama_stack.config.storage import SqlSqliteBackend
from llama_stack.services.prompts import PromptService
from llama_stack.storage.sql.open import open_sql
from llama_stack.storage.sql.prompts import PromptStore
from llama_stack_api.errors import InvalidRequest, NotFound
from llama_stack_api.openai.responses.settings import PromptReference
from llama_stack_api.principal import Call, Principal
from llama_stack_api.prompts import CreatePromptRequest, Prompt, SetDefaultVersionRequest, UpdatePromptRequest
from tests.support.users import USERS, as_user, edge_for_users

pytestmark = pytest.mark.anyio

ALICE = Principal(id="alice")
CALL = Call(principal=ALICE)
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
FILE = {"type": "input_file", "file_id": "file-1"}


@pytest.fixture
async def prompts(tmp_path: Path) -> AsyncIterator[PromptService]:
    database = await open_sql(SqlSqliteBackend(db_path=tmp_path / "sql.db"))
    yield PromptService(PromptStore(database))
    await database.close()


async def create(prompts: PromptService, text: str, *variables: str) -> Prompt:
    return await prompts.create(CreatePromptRequest(prompt=text, variables=list(variables)), CALL)


def reference(prompt: Prompt, **fields: Any) -> PromptReference:
    return PromptReference.model_validate({"id": prompt.prompt_id, **fields})


@pytest.mark.parametrize(
    ("text", "variables", "missing"),
    [
        ("Hello {{name}}", None, "name"),
        ("Hello {{ name }} and {{other}} and {{name}}", ["name"], "other"),
        ("{{größe}}", ["grösse"], "größe"),
    ],
)
async def test_variables_must_be_declared(
    prompts: PromptService, text: str, variables: list[str] | None, missing: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"declare: {missing}$") as raised:
        await prompts.create(CreatePromptRequest(prompt=text, variables=variables), CALL)
    assert raised.value.param == "variables"
    made = await create(prompts, "plain")
    with pytest.raises(InvalidRequest, match=missing):
        await prompts.update(
            UpdatePromptRequest(prompt_id=made.prompt_id, prompt=text, version=1, variables=variables), CALL
        )
    assert (await prompts.get(made.prompt_id, None, CALL)).version == 1


async def test_names_of_variables(prompts: PromptService) -> None:
    made = await create(prompts, "{{a}} {not} {{not one}} {{{}}", "a", "b", "a")
    assert made.variables == ["a", "b"]
    for names in (["a b"], [""], ["x" * 129], [f"v{number}" for number in range(257)]):
        with pytest.raises(InvalidRequest) as raised:
            await create(prompts, "text", *names)
        assert raised.value.param == "variables"


async def test_the_life_of_a_prompt(prompts: PromptService) -> None:
    made = await create(prompts, "one")
    update = UpdatePromptRequest(prompt_id=made.prompt_id, prompt="two", version=1, set_as_default=False)
    assert (await prompts.update(update, CALL)).version == 2
    assert [each.version for each in (await prompts.versions(made.prompt_id, CALL)).data] == [1, 2]
    chosen = await prompts.set_default_version(SetDefaultVersionRequest(prompt_id=made.prompt_id, version=2), CALL)
    assert (await prompts.list_prompts(CALL)).data == [chosen]
    await prompts.delete(made.prompt_id, CALL)
    assert (await prompts.list_prompts(CALL)).data == []


async def test_resolving(prompts: PromptService) -> None:
    made = await create(prompts, "Dear {{name}}, {{ name }} of {{place}}.", "name", "place", "spare")
    variables: dict[str, Any] = {"name": "{{place}} \\1", "place": {"type": "input_text", "text": "Köln"}}
    resolved = await prompts.resolve(ALICE, reference(made, variables=variables))
    assert resolved.text == "Dear {{place}} \\1, {{place}} \\1 of Köln.", "what is put in is not looked at again"
    assert resolved.parts == []
    variables["spare"] = "not used"
    assert (await prompts.resolve(ALICE, reference(made, variables=variables))).text == resolved.text


async def test_a_version_is_named_or_the_default(prompts: PromptService) -> None:
    made = await create(prompts, "one")
    await prompts.update(UpdatePromptRequest(prompt_id=made.prompt_id, prompt="two", version=1), CALL)
    assert (await prompts.resolve(ALICE, reference(made))).text == "two"
    assert (await prompts.resolve(ALICE, reference(made, version="1"))).text == "one"
    for version in ("", "0", "one", "1.0", "-1", "9" * 30):
        with pytest.raises(InvalidRequest) as raised:
            await prompts.resolve(ALICE, reference(made, version=version))
        assert raised.value.param == "prompt.version"


async def test_images_and_files(prompts: PromptService) -> None:
    made = await create(prompts, "See {{chart}} and {{report}}, again {{chart}}.", "report", "chart")
    resolved = await prompts.resolve(ALICE, reference(made, variables={"report": FILE, "chart": IMAGE}))
    assert resolved.text == "See [chart] and [report], again [chart]."
    assert resolved.parts == [{**IMAGE, "detail": "auto"}, FILE]
    with pytest.raises(InvalidRequest) as raised:
        await prompts.resolve(ALICE, reference(made, variables={"report": FILE, "chart": {"type": "input_audio"}}))
    assert raised.value.param == "prompt.variables.chart"


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [(None, "missing: a, b"), ({"a": "1"}, "missing: b"), ({"a": "1", "b": "2", "c": "3"}, "not in the prompt: c")],
)
async def test_variables_that_do_not_fit(
    prompts: PromptService, variables: dict[str, str] | None, complaint: str
) -> None:
    made = await create(prompts, "{{a}} {{b}}", "a", "b")
    with pytest.raises(InvalidRequest, match=complaint) as raised:
        await prompts.resolve(ALICE, reference(made, variables=variables))
    assert raised.value.param == "prompt.variables"


@pytest.mark.parametrize("principal", [Principal(id="bob"), Principal(id="alice", tenant="umbrella")])
async def test_a_prompt_of_others_is_like_none(prompts: PromptService, principal: Principal) -> None:
    made = await create(prompts, "mine")
    with pytest.raises(NotFound) as raised:
        await prompts.resolve(principal, reference(made))
    assert (raised.value.param, raised.value.code) == ("prompt.id", "prompt_not_found")
    with pytest.raises(NotFound):
        await prompts.resolve(ALICE, PromptReference(id="pmpt_123"))
    with pytest.raises(NotFound) as no_version:
        await prompts.resolve(ALICE, reference(made, version="2"))
    assert no_version.value.param == "prompt.version"


async def test_over_http(tmp_path: Path) -> None:
    async with edge_for_users(tmp_path) as server, as_user(server, "alice") as http:
        made = (await http.post("/v1/prompts", json={"prompt": "Hi {{name}}", "variables": ["name"]})).json()
        path = f"/v1/prompts/{made['prompt_id']}"
        assert made == {
            "prompt_id": made["prompt_id"],
            "prompt": "Hi {{name}}",
            "version": 1,
            "variables": ["name"],
            "is_default": True,
        }
        put = await http.put(path, json={"prompt": "two", "version": 1, "variables": []})
        assert (put.status_code, put.json()["version"], put.json()["is_default"]) == (200, 2, True)
        post = await http.post(path, json={"prompt": "three", "version": 2, "set_as_default": False})
        assert (post.status_code, post.json()["version"], post.json()["is_default"]) == (200, 3, False)
        stale = await http.put(path, json={"prompt": "lost", "version": 1})
        assert (stale.status_code, stale.json()["error"]["code"]) == (409, "conflict")
        assert (await http.get(path)).json()["prompt"] == "two"
        assert (await http.get(path, params={"version": 1})).json() == {**made, "is_default": False}
        versions = (await http.get(f"{path}/versions")).json()["data"]
        assert [(each["version"], each["is_default"]) for each in versions] == [(1, False), (2, True), (3, False)]
        for method, version in (("PUT", 3), ("POST", 1)):
            reply = await http.request(method, f"{path}/set-default-version", json={"version": version})
            assert (reply.status_code, reply.json()["version"], reply.json()["is_default"]) == (200, version, True)
        assert [each["version"] for each in (await http.get("/v1/prompts")).json()["data"]] == [1]
        undeclared = await http.post("/v1/prompts", json={"prompt": "{{x}}"})
        assert (undeclared.status_code, undeclared.json()["error"]["param"]) == (400, "variables")
        for wrong in ({"prompt": "x"}, {"prompt": "x", "version": "3"}, {"prompt": 1, "version": 3}):
            assert (await http.put(path, json=wrong)).status_code == 400
        assert (await http.get(path, params={"version": 0})).status_code == 400
        gone = await http.delete(path)
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await http.get(path)).status_code == 404


@pytest.mark.parametrize("user", [user for user in USERS if user != "alice"])
async def test_over_http_others_see_nothing(tmp_path: Path, user: str) -> None:
    async with edge_for_users(tmp_path) as server, as_user(server, "alice") as alice, as_user(server, user) as other:
        prompt_id = (await alice.post("/v1/prompts", json={"prompt": "mine"})).json()["prompt_id"]
        change = {"prompt": "theirs", "version": 1}
        unknown = f"pmpt_{'0' * 48}"
        for method, path, body in [
            ("GET", "", None),
            ("GET", "?version=1", None),
            ("GET", "/versions", None),
            ("PUT", "", change),
            ("POST", "", change),
            ("PUT", "/set-default-version", {"version": 1}),
            ("POST", "/set-default-version", {"version": 1}),
            ("DELETE", "", None),
        ]:
            replies = [await other.request(method, f"/v1/prompts/{of}{path}", json=body) for of in (prompt_id, unknown)]
            assert [reply.status_code for reply in replies] == [404, 404], (method, path)
            assert replies[0].text.replace(prompt_id, "") == replies[1].text.replace(unknown, "")
        assert (await other.get("/v1/prompts")).json() == {"data": []}
        assert (await alice.get(f"/v1/prompts/{prompt_id}")).json()["prompt"] == "mine"
