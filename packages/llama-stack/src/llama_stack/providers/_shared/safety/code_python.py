"""Insecure Python, found in its syntax tree: what stands in a string or a comment is no code."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Final

from llama_stack.providers._shared.safety.code_finding import Finding, Rule

CODE_CHARS_MAX: Final = 200_000
"""Longer code is judged by patterns alone."""
EVAL: Final = Rule("python-eval", 95, "high", "eval or exec of what is not constant runs whatever it is given.")
DESERIALIZE: Final = Rule("python-unsafe-deserialization", 502, "high", "Loading this format can run code.")
SHELL: Final = Rule("python-shell", 78, "high", "A shell interprets the command; pass a list of arguments instead.")
SQL: Final = Rule("python-sql-injection", 89, "high", "The SQL is put together from strings; bind parameters instead.")
TLS: Final = Rule("python-tls-unverified", 295, "high", "The server's certificate or key is not verified.")
JWT: Final = Rule("python-jwt-unverified", 347, "high", "The token's signature is not verified.")
TEMPLATE: Final = Rule("python-template-injection", 1336, "high", "The template itself is built from data.")
CIPHER: Final = Rule("python-weak-cipher", 327, "high", "This cipher or mode is broken.")
HASH: Final = Rule(
    "python-weak-hash", 327, "medium", "MD5 and SHA-1 do not protect; use SHA-256, for passwords scrypt."
)
SECRET: Final = Rule("python-hardcoded-secret", 798, "medium", "A secret stands in the code; read it from outside.")
TEMPORARY: Final = Rule("python-mktemp", 377, "medium", "Another process can take the name first; use mkstemp.")
DEBUG: Final = Rule("python-debug-server", 489, "medium", "The debugger lets whoever reaches it run code.")
MODE: Final = Rule("python-world-writable", 732, "medium", "Everybody may write to this.")
EXTRACT: Final = Rule("python-archive-traversal", 22, "medium", "Members may leave the directory; give a filter.")
MARKUP: Final = Rule("python-xss", 79, "medium", "Data becomes markup without being escaped.")
RANDOM: Final = Rule("python-weak-random", 330, "medium", "This randomness can be foretold; use the module secrets.")
XML: Final = Rule("python-xml-entities", 611, "low", "Entities of untrusted XML can exhaust memory; use defusedxml.")
CLEARTEXT: Final = Rule("python-cleartext-protocol", 319, "low", "This protocol sends passwords unencrypted.")
PYTHON_RULES: Final = (
    EVAL, DESERIALIZE, SHELL, SQL, TLS, JWT, TEMPLATE, CIPHER, HASH, SECRET, TEMPORARY, DEBUG, MODE, EXTRACT, MARKUP,
    RANDOM, XML, CLEARTEXT,
)  # fmt: skip

_LOADERS: Final = frozenset(
    f"{module}.{name}"
    for module in ("pickle", "cPickle", "_pickle", "marshal", "dill", "cloudpickle")
    for name in ("load", "loads", "Unpickler")
) | {"shelve.open", "jsonpickle.decode", "pandas.read_pickle", "joblib.load", "yaml.unsafe_load", "yaml.full_load"}
_RANDOM: Final = frozenset(
    f"random.{name}" for name in ("random", "randint", "choice", "choices", "randrange", "sample")
)
_SECRET_NAME: Final = re.compile(r"(?i)(?:^|_)(?:password|passwd|pwd|secret|api_?key|token|private_?key)(?:_?\d+)?$")
_PLACEHOLDER: Final = re.compile(r"(?i)^$|^[<{$].*|x{3,}|\.{3}|your|example|change.?me|placeholder|dummy|^test|^none$")
_SQL_TEXT: Final = re.compile(r"(?is)\b(?:select\b.+\bfrom|insert\s+into|update\b.+\bset|delete\s+from|drop\s+table)\b")
_CHECKS: Final[dict[str, Rule]] = {
    **dict.fromkeys(_LOADERS, DESERIALIZE),
    **dict.fromkeys(("os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), SHELL),
    **dict.fromkeys(("ssl._create_unverified_context", "paramiko.AutoAddPolicy", "paramiko.WarningPolicy"), TLS),
    **dict.fromkeys(("Crypto.Cipher.DES.new", "Crypto.Cipher.ARC4.new", "DES.new", "ARC4.new", "DES3.new"), CIPHER),
    "tempfile.mktemp": TEMPORARY,
    **dict.fromkeys(("xml.etree.ElementTree.parse", "xml.dom.minidom.parse", "xml.sax.parse"), XML),
    **dict.fromkeys(("xml.etree.ElementTree.fromstring", "xml.dom.minidom.parseString"), XML),
    **dict.fromkeys(("telnetlib.Telnet", "ftplib.FTP"), CLEARTEXT),
}


def python_findings(code: str) -> list[Finding] | None:
    """None: this does not parse."""
    if len(code) > CODE_CHARS_MAX:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the code: invalid escapes and the like
            tree = ast.parse(code)
        reader = _Reader(tree)
        return [Finding(rule, getattr(node, "lineno", 1)) for node in ast.walk(tree) for rule in reader.rules(node)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Reader:
    """Knows what the names of the module mean, as far as its imports say."""

    def __init__(self, tree: ast.Module) -> None:
        self._meaning: dict[str, str] = {}
        self._sql_names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._meaning |= {alias.asname: alias.name for alias in node.names if alias.asname}
            elif isinstance(node, ast.ImportFrom) and node.module:
                self._meaning |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Assign) and _is_built(node.value) and _SQL_TEXT.search(_constants(node.value)):
                self._sql_names |= {target.id for target in node.targets if isinstance(target, ast.Name)}

    def rules(self, node: ast.AST) -> Iterator[Rule]:
        if isinstance(node, ast.Call):
            name = self._name(node.func)
            if rule := _CHECKS.get(name):
                yield rule
            for check in (
                self._evaluates,
                self._shell,
                self._sql,
                self._unverified,
                self._weak,
                self._web,
                self._files,
            ):
                if found := check(node, name):
                    yield found
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from self._assigned(node)
        elif isinstance(node, ast.Attribute) and node.attr == "MODE_ECB":
            yield CIPHER

    def _name(self, node: ast.expr) -> str:
        """`os.path.join` of a call's function, with imports under other names undone."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        parts.append(self._meaning.get(node.id, node.id) if isinstance(node, ast.Name) else "")
        return ".".join(reversed(parts))

    def _evaluates(self, call: ast.Call, name: str) -> Rule | None:
        if name in ("eval", "exec", "builtins.eval", "builtins.exec"):
            return EVAL if call.args and not isinstance(call.args[0], ast.Constant) else None
        if name in ("yaml.load", "yaml.load_all"):
            loader = _keyword(call, "Loader") or (call.args[1] if len(call.args) > 1 else None)
            return None if loader is not None and "Safe" in ast.unparse(loader) else DESERIALIZE
        if name == "torch.load":
            return DESERIALIZE if _is(_keyword(call, "weights_only"), False) else None
        return None

    def _shell(self, call: ast.Call, name: str) -> Rule | None:
        constant = bool(call.args) and isinstance(call.args[0], ast.Constant)
        if name == "os.system":
            return None if constant else SHELL
        runs = name.startswith("subprocess.") and _is(_keyword(call, "shell"), True)
        return SHELL if (runs and not constant) or name == "asyncio.create_subprocess_shell" else None

    def _sql(self, call: ast.Call, name: str) -> Rule | None:
        if name.rpartition(".")[2] not in ("execute", "executemany", "executescript", "raw", "read_sql", "text"):
            return None
        if not call.args:
            return None
        first = call.args[0]
        if isinstance(first, ast.Name):
            return SQL if first.id in self._sql_names else None
        return SQL if _is_built(first) and _SQL_TEXT.search(_constants(first)) else None

    def _unverified(self, call: ast.Call, name: str) -> Rule | None:
        if name in ("jwt.decode", "jose.jwt.decode"):
            options = _keyword(call, "options")
            off = options is not None and re.search(r"verify_signature['\"]: False", ast.unparse(options))
            return JWT if off or _is(_keyword(call, "verify"), False) else None
        return TLS if any(_is(_keyword(call, option), False) for option in ("verify", "verify_ssl")) else None

    def _weak(self, call: ast.Call, name: str) -> Rule | None:
        weak = name in ("hashlib.md5", "hashlib.sha1")
        if name == "hashlib.new" and call.args and isinstance(call.args[0], ast.Constant):
            weak = str(call.args[0].value).lower() in ("md5", "sha1")
        return HASH if weak and not _is(_keyword(call, "usedforsecurity"), False) else None

    def _web(self, call: ast.Call, name: str) -> Rule | None:
        last = name.rpartition(".")[2]
        constant = bool(call.args) and isinstance(call.args[0], ast.Constant)
        if last == "run" and _is(_keyword(call, "debug"), True):
            return DEBUG
        if last == "render_template_string":
            return None if constant else TEMPLATE
        if last in ("mark_safe", "Markup"):
            return MARKUP if call.args and not constant else None
        return MARKUP if last == "Environment" and _is(_keyword(call, "autoescape"), False) else None

    def _files(self, call: ast.Call, name: str) -> Rule | None:
        last = name.rpartition(".")[2]
        if last == "chmod" and call.args and isinstance(call.args[-1], ast.Constant):
            mode = call.args[-1].value
            return MODE if isinstance(mode, int) and mode & 0o002 else None
        opens = last == "extractall" and not call.keywords and "zip" not in name.lower()
        return EXTRACT if opens else None

    def _assigned(self, node: ast.Assign | ast.AnnAssign) -> Iterator[Rule]:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [re.split(r"['\"\[.]", ast.unparse(target).rstrip("'\"]"))[-1] for target in targets]
        if node.value is None:
            return
        if "_create_default_https_context" in names and "unverified" in ast.unparse(node.value):
            yield TLS
        if not any(_SECRET_NAME.search(name) for name in names):
            return
        value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if len(value.value) >= 6 and not _PLACEHOLDER.search(value.value):
                yield SECRET
        elif any(isinstance(part, ast.Call) and self._name(part.func) in _RANDOM for part in ast.walk(value)):
            yield RANDOM


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_built(node: ast.expr) -> bool:
    """Put together from strings and something else: `f"…{x}"`, `"…" + x`, `"…" % x`, `"…".format(x)`."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod) and not all(
            isinstance(side, ast.Constant) for side in (node.left, node.right)
        )
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"


def _constants(node: ast.expr) -> str:
    parts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return " ".join(part for part in parts if isinstance(part, str))
