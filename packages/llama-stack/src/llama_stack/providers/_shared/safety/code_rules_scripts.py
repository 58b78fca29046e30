"""Insecure patterns of scripts: JavaScript, PHP, Ruby, shell, SQL, and Python that does not parse."""

from __future__ import annotations

from typing import Final

from llama_stack.providers._shared.safety.code_rules import SQL_START, PatternRule, rule

SCRIPT_RULES: Final[tuple[PatternRule, ...]] = (
    # JavaScript and TypeScript.
    rule(
        "javascript",
        "eval",
        95,
        "high",
        "eval runs whatever it is given.",
        r"(?<![\w.])(?:eval|new\s{1,4}Function)\s{0,4}\(\s{0,4}(?![\"'`)][^\"'`$]{0,500}[\"'`]\s{0,4}\))",
    ),
    rule(
        "javascript",
        "timer-string",
        95,
        "medium",
        "A string given to a timer is evaluated.",
        r"(?<!\w)set(?:Timeout|Interval)\s{0,4}\(\s{0,4}[\"'`]",
    ),
    rule(
        "javascript",
        "dom-xss",
        79,
        "high",
        "Data becomes markup; use textContent.",
        r"\.(?:innerHTML|outerHTML)\s{0,4}\+?=\s{0,4}(?!=)(?![\"'][^\"'+]{0,500}[\"']\s{0,4};?\s{0,4}$)\S|"
        r"document\.write(?:ln)?\s{0,4}\(|insertAdjacentHTML\s{0,4}\(",
    ),
    rule("javascript", "react-html", 79, "medium", "Data becomes markup unescaped.", r"dangerouslySetInnerHTML"),
    rule(
        "javascript",
        "shell",
        78,
        "high",
        "A shell interprets the command; use execFile.",
        r"(?:child_process\.|(?<![\w.]))(?:exec|execSync)\s{0,4}\(\s{0,4}(?:`[^`]{0,300}\$\{|"
        r"[\"'][^\"']{0,300}[\"']\s{0,4}\+|[a-z]\w{0,30}\s{0,4}[,)+])",
    ),
    rule(
        "javascript",
        "sql-injection",
        89,
        "high",
        "The SQL is put together from strings; use parameters.",
        r"(?:`\s{0,4}" + SQL_START + r"\$\{|[\"']\s{0,4}" + SQL_START + r"[\"']\s{0,4}\+)",
    ),
    rule(
        "javascript",
        "tls-unverified",
        295,
        "high",
        "The certificate is not verified.",
        r"rejectUnauthorized[\"']?\s{0,4}:\s{0,4}false|"
        r"NODE_TLS_REJECT_UNAUTHORIZED[\"'\]]{0,3}\s{0,4}=\s{0,4}[\"']?0",
    ),
    rule(
        "javascript",
        "weak-hash",
        327,
        "medium",
        "MD5 and SHA-1 do not protect.",
        r"createHash\s{0,4}\(\s{0,4}[\"'](?:md5|sha1)[\"']",
    ),
    rule(
        "javascript",
        "weak-random",
        338,
        "medium",
        "Math.random can be foretold; use crypto.",
        r"(?i:token|secret|password|session|nonce|otp)\w{0,20}\s{0,4}=.{0,100}Math\.random",
    ),
    # PHP.
    rule(
        "php",
        "eval",
        95,
        "high",
        "eval runs whatever it is given.",
        r"(?<![\w>:$])(?:eval|assert|create_function)\s{0,4}\(\s{0,4}[^)]{0,200}\$",
    ),
    rule(
        "php",
        "command",
        78,
        "high",
        "A shell interprets the command.",
        r"(?<![\w>:$])(?:system|exec|shell_exec|passthru|popen|proc_open)\s{0,4}\([^)]{0,200}\$",
    ),
    rule(
        "php",
        "sql-injection",
        89,
        "high",
        "The SQL is put together from strings; prepare statements.",
        r"[\"']\s{0,4}" + SQL_START + r"(?:\$|[\"']\s{0,4}\.\s{0,4}\$)|(?<!\w)mysql_query\s{0,4}\(",
    ),
    rule(
        "php",
        "xss",
        79,
        "high",
        "Input becomes markup unescaped; use htmlspecialchars.",
        r"(?<!\w)(?:echo|print)\b(?!.{0,200}(?:htmlspecialchars|htmlentities|intval)).{0,200}\$_(?:GET|POST|"
        r"REQUEST|COOKIE)",
    ),
    rule(
        "php",
        "file-inclusion",
        98,
        "high",
        "Input chooses the file to run.",
        r"(?<!\w)(?:include|require)(?:_once)?\b.{0,200}\$_(?:GET|POST|REQUEST|COOKIE)",
    ),
    rule(
        "php",
        "deserialization",
        502,
        "high",
        "unserialize can make objects of the sender's choice.",
        r"(?<![\w>:$])unserialize\s{0,4}\(\s{0,4}\$",
    ),
    rule(
        "php",
        "weak-hash",
        327,
        "medium",
        "MD5 and SHA-1 do not protect; use password_hash.",
        r"(?<![\w>:$])(?:md5|sha1)\s{0,4}\(\s{0,4}\$",
    ),
    # Ruby.
    rule(
        "ruby",
        "eval",
        95,
        "high",
        "eval runs whatever it is given.",
        r"(?<![\w.])(?:eval|instance_eval|class_eval)[ (]{1,4}(?![\"'][^\"'#]{0,300}[\"'])\w",
    ),
    rule(
        "ruby",
        "command",
        78,
        "high",
        "A shell interprets the command.",
        r"(?:(?<![\w.])(?:system|exec)[ (]{1,4}\"[^\"]{0,300}#\{|`[^`]{0,300}#\{|%x[({\[].{0,300}#\{)",
    ),
    rule(
        "ruby",
        "deserialization",
        502,
        "high",
        "Loading this format can run code.",
        r"(?<!\w)(?:Marshal\.load|YAML\.(?:unsafe_)?load)\b[ (]",
    ),
    rule(
        "ruby",
        "sql-injection",
        89,
        "high",
        "The SQL is put together from strings; bind parameters.",
        r"\.(?:where|find_by_sql|execute|order)[ (]{1,4}\"[^\"]{0,300}#\{",
    ),
    rule(
        "ruby",
        "xss",
        79,
        "medium",
        "Data becomes markup unescaped.",
        r"\.html_safe\b|(?<!\w)raw[ (]{1,4}(?:params|@\w)",
    ),
    rule("ruby", "tls-unverified", 295, "high", "The certificate is not verified.", r"VERIFY_NONE"),
    # Shell.
    rule(
        "shell",
        "pipe-to-shell",
        494,
        "high",
        "What is fetched runs unseen.",
        r"\b(?:curl|wget)\b[^|;]{0,500}\|\s{0,4}(?:sudo\s{1,4}(?:-\w{1,8}\s{1,4})?)?(?:ba|z|da)?sh\b",
    ),
    rule(
        "shell",
        "eval",
        78,
        "medium",
        "eval interprets data as commands.",
        r"(?:^|[;&|]\s{0,4})\s{0,40}eval\s{1,4}[\"']?\$",
    ),
    rule(
        "shell",
        "tls-unverified",
        295,
        "high",
        "The certificate is not verified.",
        r"\bcurl\b[^|;]{0,300}\s(?:-[a-zA-Z]{0,6}k[a-zA-Z]{0,6}|--insecure)\b|\bwget\b[^|"
        r";]{0,300}--no-check-certificate|StrictHostKeyChecking[= ]no\b|GIT_SSL_NO_VERIFY=(?:1|true)",
    ),
    rule(
        "shell",
        "world-writable",
        732,
        "medium",
        "Everybody may write to this.",
        r"\bchmod\s{1,4}(?:-R\s{1,4})?(?:0?777|a\+w|o\+w)\b",
    ),
    rule(
        "shell",
        "remove-all",
        73,
        "high",
        "This removes everything, or would with an empty variable.",
        r"\brm\s{1,4}-(?:rf|fr|r\s-f)\s{1,4}(?:--no-preserve-root\s|/(?:\s|\*|$)|\"?\$\{?\w{1,40}\}?\"?/(?:\s|"
        r"\*|$))",
    ),
    # SQL.
    rule(
        "sql",
        "dynamic",
        89,
        "high",
        "The statement is put together from strings.",
        r"(?i)\bexec(?:ute)?(?:\s+immediate)?\s{0,4}\(?\s{0,4}(?:@\w{1,60}|'[^']{0,300}')\s{0,4}(?:\+|\|\|)",
    ),
    rule(
        "sql",
        "grant-all",
        250,
        "medium",
        "All rights are given, or to everybody.",
        r"(?i)\bgrant\s{1,4}all\b.{0,200}\bto\b|\bgrant\b.{0,200}\bto\s{1,4}public\b",
    ),
    rule(
        "sql",
        "command-shell",
        78,
        "high",
        "The database starts a shell.",
        r"(?i)\bxp_cmdshell\b|\bcopy\b.{0,200}\bprogram\s{1,4}'",
    ),
    rule(
        "sql",
        "plaintext-password",
        256,
        "medium",
        "The password stands in the statement.",
        r"(?i)\bidentified\s{1,4}by\s{1,4}'[^']{4,100}'|\bwith\s{1,4}password\s{1,4}'[^']{4,100}'",
    ),
    # Python that does not parse (yet).
    rule(
        "python",
        "unparsed-eval",
        95,
        "high",
        "eval or exec runs whatever it is given.",
        r"(?<![\w.])(?:eval|exec)\(\s{0,4}(?![\"'])\w",
    ),
    rule(
        "python",
        "unparsed-deserialization",
        502,
        "high",
        "Loading this format can run code.",
        r"(?<!\w)(?:pickle|marshal|dill)\.loads?\(",
    ),
    rule(
        "python",
        "unparsed-shell",
        78,
        "high",
        "A shell interprets the command.",
        r"\bshell\s{0,4}=\s{0,4}True\b|(?<!\w)os\.system\(\s{0,4}(?:f[\"']|\w)",
    ),
    rule(
        "python",
        "unparsed-sql",
        89,
        "high",
        "The SQL is put together from strings; bind parameters.",
        r"\.execute\(\s{0,4}(?:f[\"']{1,3}\s{0,4}"
        + SQL_START
        + r"\{|[\"']{1,3}\s{0,4}"
        + SQL_START
        + r"[\"']\s{0,4}(?:%|\+|\.format))",
    ),
    rule("python", "unparsed-tls", 295, "high", "The certificate is not verified.", r"\bverify\s{0,4}=\s{0,4}False\b"),
)
