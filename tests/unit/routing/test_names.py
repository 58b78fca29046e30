from hypothesis import given
from hypothesis import strategies as st

from llama_stack.routing.entries import Entry
from llama_stack.routing.names import canonical_id, index_names, nearest
from tests.unit.routing.parts import entry, listed_entry

PROVIDERS = ["openai", "ollama", "vllm"]
part = st.sampled_from(["gpt-4o", "llama3:8b", "openai", "vllm", "meta/llama", "openai/gpt-4o", "x"])
entries = st.lists(st.builds(listed_entry, st.sampled_from(PROVIDERS), part), max_size=12)


def renamed(found: Entry, identifier: str, *aliases: str) -> Entry:
    return Entry(identifier, found.kind, found.targets, aliases=aliases)


@given(entries)
def test_every_canonical_id_resolves_to_its_own_provider(found: list[Entry]) -> None:
    names = index_names(found, PROVIDERS).names
    for one in found:
        assert names[one.identifier].targets[0].provider_id == one.identifier.partition("/")[0]


@given(entries)
def test_a_bare_id_resolves_exactly_where_one_provider_has_it(found: list[Entry]) -> None:
    index = index_names(found, PROVIDERS)
    unique = {one.identifier: one for one in found}.values()
    for one in unique:
        bare = one.identifier.partition("/")[2]
        others = [other for other in unique if other.identifier.partition("/")[2] == bare]
        if bare.partition("/")[0] in PROVIDERS:
            continue
        if len(others) == 1:
            assert index.names[bare].identifier == one.identifier
        elif bare not in index.names:
            assert set(index.ambiguous[bare]) == {other.identifier for other in others}


@given(entries)
def test_an_id_that_names_a_provider_never_leads_to_another(found: list[Entry]) -> None:
    for name, one in index_names(found, PROVIDERS).names.items():
        if name.partition("/")[0] in PROVIDERS:
            assert one.targets[0].provider_id == name.partition("/")[0]


def test_an_ambiguous_bare_id_keeps_its_candidates_in_order() -> None:
    index = index_names([listed_entry("openai", "gpt-4o"), listed_entry("vllm", "gpt-4o")], PROVIDERS)
    assert "gpt-4o" not in index.names
    assert index.ambiguous == {"gpt-4o": ("openai/gpt-4o", "vllm/gpt-4o")}


def test_explicit_names_win_over_bare_ones() -> None:
    one, other = listed_entry("openai", "gpt-4o"), listed_entry("vllm", "llama")
    index = index_names([one, renamed(other, "vllm/llama", "gpt-4o", "fast")], PROVIDERS)
    assert index.names["gpt-4o"].identifier == "vllm/llama"
    assert index.names["fast"].identifier == "vllm/llama"
    assert index.names["openai/gpt-4o"] is one


def test_a_name_without_a_provider_stands_for_itself() -> None:
    index = index_names([renamed(entry("openai", "vllm"), "smart")], PROVIDERS)
    assert list(index.names) == ["smart"]


def test_the_provider_is_put_in_front_once() -> None:
    assert canonical_id("ollama", "llama3") == "ollama/llama3"
    assert canonical_id("ollama", "ollama/llama3") == "ollama/llama3"


def test_the_nearest_names_are_suggested() -> None:
    names = ["openai/gpt-4o", "openai/gpt-4o-mini", "ollama/llama3.2:3b", "vllm/qwen"]
    assert nearest("openai/gpt4o", names)[0] == "openai/gpt-4o"
    assert nearest("llama3.2", names) == ["ollama/llama3.2:3b"]
    assert nearest("entirely-else", names) == []


@given(st.text(max_size=300), st.lists(st.text(max_size=40), max_size=20))
def test_suggestions_are_few_and_real(wanted: str, names: list[str]) -> None:
    found = nearest(wanted, names)
    assert len(found) <= 3
    assert set(found) <= set(names)
