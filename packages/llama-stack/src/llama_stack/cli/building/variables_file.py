"""`env`: the environment variables of a run config, with what each is for, to be filled in."""

from __future__ import annotations

import re
import shlex

from llama_stack.cli.recipes.variables import Variable, variables_of

_SET = re.compile(r"([A-Z0-9_]+)=.+")
_HEAD = """\
# What the distribution {name} reads from its environment. A start takes it from there, not from this file:
#   set -a; . {path}; set +a; llama stack run {name}
"""


def variables_text(name: str, path: str, config: str) -> str:
    """Those that must be set first, then those that have no default, then the rest as comments with their defaults."""
    variables = variables_of(config)
    required = [variable for variable in variables if variable.required]
    empty = [variable for variable in variables if not variable.required and variable.default is None]
    rest = [variable for variable in variables if not variable.required and variable.default is not None]
    parts = [_HEAD.format(name=name, path=shlex.quote(path))]
    for title, group in (
        ("Must be set.", required),
        ("Empty unless they are set.", empty),
        ("These have defaults.", rest),
    ):
        if group:
            parts.append(f"\n# {title}\n")
            parts += [_line(variable) for variable in group]
    return "".join(parts)


def filled_in(text: str, former: str) -> str:
    """The text with what is set in an earlier file; what has no place any more stands at the end."""
    for line in former.splitlines():
        if (found := _SET.fullmatch(line)) is not None:
            as_it_is = line.replace("\\", r"\\")
            text, places = re.subn(rf"^#?{found[1]}=.*$", as_it_is, text, count=1, flags=re.MULTILINE)
            text += "" if places else f"{line}\n"
    return text


def _line(variable: Variable) -> str:
    purpose = ", ".join(variable.places)
    if variable.turns_on:
        purpose = "; ".join(filter(None, (f"turns on {', '.join(variable.turns_on)}", purpose)))
    mark = "" if variable.required else "#"
    # Names of settings and defaults are whoever's who wrote the config: each stays on its line.
    return (
        f"# {' '.join(purpose.split())}\n{mark}{variable.name}={_quoted(' '.join((variable.default or '').split()))}\n"
    )


def _quoted(text: str) -> str:
    """As a shell reads it, and Compose too where it has no single quote."""
    return text if text == "" else shlex.quote(text)
