"""Checks the templates without rendering them: `python -m tests.support.templates FOLDER`.

A finding is a template that does not parse, one that names another that is not there, a text that a person
would read and that is not inside a translation, a picture without `alt`, or markup that the content security
policy blocks. What is the same in every language (a name, a unit) says so as HTML has it: `translate="no"`.
"""

import re
import sys
from collections.abc import Iterator, Set
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.meta import find_referenced_templates

_SHOWN_OR_READ_ALOUD = {"alt", "title", "placeholder", "label", "aria-label", "aria-description"}
_SYNTAX = Environment(
    extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"], autoescape=True
)
_EXPRESSION = "\N{OBJECT REPLACEMENT CHARACTER}"
_WORD = re.compile(r"[^\W\d_]{2,}")
_ATTRIBUTE = re.compile(r"""[\w:-]+=("[^"]*"|'[^']*')""")  # in a macro whose result is put into a tag
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


def findings(folder: Path) -> Iterator[str]:
    """Each thing that is wrong with the templates of a folder, as `file:line: what`, file by file."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.*"))}
    trees = {}
    for name, path in files.items():
        try:
            trees[name] = _SYNTAX.parse(path.read_text())
        except TemplateSyntaxError as error:
            yield f"{path}:{error.lineno}: {error.message}"
    in_tags = {block for tree in trees.values() for block in _blocks_in_tags(tree)}
    for name, tree in trees.items():
        path = files[name]
        for other in find_referenced_templates(tree):
            if other is not None and other not in files:
                yield f"{path}:1: there is no template {other}"
        if path.suffix in {".html", ".svg"}:
            markup = _Markup(is_mail=name.startswith("emails/"))
            markup.feed(_own_text(tree, in_tags))
            markup.close()
            yield from (f"{path}:{line}: {what}" for line, what in markup.found)
        elif path.suffix == ".txt":
            for line, text in enumerate(_own_text(tree).split("\n"), 1):
                if _WORD.search(text):
                    yield f"{path}:{line}: not translated: {text.strip()}"


def _blocks_in_tags(tree: nodes.Template) -> Iterator[str]:
    """Names of the blocks that stand inside a tag: what fills them elsewhere is no text of the page."""
    if tree.find(nodes.Extends):
        return
    text = ""
    for _, piece, block in _pieces(tree):
        if block and text.rfind("<") > text.rfind(">"):
            yield block
        text += piece


def _own_text(tree: nodes.Template, left_out: Set[str] = frozenset()) -> str:
    """The template's own characters, each on its own line number, with a mark in place of each expression.

    Without what a template that extends another gives to the blocks left out.
    """
    text = ""
    extends = tree.find(nodes.Extends) is not None
    for line, piece, block in _pieces(tree):
        if not (extends and block in left_out):
            text += "\n" * (line - 1 - text.count("\n")) + piece
    return text


def _pieces(node: nodes.Node, block: str = "") -> Iterator[tuple[int, str, str]]:
    """Line, characters and block of all that is put out, down the tree and through every branch."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.TemplateData):
            yield child.lineno, child.data, block
        elif isinstance(child, nodes.Expr):
            if isinstance(node, nodes.Output):
                yield child.lineno, _put_out(child), block
        elif isinstance(child, nodes.Block):
            yield child.lineno, "", child.name
            yield from _pieces(child, child.name)
        else:
            yield from _pieces(child, block)


def _put_out(expression: nodes.Expr | None) -> str:
    """What an expression puts out: a literal, or either of two; a mark for what only rendering tells."""
    if isinstance(expression, nodes.CondExpr):
        return _put_out(expression.expr1) + " " + _put_out(expression.expr2)
    if isinstance(expression, nodes.Const) and isinstance(expression.value, str):
        return expression.value
    return _EXPRESSION


class _Markup(HTMLParser):
    """Reads HTML in which any number of branches follow each other, so it trusts no nesting but by name."""

    def __init__(self, *, is_mail: bool) -> None:
        super().__init__()
        self.is_mail = is_mail
        self.found: list[tuple[int, str]] = []
        self._left_alone: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        is_name = given.get("translate") == "no"
        if self._left_alone and self._left_alone[0] == tag:
            self._left_alone.append(tag)
        elif not self._left_alone and tag not in _VOID and (tag in {"script", "style"} or is_name):
            self._left_alone = [tag]
        for name, value in given.items():
            shown = _is_shown(tag, name, given) and not is_name and not self._left_alone
            if shown and _WORD.search(value):
                self._find(f"not translated: {name}={value!r}")
        if tag == "img" and "alt" not in given:
            self._find("a picture without alt")
        if not self.is_mail:
            self._find_blocked(tag, given)

    def _find_blocked(self, tag: str, given: dict[str, str]) -> None:
        """What the policy blocks in a page; mails have no policy, and need their styles in place."""
        for name, value in given.items():
            if name == "style" or name.startswith(("on", "hx-on")) or value.startswith("javascript:"):
                self._find(f"blocked by the content security policy: {name}")
        data = "json" in given.get("type", "")
        if tag == "script" and not data and not {"src", "nonce"} & given.keys():
            self._find("blocked by the content security policy: <script> without nonce")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._left_alone and self._left_alone[0] == tag:
            self._left_alone.pop()

    def handle_data(self, data: str) -> None:
        for below, text in enumerate(data.split("\n")):
            if not self._left_alone and _WORD.search(_ATTRIBUTE.sub("", text)):
                self._find(f"not translated: {text.strip()}", below)

    def _find(self, what: str, below: int = 0) -> None:
        self.found.append((self.getpos()[0] + below, what))


def _is_shown(tag: str, name: str, given: dict[str, str]) -> bool:
    """Whether a person sees or hears the value of this attribute."""
    if name == "value":
        return tag == "input" and given.get("type") in {"submit", "button", "reset"}
    if name == "content":
        return given.get("name") == "description"
    return name in _SHOWN_OR_READ_ALOUD


def main(folder: Path) -> int:
    """Print every finding; 1 if there was one."""
    found = list(findings(folder))
    print("\n".join(found) or f"No finding in the templates of {folder}/.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
