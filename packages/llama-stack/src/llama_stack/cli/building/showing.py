"""All that can be said of one distribution without opening anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from llama_stack.cli.building.needs import OWN_PACKAGES, needs_of
from llama_stack.cli.building.run_configs import Entry, read_written
from llama_stack.cli.building.shelf import LOCK, Distribution, distributions
from llama_stack.cli.building.sizes import closure, directory_bytes, installed_bytes, installed_requires, megabytes
from llama_stack.cli.own_environment import VENV
from llama_stack.cli.recipes.variables import variables_of
from llama_stack.cli.requirements import unfit_packages
from llama_stack.cli.tables import table
from llama_stack.routing.catalog import Catalog


def facts(reference: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """As plain data. `dependencies.missing` are requirements that nothing here fulfils."""
    config = read_written(reference, environ)
    found = next((each for each in distributions(environ) if each.path == config.path), None)
    descriptors, unknown = config.descriptors(Catalog())
    needs = needs_of(descriptors, config.backend_types())
    names = closure([*OWN_PACKAGES, *needs.words(), *needs.weights], installed_requires)
    sizes = [size for name in names if (size := installed_bytes(name)) is not None]
    return {
        "name": found.name if found else str(config.data.get("distro_name") or config.path.stem),
        "description": found.description() if found else config.description,
        "origin": found.origin if found else "file",
        "path": str(config.path),
        "providers": [_entry(entry) for entry in config.entries()],
        "unknown_providers": unknown,
        "storage": sorted(config.backend_types()) or ["sqlite"],
        "variables": [asdict(variable) for variable in variables_of(config.text)],
        "dependencies": {
            "packages": needs.words(),
            "weights": list(needs.weights),
            "missing": [word for word in (*needs.words(), *needs.weights) if unfit_packages([word])],
            "installed_here_bytes": sum(sizes),
        },
        **_built(found),
    }


def told(found: dict[str, Any]) -> str:
    """The same for people."""
    needed = found["dependencies"]
    about = f": {found['description']}" if found["description"] else ""
    lines = [f"{found['name']} ({found['origin']}){about}", f"  {found['path']}"]
    if found["build"]:
        build = found["build"]
        lines.append(f"  built by {build['version']} for Python {build['python']}, from {build['made_from']}")
    for label, key in (("environment", "environment_bytes"), ("directory", "directory_bytes")):
        if found[key] is not None:
            lines.append(f"  {label}: {megabytes(found[key])}")
    rows = [
        (entry["api"], entry["provider_id"], entry["type"], ", ".join(entry["turned_on_by"]) or "always")
        for entry in found["providers"]
    ]
    lines += ["", table(("API", "PROVIDER", "TYPE", "TURNED ON BY"), rows), ""]
    lines.append(f"State: {', '.join(found['storage'])}")
    required = [variable["name"] for variable in found["variables"] if variable["required"]]
    lines.append(f"Variables: {len(found['variables'])}; must be set: {', '.join(required) or 'none'}")
    packages = [*needed["packages"], *needed["weights"]]
    lines.append(f"Beyond the server itself: {', '.join(packages) or 'nothing'}")
    if needed["missing"]:
        lines.append(f"Not installed here: {', '.join(needed['missing'])}")
    lines.append(f"Installed here: {megabytes(needed['installed_here_bytes'])} with the server")
    lines += [f"Warning: {message}" for message in found["unknown_providers"]]
    return "\n".join(lines)


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "api": entry.api,
        "provider_id": entry.provider_id,
        "type": entry.type,
        "module": entry.module,
        "turned_on_by": list(entry.turned_on_by),
    }


def _built(found: Distribution | None) -> dict[str, Any]:
    directory = found.directory if found else None
    environment = directory / VENV if directory and found and found.command else None
    return {
        "build": asdict(found.record) if found and found.record else None,
        "lock": str(directory / LOCK) if directory and (directory / LOCK).is_file() else None,
        "environment": str(environment) if environment else None,
        "environment_bytes": directory_bytes(environment) if environment else None,
        "directory_bytes": directory_bytes(directory) if directory else None,
    }
