"""What can be done while a template is compiled need not be done while it is shown: most of an ordinary page's time.

Each language has its own compiled templates, so a literal `_("…")` can become the words themselves and its
placeholders ordinary output expressions:

| in a template | what it shows |
|---|---|
| `_("Hi %(name)s", name=n)` | the text and the value, both escaped (a `Markup` value stays as it is) |
| `_html("Read <a href=\\"%(url)s\\">this</a>", url=u)` | the text as HTML, the value escaped |
| `ngettext("%(num)s point", "%(num)s points", n)` | the form for `n`, escaped; `num` as the region has it |
| `_(variable)` | looked up when shown, for a text marked with `N_` in Python |
| `asset("css/app.css")` | the asset's address |

Indentation is left out of everything but `.txt` templates: 4 to 5 % of a compressed page. So a template must
not rely on it, as in a `<pre>`; values keep theirs.

The catalogues are not trusted with HTML but for `_html`, whose tags the tests compare with the source's.
A placeholder without a value, or an asset that is not there, stops the template from compiling.
"""

import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, cast

from jinja2 import Environment, TemplateAssertionError, nodes
from jinja2.visitor import NodeTransformer

from web.foundation.emitting import LeanGenerator, escaped
from web.foundation.joining import place_blocks, place_parts
from web.foundation.languages import PLACEHOLDER, Catalogue

INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)


class FoldingEnvironment(Environment):
    """An environment for the language of `catalogue`; `address` gives an asset's URL or raises KeyError."""

    catalogue: Catalogue
    address: Callable[[str], str]
    code_generator_class = LeanGenerator
    escaped = staticmethod(escaped)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._trees: dict[str, nodes.Template] = {}

    @staticmethod
    def is_markup(name: str | None) -> bool:
        """Whether values are escaped: in everything but `.txt` templates."""
        return name is None or not name.endswith(".txt")

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """One mapping, where Jinja keeps two to look through for each page."""
        return {**self.globals, **(d or {})}

    def plural_form(self, number: int) -> int:
        """Called by compiled templates."""
        return self.catalogue.form(abs(number))

    # Jinja has no public place to change a syntax tree; this is the one that all ways to compile pass.
    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if self.auto_reload:
            # A file that may still change is read when it is asked for.
            return self._folded(source, name, filename)
        template = self._trees.get(name or "") or self._placed(source, name, filename)
        return place_blocks(template, name, self._tree)

    def _folded(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template = super()._parse(
            INDENTATION.sub("", source) if self.is_markup(name) else source, name, filename
        )
        _Folding(self, name, filename).visit(template)
        return template

    def _placed(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template = place_parts(self._folded(source, name, filename), self._tree)
        if name:
            self._trees[name] = template
        return template

    def _tree(self, name: str) -> nodes.Template:
        """Another file, for those that take something from it."""
        if name not in self._trees:
            assert self.loader is not None
            source, filename, _ = self.loader.get_source(self, name)
            self._placed(source, name, filename)
        return self._trees[name]


class _Folding(NodeTransformer):
    def __init__(self, environment: FoldingEnvironment, name: str | None, filename: str | None) -> None:
        self._catalogue = environment.catalogue
        self._address = environment.address
        self._name, self._filename = name, filename
        self._functions: dict[str, Callable[[nodes.Call], nodes.Expr]] = {
            "_": self._gettext,
            "_html": self._html,
            "ngettext": self._ngettext,
            "asset": self._asset,
        }

    def visit_Call(self, node: nodes.Call) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.node, nodes.Name) and (fold := self._functions.get(node.node.name)):
            return cast(nodes.Expr, fold(node).set_lineno(node.lineno, override=True))
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802
        """Each part of a joined text is written on its own: same output, and constants melt together."""
        self.generic_visit(node)
        node.nodes = [
            part
            for child in node.nodes
            for part in (child.nodes if isinstance(child, nodes.Concat) else [child])
        ]
        return node

    def _gettext(self, call: nodes.Call) -> nodes.Expr:
        if (literals := _literals(call, 1)) is None or len(call.args) != 1:
            return call
        (message,) = literals
        values = _values(call)
        self._require(call, message, values)
        return self._filled(call, self._catalogue.text(message), values, nodes.Const)

    def _html(self, call: nodes.Call) -> nodes.Expr:
        if (literals := _literals(call, 1)) is None or len(call.args) != 1:
            raise self._error(call, "_html takes one literal text")
        (message,) = literals
        values = _values(call)
        self._require(call, message, values)
        return self._filled(call, self._catalogue.text(message), values, nodes.TemplateData)

    def _ngettext(self, call: nodes.Call) -> nodes.Expr:
        if (literals := _literals(call, 2)) is None or len(call.args) != 3:
            return call
        number = call.args[2]
        values = {"num": nodes.Filter(number, "number", [], [], None, None), **_values(call)}
        self._require(call, literals[1], values)
        *others, last = (
            self._filled(call, form, values, nodes.Const) for form in self._catalogue.forms(*literals)
        )
        chosen = last
        for index, form in reversed(list(enumerate(others))):
            asked = nodes.Call(nodes.EnvironmentAttribute("plural_form"), [number], [], None, None)
            test = nodes.Compare(asked, [nodes.Operand("eq", nodes.Const(index))])
            chosen = nodes.CondExpr(test, form, chosen)
        return chosen

    def _asset(self, call: nodes.Call) -> nodes.Expr:
        if (literals := _literals(call, 1)) is None:
            return call
        try:
            return nodes.Const(self._address(literals[0]))
        except KeyError:
            raise self._error(call, f"there is no asset {literals[0]!r}") from None

    def _filled(
        self,
        call: nodes.Call,
        text: str,
        values: Mapping[str, nodes.Expr],
        literal: type[nodes.Const] | type[nodes.TemplateData],
    ) -> nodes.Expr:
        """`text` with its placeholders replaced by the expressions of `values`."""
        self._require(call, text, values)
        parts: list[nodes.Expr] = []
        end = 0
        for found in PLACEHOLDER.finditer(text):
            parts += [literal(text[end : found.start()]), values[found[1]] if found[1] else literal("%")]
            end = found.end()
        parts.append(literal(text[end:]))
        return nodes.Concat(parts) if len(parts) > 1 else parts[0]

    def _require(self, call: nodes.Call, text: str, values: Mapping[str, nodes.Expr]) -> None:
        for found in PLACEHOLDER.finditer(text):
            if found[1] and found[1] not in values:
                raise self._error(call, f"{text!r} needs a value for {found[1]!r}")

    def _error(self, call: nodes.Call, message: str) -> TemplateAssertionError:
        return TemplateAssertionError(message, call.lineno, self._name, self._filename)


def _literals(call: nodes.Call, count: int) -> list[str] | None:
    """The first `count` arguments if they are literal texts and nothing is handed on by `*` or `**`."""
    arguments = call.args[:count]
    if call.dyn_args is not None or call.dyn_kwargs is not None or len(arguments) < count:
        return None
    texts = [argument.value for argument in arguments if isinstance(argument, nodes.Const)]
    return texts if len(texts) == count and all(isinstance(text, str) for text in texts) else None


def _values(call: nodes.Call) -> dict[str, nodes.Expr]:
    return {keyword.key: keyword.value for keyword in call.kwargs}
