"""An API of another package, named by `external_apis_dir`, and providers by `external_providers_dir`."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from llama_stack.config.model import RunConfig
from llama_stack.stack import Stack
from llama_stack_api.api import Api
from tests.support.edge import client
from tests.support.packages import packages
from tests.support.whole_stack import whole_stack

pytestmark = pytest.mark.anyio

WEATHER = """
module: llama_stack_api_weather
name: weather
protocol: WeatherProvider
pip_packages: [llama-stack-api-weather]
"""
SPEC = """
adapter_type: former
module: llama_stack_provider_former.inference
config_class: llama_stack_provider_former.config.InferenceConfig
provider_data_validator: llama_stack_provider_former.config.FormerProviderData
pip_packages: [httpx]
"""


@pytest.fixture
def directories(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The two settings of a run config."""
    apis, providers = tmp_path / "apis.d", tmp_path / "providers.d"
    (providers / "remote" / "inference").mkdir(parents=True)
    apis.mkdir()
    (apis / "weather.yaml").write_text(WEATHER)
    (providers / "remote" / "inference" / "oldtimer.yaml").write_text(SPEC)
    with packages("llama-stack-api-weather", "llama-stack-provider-kaze", "llama-stack-provider-former"):
        yield {"external_apis_dir": str(apis), "external_providers_dir": str(providers)}


def kaze(**config: Any) -> dict[str, Any]:
    winds = {"winds": {"hakata": "kita", "nara": "minami"}}
    return {"provider_id": "kaze", "provider_type": "remote::kaze", "config": {**winds, **config}}


OLDTIMER = {"provider_id": "old", "provider_type": "remote::oldtimer", "config": {"voice": "rough"}}


@pytest.fixture
async def http(tmp_path: Path, directories: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    providers = {"weather": [kaze(model="old/parrot")], "inference": [OLDTIMER]}
    async with (
        whole_stack(tmp_path, [], [], providers=providers, **directories) as server,
        client(server) as http,
    ):
        yield http


async def test_it_is_served_and_asks_our_apis(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/weather/locations")).json() == ["hakata", "nara"]
    wind = (await http.get("/v1/weather/winds/nara")).json()
    told = "Describe the wind of nara. in a rough voice rough"
    assert wind == {"place": "nara", "name": "minami", "told": told}
    providers = (await http.get("/v1/providers")).json()["data"]
    assert [(each["api"], each["provider_id"]) for each in providers] == [("weather", "kaze"), ("inference", "old")]


async def test_provider_data_goes_through_it_to_the_provider_that_it_asks(http: httpx.AsyncClient) -> None:
    headers = {"X-LlamaStack-Provider-Data": '{"former_voice": "soft"}'}
    wind = (await http.get("/v1/weather/winds/nara", headers=headers)).json()
    assert wind["told"].endswith("in a soft voice soft")


async def test_its_errors_have_our_shape(http: httpx.AsyncClient) -> None:
    forbidden = await http.get("/v1/weather/winds/moon")
    assert forbidden.status_code == 403
    assert forbidden.json()["error"]["message"] == "There is no wind on the moon."
    unknown = await http.get("/v1/weather/winds/atlantis")
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (400, "invalid_request_error")
    assert (await http.post("/v1/weather/locations")).status_code == 405
    assert (await http.get("/v1/weather/nowhere")).json()["error"]["code"] == "unknown_url"


async def test_it_is_in_the_document_and_among_the_routes(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    operation = document["paths"]["/v1/weather/winds/{place}"]["get"]
    assert operation["operationId"] == "weather_wind"
    assert operation["tags"] == ["weather"]
    assert "security" not in operation, "what it says of being public does not hold"
    assert set(operation["responses"]) >= {"200", "4XX", "5XX"}
    assert "DefaultError" not in str(operation)
    routes = (await http.get("/v1/inspect/routes")).json()["data"]
    mine = [route for route in routes if "/weather/" in route["route"]]
    assert {route["route"] for route in mine} == {"/v1/weather/locations", "/v1/weather/winds/{place}"}
    assert all(route["provider_types"] == ["remote::kaze"] for route in mine)


async def test_nobody_gets_in_without_a_key(tmp_path: Path, directories: dict[str, Any]) -> None:
    keys = [{"id": "alice", "tenant": "acme", "hash": hashlib.sha256(b"key-alice").hexdigest()}]
    auth = {"provider_config": {"type": "api_keys", "keys": keys}}
    providers = {"weather": [kaze()]}
    async with (
        whole_stack(tmp_path, [], [], providers=providers, server={"auth": auth}, **directories) as server,
        client(server) as http,
    ):
        for path in ("/v1/weather/locations", "/v1/weather/winds/nara"):
            assert (await http.get(path)).status_code == 401
        headers = {"Authorization": "Bearer key-alice"}
        assert (await http.get("/v1/weather/winds/nara", headers=headers)).json()["told"] is None


async def test_an_api_that_apis_does_not_list_is_not_served(tmp_path: Path, directories: dict[str, Any]) -> None:
    providers = {"weather": [kaze()], "inference": [OLDTIMER]}
    async with (
        whole_stack(tmp_path, [], [], providers=providers, apis=["inference"], **directories) as server,
        client(server) as http,
    ):
        assert (await http.get("/v1/weather/locations")).status_code == 404
        assert (await http.get("/v1/models")).status_code == 200


def run_config(tmp_path: Path, providers: dict[str, Any], directories: dict[str, Any]) -> RunConfig:
    said = {"distro_name": "t", "providers": providers, **directories}
    return RunConfig.model_validate(said, context={"environ": {"SQLITE_STORE_DIR": str(tmp_path)}, "home": tmp_path})


BROKEN_APIS = {
    "yaml": (": [", "cannot be read"),
    "fields": ("module: llama_stack_api_weather\nname: weather\n", "`protocol`: Field required"),
    "module": (WEATHER.replace("llama_stack_api_weather\n", "no_such_weather\n"), "pip install no-such-weather"),
    "protocol": (WEATHER.replace("WeatherProvider", "Wether"), "`protocol` 'Wether'"),
    "taken": (WEATHER.replace("name: weather", "name: inference"), "`name` 'inference' is that of another API"),
    "router": (WEATHER.replace("_weather\n", "_weather.weather2\n"), "weather2"),
}


@pytest.mark.parametrize("broken", BROKEN_APIS)
async def test_a_broken_api_is_told_of_and_the_rest_serves(
    tmp_path: Path, directories: dict[str, Any], broken: str
) -> None:
    text, complaint = BROKEN_APIS[broken]
    (tmp_path / "apis.d" / "weather.yaml").write_text(text)
    config = run_config(tmp_path, {"weather": [kaze()], "inference": [OLDTIMER]}, directories)
    async with Stack.open(config, state_dir=tmp_path) as stack:
        assert complaint in " ".join(map(str, stack.problems))
        assert "old" in [opened.id for opened in stack.providers]
        assert not stack.services.external


BROKEN_SPECS = {
    "yaml": (": [", "cannot be read"),
    "list": ("- module", "has no keys"),
    "fields": ("adapter_type: former\nmodule: former\n", "`config_class`: Field required"),
    "no-module": ("adapter_type: former\nconfig_class: a.B\n", "`module` is missing"),
    "config-class": (SPEC.replace("InferenceConfig", "Missing"), "`config_class`"),
    "package": (SPEC.replace("former.config.I", "gone.config.I"), "pip install llama-stack-provider-gone"),
}


@pytest.mark.parametrize("broken", BROKEN_SPECS)
async def test_a_broken_provider_file_is_named(tmp_path: Path, directories: dict[str, Any], broken: str) -> None:
    text, complaint = BROKEN_SPECS[broken]
    (tmp_path / "providers.d" / "remote" / "inference" / "oldtimer.yaml").write_text(text)
    config = run_config(tmp_path, {"weather": [kaze()], "inference": [OLDTIMER]}, directories)
    async with Stack.open(config, state_dir=tmp_path) as stack:
        (problem,) = stack.problems
        assert complaint in problem.message
        assert "oldtimer.yaml" in problem.message
        assert [served.name for served in stack.services.external] == ["weather"]


async def test_a_second_provider_of_an_external_api_is_told_that_it_is_too_many(
    tmp_path: Path, directories: dict[str, Any]
) -> None:
    config = run_config(tmp_path, {"weather": [kaze(), {**kaze(), "provider_id": "arashi"}]}, directories)
    async with Stack.open(config, state_dir=tmp_path) as stack:
        (problem,) = stack.problems
        assert problem.provider_id == "arashi"
        assert "served by 'kaze'" in problem.message


async def test_our_providers_may_ask_an_external_api(tmp_path: Path, directories: dict[str, Any]) -> None:
    (tmp_path / "asking.py").write_text(ASKING)
    sys.path.insert(0, str(tmp_path))
    try:
        asking = {"provider_id": "asking", "provider_type": "inline::asking", "module": "asking"}
        config = run_config(tmp_path, {"inference": [asking], "weather": [kaze()]}, directories)
        async with Stack.open(config, state_dir=tmp_path) as stack:
            assert stack.problems == []
            (provider,) = [opened.impl for opened in stack.providers if opened.id == "asking"]
            assert await provider.context.deps[Api("weather")].locations() == ["hakata", "nara"]
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["asking"]


ASKING = """
from pydantic import BaseModel
from llama_stack_api import Api
from llama_stack_api.provider import provider

class NoConfig(BaseModel):
    pass

@provider(api=Api.inference, type="inline::asking", description="Asks.", config=NoConfig,
          api_dependencies=(Api("weather"),))
class Asking:
    def __init__(self, config, context):
        self.context = context

    async def openai_chat_completion(self, params, call):
        raise NotImplementedError
"""


ROUTER = """
import sys
from fastapi import APIRouter
from llama_stack_api_weather import WeatherProvider, available_providers

def create_router(impl):
    router = APIRouter()

    @router.get("/v1/models")
    async def models(): return "shadowed"

    @router.get("/v1/models/{name:path}")
    async def model(name: str): return "shadowed"

    @router.get("/v1/{everything:path}")
    async def everything(everything: str): return "shadowed"

    @router.get("/v1/health")
    async def health(): return "shadowed"

    @router.get("/v1/weather/exit")
    async def leave(): sys.exit(3)

    @router.get("/v1/weather/trace")
    async def trace(): raise RuntimeError("the insides, with sk-secret")

    return router
"""


async def test_what_a_package_may_not_do_to_the_server(
    tmp_path: Path, directories: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "hostile"
    home.mkdir()
    (home / "hostile_weather.py").write_text(ROUTER)
    monkeypatch.syspath_prepend(str(home))
    apis = Path(directories["external_apis_dir"])
    (apis / "weather.yaml").write_text(WEATHER.replace("llama_stack_api_weather", "hostile_weather"))
    async with (
        whole_stack(tmp_path, [], [], providers={"weather": [kaze()]}, **directories) as server,
        client(server) as http,
    ):
        for path in ("/v1/models", "/v1/health", "/v1/providers"):
            assert "shadowed" not in (await http.get(path)).text, path
        assert (await http.get("/v1/models/x/y")).status_code == 404
        left = await http.get("/v1/weather/exit")
        assert (left.status_code, left.json()["error"]["message"]) == (
            502,
            "The API ended its work before it answered.",
        )
        failed = await http.get("/v1/weather/trace")
        assert failed.status_code == 500
        assert "insides" not in failed.text
        assert "sk-secret" not in failed.text
        assert (await http.get("/v1/health")).status_code == 200
    sys.modules.pop("hostile_weather", None)


async def test_a_router_that_exits_takes_nobody_along(
    tmp_path: Path, directories: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "leaving"
    home.mkdir()
    said = "from llama_stack_api_weather import *\n\ndef create_router(impl):\n    raise SystemExit('no licence')\n"
    (home / "leaving_weather.py").write_text(said)
    monkeypatch.syspath_prepend(str(home))
    apis = Path(directories["external_apis_dir"])
    (apis / "weather.yaml").write_text(WEATHER.replace("llama_stack_api_weather", "leaving_weather"))
    async with (
        whole_stack(tmp_path, [], [], providers={"weather": [kaze()]}, **directories) as server,
        client(server) as http,
    ):
        (told,) = (await http.get("/v1/providers")).json()["data"]
        assert "SystemExit: no licence" in told["health"]["message"]
    sys.modules.pop("leaving_weather", None)
