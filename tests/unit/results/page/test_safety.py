"""Nothing in a run becomes markup, a page needs no other file, and all that its elements name is there."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

from flagbench.results.migrations import SCHEMA_VERSION
from flagbench.results.page.render import page
from flagbench.results.page.view import groups
from flagbench.results.readable import Unreadable
from flagbench.results.runs import find_all
from flagbench.results.worst_queries import Example, Examples, Passage
from tests.unit.page_runs import many_tasks, page_run, page_task, worst_of
from tests.unit.page_tree import Element, read_page
from tests.unit.page_views import KNOWN, made, tasks_of

_EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;{{7*7}}\u2028"


def test_markup_in_a_run_is_shown_as_it_is(tmp_path: Path) -> None:
    evil = _EVIL + "\x00\x1b\u202d\u202e"  # a name would be shown reversed
    name = _EVIL.replace("/", "|")
    passage = Passage(evil, evil, 1, 1.0, 1)
    examples = Examples(name, evil, [Example(evil, evil, evil, evil, 0.5, [passage], [passage])])
    settings = {
        "task": {"main_score": evil, "dataset": evil, "revision": evil},
        "instruction": {evil: evil},
        "data": {},
    }
    task = replace(
        page_task(name),
        kind=evil,
        settings=settings,
        data={"status": "differs", "differences": [evil]},
        note=evil,
        scores={evil: {evil: 0.5, "b": 0.25}},
        search={"library": evil},
        seconds={evil: 5.0},
        sample={"profile": evil, "items": 1, "of": 2, "error": 0.5},
        finished=evil,
    )
    failed = replace(page_task("F", None), kind=evil, status="error", error=evil)
    fields = {"spec": {evil: evil, "n": {evil: [evil]}}, "evidence": (evil,), "environment": {"device_name": evil}}
    folders = []
    for at in range(2):
        # No file can have such a name or text: the record is made to name these things after it is written.
        folder = page_run(tmp_path, f"org/{at}", page_task("A"), benchmark="evil")
        file = folder / "flagbench" / "run.json"
        document = json.loads(file.read_text(encoding="utf-8"))
        (folder / "flagbench" / "worst_queries").mkdir()
        written = {"schema_version": SCHEMA_VERSION} | vars(examples)
        (folder / Examples.file(name)).write_text(json.dumps(written, default=vars), encoding="utf-8")
        document |= {**fields, "model": f"org/{at}{_EVIL}", "revision": evil, "benchmark": evil}
        document["tasks"] = {
            each.name: {**vars(each), "files": [Examples.file(name)] if each is task else []} for each in (task, failed)
        }
        file.write_text(json.dumps(document), encoding="utf-8")
        folders.append(folder)
    for chosen in (folders[:1], folders):
        runs = find_all(chosen)
        text = page(groups(runs, {}), "en", unreadable=[Unreadable(evil, evil)])
        text.encode()  # there are no halves of surrogate pairs in it
        tree = read_page(text)
        assert [len(list(tree.all(name))) for name in ("script", "style", "img")] == [1, 1, 0]
        assert not re.search("[\x00\x1b\u202d\u202e]", text)
        assert "49" not in tree.one("h1").text
        shown = _EVIL + "\N{REPLACEMENT CHARACTER}" * 4
        for where in ("bdi", "li", "dd", "code"):
            assert any(shown in each.text for each in tree.all(where)), where
        body = tasks_of(tree)[name]
        assert body.one("button").text.removesuffix(" ≠") == name
        assert ("<script>" in next(tree.all("title")).text) == (len(chosen) == 1)
        assert all(not key.startswith("on") for each in tree.all() for key in each.attributes)


def test_a_page_needs_no_other_file_and_allows_no_other_script(tmp_path: Path) -> None:
    folder = page_run(tmp_path, "org/one", page_task("A"), worst={"A": worst_of("A", 2, 20)})
    for served in (False, True):
        tree = read_page(page(groups(find_all([folder]), KNOWN), "en", version="1" if served else ""))
        rules = tree.one("meta", http_equiv="Content-Security-Policy").attributes["content"].split("; ")
        for element, rule in (("script", "script-src"), ("style", "style-src")):
            digest = hashlib.sha256(tree.one(element).text.encode()).digest()
            assert f"{rule} 'sha256-{base64.b64encode(digest).decode()}'" in rules
        assert [rule for rule in rules if not rule.startswith(("script-src", "style-src"))] == [
            "default-src 'none'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            *(["connect-src 'self'"] if served else []),
        ]
        assert ("connect-src 'self'" in rules) == served
        assert not [rule for rule in rules if "unsafe" in rule or "http" in rule or "*" in rule]
        for each in tree.all():
            for key in ("src", "href", "action", "srcset", "xlink:href"):
                held = ("data:text/csv;charset=utf-8;base64,", "data:application/json;charset=utf-8;base64,")
                allowed = ("#", "data:image/svg+xml", *(held if "download" in each.attributes else ()))
                assert each.attributes.get(key, "#").startswith(allowed), each
            assert "style" not in each.attributes
        assert "@import" not in tree.one("style").text
        assert "url(" not in tree.one("style").text


def test_all_that_is_named_is_there(tmp_path: Path) -> None:
    folders = [page_run(tmp_path, f"org/{at}", *many_tasks(6, at), values={"Task00": [0.5] * 9}) for at in range(3)]
    for some in (folders[:1], folders):
        tree, _ = made(some)
        ids = [each.attributes["id"] for each in tree.all(id=None)]
        assert len(ids) == len(set(ids))
        for key in ("aria-labelledby", "aria-controls"):
            assert {each.attributes[key] for each in tree.all() if key in each.attributes} <= set(ids)
        assert {each.attributes["href"][1:] for each in tree.all("a") if "download" not in each.attributes} <= set(ids)
        for table in tree.all("table"):
            width = len(list(next(table.all("thead"), table).all("th", scope="col")))
            for row in table.all("tr") if width else ():
                cells = [each for each in row.inside if isinstance(each, Element)]
                assert sum(int(each.attributes.get("colspan", 1)) for each in cells) == width
        for heading in (
            each for table in tree.all("table", class_="sortable scores") for each in table.one("thead").all("th")
        ):
            assert heading.attributes["aria-sort"] == "none"
            assert heading.one("button").attributes["data-sort"] in ("number", "text")
        for each in tree.all():
            if each.name in ("input", "select"):
                assert any(each in label.inside for label in tree.all("label"))
