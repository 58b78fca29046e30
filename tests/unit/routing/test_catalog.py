import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

from llama_stack.routing.catalog import Catalog
from llama_stack.routing.errors import ProviderModuleInvalid, ProviderTypeUnknown
from llama_stack_api.api import Api
from llama_stack_api.provider import ENTRY_POINT_GROUP, descriptors_in

Write = Callable[[str, str], None]

PROVIDER = """
    from pydantic import BaseModel
    from llama_stack_api.api import Api
    from llama_stack_api.provider import provider

    class Config(BaseModel):
        pass

    @provider(api=Api.{api}, type="{type}", description="for tests", config=Config)
    class Example:
        def __init__(self, config, context):
            pass
"""


def source(provider_type: str, api: str = "inference") -> str:
    return PROVIDER.format(api=api, type=provider_type)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules by their dotted name, importable until the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(name: str, text: str) -> None:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.parents:
            if folder == tmp_path:
                break
            (folder / "__init__.py").touch()
        path.write_text(dedent(text))

    yield write
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {path.stem for path in tmp_path.iterdir()}:
            del sys.modules[name]


def catalog(*points: EntryPoint) -> Catalog:
    return Catalog(package="house", entry_points=lambda: points)


def point(name: str, module: str) -> EntryPoint:
    return EntryPoint(name, module, ENTRY_POINT_GROUP)


def test_a_file_that_bears_the_name_of_the_type_is_the_only_one_imported(write: Write) -> None:
    write("house.inference.tiny_server", source("remote::tiny-server"))
    write("house.inference.broken", "raise RuntimeError('imported')")
    found = catalog().find(Api.inference, "remote::tiny-server")
    assert (found.type, found.module, found.name) == (
        "remote::tiny-server",
        "house.inference.tiny_server",
        "tiny-server",
    )
    assert "house.inference.broken" not in sys.modules


def test_a_type_in_a_file_of_another_name_is_found_by_looking_everywhere(write: Write) -> None:
    write("house.inference.several", source("inline::odd"))
    write("house.safety.guard", source("inline::odd", api="safety"))
    write("house._shared.base", "raise RuntimeError('imported')")
    write("house.inference._helpers", "raise RuntimeError('imported')")
    assert catalog().find(Api.inference, "inline::odd").module == "house.inference.several"
    assert catalog().find(Api.safety, "inline::odd").module == "house.safety.guard"
    assert [found.api for found in catalog().all()] == ["inference", "safety"]
    assert [found.module for found in catalog().all(Api.safety)] == ["house.safety.guard"]


def test_an_installed_package_adds_types_by_entry_point_and_takes_none(write: Write) -> None:
    write("house.inference.tiny", source("remote::tiny"))
    write("guest.first", source("remote::tiny"))
    write("guest.second", source("remote::guest"))
    found = catalog(point("first", "guest.first"), point("second", "guest.second"))
    assert found.find(Api.inference, "remote::guest").module == "guest.second"
    assert found.find(Api.inference, "remote::tiny").module == "house.inference.tiny"
    assert [one.module for one in found.all()] == ["guest.second", "house.inference.tiny"]


def test_an_entry_point_without_a_provider_is_named(write: Write) -> None:
    write("house.inference.tiny", source("remote::tiny"))
    write("guest.empty", "")
    with pytest.raises(ProviderModuleInvalid, match=r"entry point 'acme'.*'guest\.empty'.*@provider"):
        catalog(point("acme", "guest.empty")).all()
    with pytest.raises(ProviderModuleInvalid, match=r"entry point 'acme': no module 'guest\.absent' is installed"):
        catalog(point("acme", "guest.absent")).all()


@pytest.mark.parametrize("reference", ["guest", "guest.provider", "guest==1.2", "guest>=1,<2", " guest[extra]==1 "])
def test_module_names_a_package_or_its_provider_module(write: Write, reference: str) -> None:
    write("guest.provider", source("remote::guest"))
    assert catalog().find(Api.inference, "remote::guest", reference).module == "guest.provider"


def test_module_takes_a_class_that_the_package_hands_on_but_none_that_it_imports(write: Write, tmp_path: Path) -> None:
    write("guest.deep.inside", source("remote::guest"))
    write("stranger", source("remote::stranger"))
    (tmp_path / "guest" / "__init__.py").write_text(
        "from guest.deep.inside import Example\nfrom stranger import Example as Stranger\n"
    )
    assert catalog().find(Api.inference, "remote::guest", "guest").module == "guest.deep.inside"
    with pytest.raises(ProviderTypeUnknown, match=r"no provider type 'remote::stranger' in module 'guest'"):
        catalog().find(Api.inference, "remote::stranger", "guest")


def test_a_distribution_name_with_dashes_is_a_package_with_underscores(write: Write) -> None:
    write("guest_pack.provider", source("remote::guest"))
    assert catalog().find(Api.inference, "remote::guest", "guest-pack==0.4.0").type == "remote::guest"


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("absent_package", "no module 'absent_package' is installed"),
        ("guest.needy", "'guest.needy' needs 'absent_dependency'"),
        ("guest.empty", "neither 'guest.empty' nor 'guest.empty.provider' has a class"),
        ("../evil", "not the name of a Python package"),
        ("", "not the name of a Python package"),
    ],
)
def test_a_module_that_brings_nothing_is_refused_with_the_reason(write: Write, reference: str, complaint: str) -> None:
    write("guest.needy", "import absent_dependency")
    write("guest.empty", "")
    with pytest.raises(ProviderModuleInvalid) as raised:
        catalog().find(Api.inference, "remote::guest", reference)
    assert complaint in str(raised.value)
    assert "module" in str(raised.value)


def test_an_unknown_type_gets_the_nearest_known_ones(write: Write) -> None:
    write("house.inference.ollama", source("remote::ollama"))
    write("house.safety.guard", source("inline::guard", api="safety"))
    with pytest.raises(ProviderTypeUnknown, match=r"providers\.inference.*did you mean remote::ollama"):
        catalog().find(Api.inference, "remote::olama")
    with pytest.raises(ProviderTypeUnknown, match=r"it is a provider of safety"):
        catalog().find(Api.inference, "inline::guard")
    with pytest.raises(ProviderTypeUnknown, match=r"known: none"):
        catalog().find(Api.vector_io, "inline::faiss")


def test_the_providers_of_the_house_are_found_each_in_the_file_of_its_name() -> None:
    found = Catalog(entry_points=lambda: ()).all()
    assert {"remote::openai", "remote::ollama", "remote::vllm"} <= {descriptor.type for descriptor in found}
    for descriptor in found:
        alone = Catalog(entry_points=lambda: ()).find(descriptor.api, descriptor.type)
        assert alone is descriptor
        assert descriptor in descriptors_in(sys.modules[descriptor.module])


def test_entry_points_are_read_from_the_installed_packages() -> None:
    assert all(descriptor.type for descriptor in Catalog().all())


def test_a_type_is_found_under_its_former_name() -> None:
    assert Catalog().find(Api.vector_io, "inline::sqlite_vec").type == "inline::sqlite-vec"
    assert Catalog().find(Api.inference, "remote::meta").type == "remote::llama-openai-compat"
