"""A package that hides that it could not import something fails later of that; what it lacks is said all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from llama_stack.routing.errors import ProviderModuleInvalid
from llama_stack.routing.modules import import_module_of

MODULE = """\
try:
    from absent_library import Base
except ImportError:
    pass

class Provider(Base): ...
"""


def test_what_the_package_asks_for_and_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hides_imports.py").write_text(MODULE)
    metadata = tmp_path / "hides_imports-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    required = ("absent-library>=2", "pydantic", "absent-extra; extra == 'more'")
    metadata.write_text(
        "Metadata-Version: 2.1\nName: hides-imports\nVersion: 1.0\n"
        + "".join(f"Requires-Dist: {each}\n" for each in required)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ProviderModuleInvalid) as caught:
        import_module_of("hides_imports")
    assert "NameError: name 'Base' is not defined" in str(caught.value)
    assert "`pip install absent-library`;" in str(caught.value)
    assert "pip install --upgrade hides-imports" in str(caught.value)
