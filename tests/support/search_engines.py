"""Search engines on loopback: each speaks the wire format of a real one, and refuses as it does.

    up.always(BRAVE.answer(pages), on=BRAVE.path)      # a search, with the key KEY; another is refused
    up.reply(BRAVE.refusal(429))                       # what it says instead of an answer

They honour the number of results that they are asked for, and the domains where they know a way to name them.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from tests.support.upstream import Answer, Recorded, Reply, Wire

KEY: Final = "key-of-the-engine-1234"


@dataclass(frozen=True, slots=True)
class Page:
    url: str
    title: str
    text: str
    published: str | None = None
    score: float | None = None


PAGES: Final = (
    Page("https://paris.example/city", "Paris, the city", "Paris is the capital of France.", "2024-05-01", 0.9),
    Page("https://news.paris.example/today?a=1&b=2", "Today & tomorrow", "It rains <3 times> a week.", None, 0.7),
    Page("https://notparis.example/", "Not Paris", "Elsewhere entirely.", "2020-01-01", 0.5),
    Page("http://lyon.example/", "Lyon “the other”", "Lyon is großartig.", None, 0.3),
)


@dataclass(frozen=True)
class Engine:
    """`type` is the provider's, `data_key` where requests bring keys. `body` writes pages, `errors` what it says to a
    status; `key_of` reads the key of a request, `query_of` and `count_of` what is asked."""

    type: str
    path: str
    body: Callable[[Sequence[Page]], bytes]
    errors: Callable[[int, str], bytes]
    query_of: Callable[[Recorded], str]
    data_key: str | None = None
    root: str = ""
    content_type: str = "application/json"
    key_of: Callable[[Recorded], str | None] = lambda request: None
    count_of: Callable[[Recorded], int | None] = lambda request: None
    domains_of: Callable[[Recorded], Sequence[str]] = lambda request: _sites(request.query["q"])
    bad_key_status: int = 401

    @property
    def name(self) -> str:
        return self.type.partition("::")[2]

    def answer(self, pages: Sequence[Page] = PAGES, *, wire: Wire | None = None, key: str = KEY) -> Reply:
        def reply(request: Recorded) -> Answer:
            if self.data_key is not None and self.key_of(request) != key:
                return self.refusal(self.bad_key_status)
            domains = self.domains_of(request)
            found = [page for page in pages if not domains or any(domain in page.url for domain in domains)]
            body = self.body(found[: self.count_of(request)])
            return (wire or Wire()).body(body, self.content_type)

        return reply

    def refusal(
        self, status: int, message: str = "The llama is asleep.", *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        return Wire().body(self.errors(status, message), self.content_type, status, headers)


def _sites(query: str) -> list[str]:
    return re.findall(r"site:([^\s()]+)", query)


def _dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _brave(pages: Sequence[Page]) -> bytes:
    results = [
        _present(
            title=html.escape(page.title), url=page.url, description=html.escape(page.text), page_age=page.published
        )
        | {"type": "search_result", "family_friendly": True, "extra_snippets": None}
        for page in pages
    ]
    return _dumps({"type": "search", "query": {"original": "q"}, "web": {"type": "search", "results": results}})


def _brave_error(status: int, message: str) -> bytes:
    code = "SUBSCRIPTION_TOKEN_INVALID" if status == 422 and "asleep" in message else "ERROR"
    error = {"id": "e-1", "status": status, "code": code, "detail": message, "meta": {"component": "authentication"}}
    return _dumps({"type": "ErrorResponse", "error": error, "time": 1})


def _tavily(pages: Sequence[Page]) -> bytes:
    results = [
        _present(title=page.title, url=page.url, content=page.text, published_date=page.published)
        | {"score": page.score, "raw_content": None}
        for page in pages
    ]
    return _dumps({"query": "q", "answer": None, "images": [], "results": results, "response_time": 0.1})


def _bing(pages: Sequence[Page]) -> bytes:
    if not pages:
        return _dumps({"_type": "SearchResponse", "queryContext": {"originalQuery": "q"}})
    value = [
        _present(name=page.title, url=page.url, snippet=page.text, datePublished=page.published) | {"id": f"#{number}"}
        for number, page in enumerate(pages)
    ]
    return _dumps({"_type": "SearchResponse", "webPages": {"totalEstimatedMatches": 9, "value": value}})


def _searxng(pages: Sequence[Page]) -> bytes:
    results = [
        {"url": page.url, "title": page.title, "content": page.text, "publishedDate": page.published}
        | {"score": page.score, "engine": "wikipedia", "engines": ["wikipedia"], "category": "general"}
        for page in pages
    ]
    return _dumps({"query": "q", "number_of_results": 0, "results": results, "answers": [], "suggestions": []})


def duckduckgo_page(pages: Sequence[Page]) -> bytes:
    """The page for browsers without scripts: links lead through the engine, the first result is an advertisement."""
    link = '<a rel="nofollow" class="{}" href="//duckduckgo.com/l/?uddg={}&amp;rut=abc">{}</a>'
    results = [
        '<div class="result results_links result--ad"><h2 class="result__title"><a class="result__a" '
        'href="https://duckduckgo.com/y.js?ad_domain=shop.example&amp;u3=https%3A%2F%2Fshop.example">Buy Paris</a></h2>'
        '<a class="result__snippet" href="https://duckduckgo.com/y.js?x=1">Cheap!</a></div>'
    ]
    for page in pages:
        target, title = quote(page.url, safe=""), html.escape(page.title)
        words = html.escape(page.text).replace("Paris", "<b>Paris</b>")
        results.append(
            f'<div class="result results_links"><div class="links_main links_deep result__body"><h2 '
            f'class="result__title">{link.format("result__a", target, title)}</h2><div class="result__extras">'
            f'<a class="result__url" href="//duckduckgo.com/l/?uddg={target}">{html.escape(page.url)}</a></div>'
            f"{link.format('result__snippet', target, words)}<div class=clear></div></div></div>"
        )
    none = "" if pages else '<div class="no-results">No results.</div>'
    return _document(f'<form action="/html/"><input name=q></form>{"".join(results)}{none}<a href="/settings">More</a>')


def duckduckgo_lite_page(pages: Sequence[Page]) -> bytes:
    rows = "".join(
        f"<tr><td>{number}.&nbsp;</td><td><a rel=nofollow href='{html.escape(page.url)}' class='result-link'>"
        f"{html.escape(page.title)}</a></td></tr><tr><td>&nbsp;</td><td class='result-snippet'>{html.escape(page.text)}"
        f"</td></tr><tr><td><span class='link-text'>{html.escape(page.url)}</span></td></tr>"
        for number, page in enumerate(pages, 1)
    )
    return _document(f"<table>{rows}</table>")


def plain_results_page(pages: Sequence[Page]) -> bytes:
    """As many other engines write it: headings that are links, and a paragraph each (end tags left out)."""
    items = "".join(
        f'<article><h3><a href="{html.escape(page.url)}">{html.escape(page.title)}</a></h3>'
        f"<script>var x = '<p>no</p>';</script><p>{html.escape(page.text)}</article>"
        for page in pages
    )
    return _document(f'<h2><a href="/about">About us</a></h2>{items}')


def challenge_page() -> bytes:
    return _document('<div class="anomaly-modal__mask"><div class="anomaly-modal__title">Are you a robot?</div></div>')


def _document(body: str) -> bytes:
    page = f"<!DOCTYPE html><html><head><meta charset=utf-8><title>q at us</title></head><body>{body}</body></html>"
    return page.encode()


def _count(name: str) -> Callable[[Recorded], int]:
    return lambda request: int(request.query[name])


BRAVE: Final = Engine(
    "remote::brave-search",
    path="/res/v1/web/search",
    root="/res/v1",
    data_key="brave_search_api_key",
    body=_brave,
    errors=_brave_error,
    key_of=lambda request: request.headers.get("x-subscription-token"),
    query_of=lambda request: request.query["q"],
    count_of=_count("count"),
    bad_key_status=422,
)
TAVILY: Final = Engine(
    "remote::tavily-search",
    path="/search",
    data_key="tavily_search_api_key",
    body=_tavily,
    errors=lambda status, message: _dumps({"detail": {"error": message}}),
    key_of=lambda request: request.headers.get("authorization", "").removeprefix("Bearer "),
    query_of=lambda request: str(request.body["query"]),
    count_of=lambda request: int(request.body["max_results"]),
    domains_of=lambda request: request.body.get("include_domains", []),
)
BING: Final = Engine(
    "remote::bing-search",
    path="/v7.0/search",
    root="/v7.0",
    data_key="bing_search_api_key",
    body=_bing,
    errors=lambda status, message: _dumps({"_type": "ErrorResponse", "errors": [{"code": "X", "message": message}]}),
    key_of=lambda request: request.headers.get("ocp-apim-subscription-key"),
    query_of=lambda request: request.query["q"],
    count_of=_count("count"),
)
SEARXNG: Final = Engine(
    "remote::searxng",
    path="/search",
    body=_searxng,
    errors=lambda status, message: _dumps({"error": message}),
    query_of=lambda request: request.query["q"],
)
KEYLESS: Final = Engine(
    "inline::web-search",
    path="/html/",
    root="/html/",
    body=duckduckgo_page,
    errors=lambda status, message: _document(f"<h1>{message}</h1>"),
    query_of=lambda request: request.query["q"],
    content_type="text/html; charset=UTF-8",
)
ENGINES: Final = (BRAVE, TAVILY, BING, SEARXNG, KEYLESS)
KEYED: Final = tuple(engine for engine in ENGINES if engine.data_key is not None)


def wolfram(request: Recorded) -> Answer:
    """WolframAlpha's `/v2/query`."""
    if request.query["appid"] != KEY:
        error = {"code": "1", "msg": "Invalid appid"}
        return Wire().body(_dumps({"queryresult": {"success": False, "error": error}}), "application/json")
    if "nonsense" in request.query["input"]:
        return Wire().body(
            _dumps({"queryresult": {"success": False, "error": False, "numpods": 0}}), "application/json"
        )
    pods = [
        {"title": "Input interpretation", "id": "Input", "subpods": [{"title": "", "plaintext": "2 + 2"}]},
        {"title": "Result", "id": "Result", "primary": True, "subpods": [{"title": "", "plaintext": "4"}]},
        {"title": "Number line", "id": "NumberLine", "subpods": [{"title": "", "plaintext": ""}]},
        {"title": "Number name", "id": "NumberName", "subpods": [{"title": "", "plaintext": "four"}]},
    ]
    return Wire().body(_dumps({"queryresult": {"success": True, "error": False, "pods": pods}}), "application/json")
