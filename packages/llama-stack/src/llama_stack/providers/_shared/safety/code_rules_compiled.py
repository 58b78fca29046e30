"""Insecure patterns of compiled languages (C and C++, Java, Go), and those of any language."""

from __future__ import annotations

from typing import Final

from llama_stack.providers._shared.safety.code_rules import CREDENTIAL, SQL_START, VALUE, PatternRule, rule

COMPILED_RULES: Final[tuple[PatternRule, ...]] = (
    # What holds for every language.
    rule(
        "",
        "hardcoded-secret",
        798,
        "medium",
        "A secret stands in the code; read it from outside.",
        CREDENTIAL + r"\s{0,8}(?::=|=>|=|:)\s{0,8}" + VALUE,
    ),
    rule(
        "", "private-key", 321, "high", "A private key stands in the code.", r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
    ),
    rule(
        "",
        "cloud-key",
        798,
        "high",
        "An access key stands in the code.",
        r"\b(?:AKIA[A-Z2-7]{16}|gh[pousr]_[A-Za-z0-9]{36}|AIza[\w-]{35}|sk_live_[A-Za-z0-9]{16,99})\b",
    ),
    # C and C++.
    rule("c", "gets", 242, "high", "gets cannot know how long its buffer is; use fgets.", r"(?<![\w.>])gets\s{0,4}\("),
    rule(
        "c",
        "unbounded-copy",
        120,
        "high",
        "The copy has no bound; use snprintf, strlcpy or std::string.",
        r"(?<![\w.>])(?:strcpy|strcat|sprintf|vsprintf|stpcpy|wcscpy)\s{0,4}\(",
    ),
    rule(
        "c",
        "unbounded-scan",
        120,
        "high",
        "%s without a width overruns its buffer.",
        r"(?<!\w)[fs]?scanf\s{0,4}\([^\"]{0,100}\"[^\"]{0,100}%s",
    ),
    rule(
        "c",
        "format-string",
        134,
        "high",
        'The format comes from a variable; use printf("%s", text).',
        r"(?<![\w.>])(?:printf\s{0,4}\(|fprintf\s{0,4}\(\s{0,4}\w{1,40}\s{0,4},|"
        r"syslog\s{0,4}\(\s{0,4}\w{1,40}\s{0,4},)\s{0,4}[A-Za-z_]\w{0,60}\s{0,4}\)",
    ),
    rule(
        "c",
        "system",
        78,
        "high",
        "A shell interprets the command.",
        r"(?<![\w.>])(?:std::)?(?:system|popen)\s{0,4}\(\s{0,4}(?!\"[^\"]{0,500}\"\s{0,4}[,)])",
    ),
    rule(
        "c",
        "temporary-name",
        377,
        "medium",
        "Another process can take the name first; use mkstemp.",
        r"(?<![\w.>])(?:tmpnam|mktemp|tempnam)\s{0,4}\(",
    ),
    rule("c", "weak-random", 338, "low", "rand can be foretold.", r"(?<![\w.>:])s?rand\s{0,4}\("),
    rule(
        "c",
        "weak-hash",
        327,
        "medium",
        "MD5 and SHA-1 do not protect.",
        r"(?<!\w)(?:MD5|SHA1)(?:_Init|_Update)?\s{0,4}\(",
    ),
    # Java and Kotlin.
    rule(
        "java",
        "deserialization",
        502,
        "high",
        "readObject can run code of the sender's choice.",
        r"\.readObject\s{0,4}\(\s{0,4}\)|new\s{1,4}XMLDecoder\b",
    ),
    rule(
        "java",
        "sql-injection",
        89,
        "high",
        "The SQL is put together from strings; use PreparedStatement.",
        r"\"\s{0,4}" + SQL_START + r"\"\s{0,4}\+|String\.format\(\s{0,4}\"\s{0,4}" + SQL_START + "%s",
    ),
    rule(
        "java",
        "command",
        78,
        "high",
        "The command is put together from strings.",
        r"getRuntime\(\)\s{0,4}\.exec\s{0,4}\((?!\s{0,4}\"[^\"]{0,300}\"\s{0,4}\))",
    ),
    rule(
        "java",
        "weak-hash",
        327,
        "medium",
        "MD5 and SHA-1 do not protect.",
        r"MessageDigest\.getInstance\(\s{0,4}\"(?i:md5|sha-?1)\"",
    ),
    rule(
        "java",
        "weak-cipher",
        327,
        "high",
        "This cipher or mode is broken.",
        r"Cipher\.getInstance\(\s{0,4}\"(?:DES|DESede|RC4|RC2|AES/ECB|AES\")",
    ),
    rule(
        "java",
        "tls-unverified",
        295,
        "high",
        "Every certificate or host is accepted.",
        r"ALLOW_ALL_HOSTNAME_VERIFIER|NoopHostnameVerifier|TrustAllStrategy|"
        r"checkServerTrusted\([^)]{0,200}\)[^{]{0,100}\{\s{0,4}\}",
    ),
    rule(
        "java",
        "xxe",
        611,
        "low",
        "External entities are on by default; turn them off.",
        r"DocumentBuilderFactory\.newInstance\(\)|SAXParserFactory\.newInstance\(\)|"
        r"XMLInputFactory\.newFactory\(\)",
    ),
    rule(
        "java",
        "weak-random",
        338,
        "medium",
        "java.util.Random can be foretold; use SecureRandom.",
        r"(?i:token|secret|password|session|nonce|otp)\w{0,20}\s{0,4}=.{0,100}new\s{1,4}Random\(",
    ),
    # Go.
    rule(
        "go",
        "tls-unverified",
        295,
        "high",
        "The certificate is not verified.",
        r"InsecureSkipVerify\s{0,4}:\s{0,4}true",
    ),
    rule(
        "go",
        "sql-injection",
        89,
        "high",
        "The SQL is put together from strings; use parameters.",
        r"Sprintf\(\s{0,4}[\"`]\s{0,4}" + SQL_START + r"%[sv]|[\"`]\s{0,4}" + SQL_START + r"[\"`]\s{0,4}\+",
    ),
    rule(
        "go",
        "shell",
        78,
        "high",
        "A shell interprets the command.",
        r"exec\.Command(?:Context)?\([^)]{0,100}\"(?:sh|bash|/bin/sh|/bin/bash|"
        r"cmd)\"\s{0,4},\s{0,4}\"[-/]c\"\s{0,4},\s{0,4}[^\"]",
    ),
    rule("go", "weak-hash", 327, "medium", "MD5 and SHA-1 do not protect.", r"(?<!\w)(?:md5|sha1)\.(?:New|Sum)\("),
    rule(
        "go", "unescaped-template", 79, "medium", "Data becomes markup unescaped.", r"template\.(?:HTML|JS|URL)\([a-z]"
    ),
)
