import pytest

from llama_stack.providers._shared.safety.code_blocks import code_blocks
from llama_stack.providers._shared.safety.code_scan import all_rules, scan
from llama_stack.providers.safety.code_scanner import CodeScanner
from llama_stack_api.errors import InvalidRequest
from llama_stack_api.safety import ViolationLevel
from tests.providers.safety.local import opened, shield

pytestmark = pytest.mark.anyio


def rules_in(text: str) -> list[str]:
    return [one.rule_id for one in scan([text])]


def fenced(language: str, code: str) -> str:
    return f"Here you are:\n```{language}\n{code}\n```\nHave fun."


INSECURE = [
    ("python", "x = eval(data)", "python-eval"),
    ("python", "import pickle as p\np.loads(data)", "python-unsafe-deserialization"),
    ("python", "from pickle import loads\nloads(data)", "python-unsafe-deserialization"),
    ("python", "import yaml\nyaml.load(f)", "python-unsafe-deserialization"),
    ("python", "from os import system as run\nrun('rm ' + name)", "python-shell"),
    ("python", "import subprocess\nsubprocess.run(command, shell=True)", "python-shell"),
    ("py", 'cur.execute(f"SELECT * FROM users WHERE id = {uid}")', "python-sql-injection"),
    ("python", "q = \"DELETE FROM t WHERE a = '%s'\" % a\ncur.execute(q)", "python-sql-injection"),
    ("python", "import hashlib\nhashlib.md5(data)", "python-weak-hash"),
    ("python", "requests.get(url, verify=False)", "python-tls-unverified"),
    ("python", 'password = "s3cr3tPassw0rd"', "python-hardcoded-secret"),
    ("python", 'self.config["api_key"] = "a8F3kd92LsQ0"', "python-hardcoded-secret"),
    ("python", "import tempfile\ntempfile.mktemp()", "python-mktemp"),
    ("python", "app.run(debug=True)", "python-debug-server"),
    ("python", "import random\ntoken = str(random.randint(0, 9))", "python-weak-random"),
    ("python", "import jwt\njwt.decode(t, options={'verify_signature': False})", "python-jwt-unverified"),
    ("python", "import os\nos.chmod(path, 0o777)", "python-world-writable"),
    ("python", "def broken(:\n    exec(code)", "python-unparsed-eval"),
    ("c", "char b[8]; gets(b);", "c-gets"),
    ("cpp", "strcpy(a, b);", "c-unbounded-copy"),
    ("c", "printf(text);", "c-format-string"),
    ("c", 'scanf("%s", name);', "c-unbounded-scan"),
    ("js", "box.innerHTML = input;", "javascript-dom-xss"),
    ("typescript", "db.query(`SELECT * FROM users WHERE id = ${id}`)", "javascript-sql-injection"),
    ("js", "exec(`ls ${dir}`)", "javascript-shell"),
    ("java", 'String q = "SELECT * FROM u WHERE n = \'" + name + "\'";', "java-sql-injection"),
    ("java", 'Cipher.getInstance("AES/ECB/PKCS5Padding");', "java-weak-cipher"),
    ("go", "tls.Config{InsecureSkipVerify: true}", "go-tls-unverified"),
    ("go", 'fmt.Sprintf("SELECT * FROM u WHERE id = %s", id)', "go-sql-injection"),
    ("php", 'echo $_GET["name"];', "php-xss"),
    ("php", "$o = unserialize($data);", "php-deserialization"),
    ("ruby", "User.where(\"name = '#{params[:n]}'\")", "ruby-sql-injection"),
    ("bash", "curl https://example.com/i.sh | sudo bash", "shell-pipe-to-shell"),
    ("sh", "chmod -R 777 /srv", "shell-world-writable"),
    ("sql", "GRANT ALL PRIVILEGES ON *.* TO 'a';", "sql-grant-all"),
    ("", "-----BEGIN RSA PRIVATE KEY-----", "any-private-key"),
]
SECURE = [
    ("python", "import ast\nast.literal_eval(data)\neval('1 + 1')"),
    ("python", "import yaml\nyaml.safe_load(f)\nyaml.load(f, Loader=yaml.SafeLoader)"),
    ("python", "import subprocess\nsubprocess.run(['ls', path], check=True)\n# subprocess.run(x, shell=True)"),
    ("python", 'cur.execute("SELECT * FROM users WHERE id = ?", (uid,))\ncur.execute("SELECT a " + "FROM b")'),
    ("python", "import hashlib\nhashlib.sha256(data)\nhashlib.md5(data, usedforsecurity=False)"),
    ("python", 'password = os.environ["PASSWORD"]\napi_key = "your-api-key"\ntoken = ""'),
    ("python", 'text = "never call eval(data) or os.system(x)"'),
    ("c", 'snprintf(b, sizeof b, "%s", a); fgets(b, 8, stdin); printf("%d", n); scanf("%7s", b);'),
    ("js", 'box.textContent = input; db.query("SELECT * FROM u WHERE id = $1", [id]);'),
    ("java", 'PreparedStatement s = c.prepareStatement("SELECT * FROM u WHERE n = ?");'),
    ("go", 'db.Query("SELECT * FROM u WHERE id = $1", id)'),
    ("php", 'echo htmlspecialchars($_GET["name"]); $s = $pdo->prepare("SELECT * FROM u WHERE id = ?");'),
    ("ruby", 'User.where("name = ?", params[:n]); YAML.safe_load(x)'),
    ("bash", 'curl -fsSLo i.sh https://example.com/i.sh\nchmod 644 a\nrm -rf "$DIR/build"'),
    ("sql", "GRANT SELECT ON t TO reader;"),
    ("json", '{"cmd": "eval(x)"}'),
]


@pytest.mark.parametrize(("language", "code", "rule"), INSECURE)
def test_insecure_code_is_found(language: str, code: str, rule: str) -> None:
    assert rule in rules_in(fenced(language, code))


@pytest.mark.parametrize(("language", "code"), SECURE)
def test_secure_code_is_not(language: str, code: str) -> None:
    assert rules_in(fenced(language, code)) == []


@pytest.mark.parametrize(
    "prose",
    [
        "You should never use eval() with user input; pickle.loads(data) is unsafe too, and gets(buffer) is gone.",
        "Use parameters instead of building SQL such as SELECT a FROM b WHERE c = d.\n\nIt is safer; really.",
        "The password = sign is explained in chapter 2.",
        "Dear Sam,\n\nthe system (see below) will exec the plan.\n\nBest, Jo",
        "1. Open the door\n2. Evaluate the result\n3. Close it",
        "",
        "```text\nos.system(x)\n```",
    ],
)
def test_prose_is_left_alone(prose: str) -> None:
    assert rules_in(prose) == []


def test_code_is_found_without_fences_within_arguments_and_while_it_is_written() -> None:
    code = "import os\nos.system(command)\n"
    assert rules_in(code) == ["python-shell"]
    assert rules_in('{"code": "import os\\nos.system(command)"}') == ["python-shell"]
    assert rules_in("Here:\n~~~python\nimport os\nos.system(command)") == ["python-shell"]


def test_lines_are_those_of_the_text() -> None:
    text = "One\n\n```python\nimport os\n\nos.system(x)\n```\n\n````js\neval(x)\n```\neval(y)\n````\n"
    assert [(one.line, one.rule_id) for one in scan([text])] == [
        (6, "python-shell"), (10, "javascript-eval"), (12, "javascript-eval"),
    ]  # fmt: skip
    assert [block.first_line for block in code_blocks(text)] == [4, 10]


def test_rules_have_ids_of_their_own_and_a_cwe() -> None:
    rules = all_rules()
    assert len({rule.id for rule in rules}) == len(rules) >= 60
    assert all(rule.cwe > 0 and rule.message.endswith(".") for rule in rules)


@pytest.mark.parametrize("code", ["(" * 100_000, "-" * 100_000, "x" * 500_000, "'" * 100_000, "\0eval(x)"])
def test_hostile_code_is_survived(code: str) -> None:
    scan([fenced("python", code), fenced("", code), code])


async def test_a_violation_names_rules_weaknesses_and_lines() -> None:
    async with opened(CodeScanner) as asked:
        assert await asked.shield("How are you?", role="assistant") is None
        text = fenced("python", "import os\nos.system(x)\npassword = 's3cr3tPassw0rd'")
        violation = await asked.shield(text, role="assistant")
    assert violation is not None
    assert violation.violation_level == ViolationLevel.ERROR
    assert violation.metadata["rules"] == ["python-shell", "python-hardcoded-secret"]
    assert violation.metadata["cwes"] == ["CWE-78", "CWE-798"]
    first = violation.metadata["findings"][0]
    assert (first["line"], first["severity"], first["language"], first["text"]) == (4, "high", "python", 0)
    assert "CWE-78" in (violation.user_message or "")
    assert "s3cr3t" not in violation.model_dump_json()


async def test_severity_and_exclusions() -> None:
    weak = fenced("python", "import hashlib\nhashlib.md5(x)")
    async with opened(CodeScanner, excluded_rules=["python-eval"]) as asked:
        await asked.impl.register_shield(shield("high", min_severity="high"))
        assert await asked.shield(weak) is not None
        assert await asked.shield(weak, shield_id="high") is None
        assert await asked.shield(fenced("python", "eval(x)")) is None
        with pytest.raises(InvalidRequest, match="no-such-rule"):
            await asked.impl.register_shield(shield("wrong", excluded_rules=["no-such-rule"]))


async def test_moderation_has_one_category() -> None:
    async with opened(CodeScanner) as asked:
        bad, good = await asked.moderate([fenced("python", "eval(x)"), "Hello."])
    assert bad.flagged
    assert bad.category_scores["insecure-code"] == 0.9
    assert bad.metadata is not None
    assert bad.metadata["cwes"] == ["CWE-95"]
    assert not good.flagged
    assert good.category_scores["insecure-code"] == 0
