"""The elements of an HTML page, for tests that read one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset({"br", "img", "input", "link", "meta", "wbr"})


@dataclass
class Element:
    """An element with its attributes and what is in it."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    inside: list[Element | str] = field(default_factory=list)

    def all(self, name: str = "", **attributes: str | None) -> Iterator[Element]:
        """Elements below it of this name, whose attributes are these (None: it is there); ``_`` stands for a hyphen."""
        wanted = {key.strip("_").replace("_", "-"): value for key, value in attributes.items()}
        for each in self.inside:
            if isinstance(each, Element):
                there = each.attributes
                if (not name or each.name == name) and all(
                    key in there and value in (None, there[key]) for key, value in wanted.items()
                ):
                    yield each
                yield from each.all(name, **attributes)

    def one(self, name: str = "", **attributes: str | None) -> Element:
        """The only one of these."""
        (found,) = self.all(name, **attributes)
        return found

    def has(self, class_: str) -> bool:
        """Whether it is of a class."""
        return class_ in self.attributes.get("class", "").split()

    @property
    def text(self) -> str:
        """All text in it."""
        return "".join(each if isinstance(each, str) else each.text for each in self.inside)

    @property
    def words(self) -> str:
        """Its text with single spaces."""
        return " ".join(self.text.split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attributes) == len(attrs), f"{tag} has an attribute twice: {attrs}"
        self.open[-1].inside.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> within <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read_page(text: str) -> Element:
    """The page; every element must be closed in the order in which they were opened."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root
