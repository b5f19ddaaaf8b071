"""The Python that a template becomes, where Jinja's own would make objects that a page has no use for.

| Jinja writes | here |
|---|---|
| a `Markup` for each value, to be joined | the escaped text alone |
| a step of the generator for each value and each text between | one for all up to the next condition or loop |
| a call for `view.name` | a look into the dict, and the call for all else |
"""

from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from markupsafe import Markup, _escape_inner  # type: ignore[attr-defined]


def escaped(value: Any) -> str:
    """What `markupsafe.escape` gives, as a plain text: it is only joined with others."""
    kind = type(value)
    if kind is str:
        # What `escape` itself calls: twenty times as fast without the object around it.
        return _escape_inner(value)
    if kind is Markup:
        return value  # type: ignore[no-any-return]
    return str(value.__html__()) if hasattr(value, "__html__") else _escape_inner(str(value))


class LeanGenerator(CodeGenerator):
    """Jinja's generator of code, for an environment whose autoescape is settled by a template's name."""

    def write_commons(self) -> None:
        super().write_commons()
        self.writeline("escaped = environment.escaped")

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802
        if frame.buffer is not None or frame.require_output_check:
            super().visit_Output(node, frame)
            return
        pieces = self._pieces(node, frame)
        self.writeline("yield " if len(pieces) == 1 else "yield concat((", node)
        for piece in pieces:
            if isinstance(piece, str):
                self.write(repr(piece))
            else:
                self._output_child_pre(piece, frame, self._make_finalize())
                self.visit(piece, frame)
                self._output_child_post(piece, frame, self._make_finalize())
            self.write("" if len(pieces) == 1 else ", ")
        self.write("" if len(pieces) == 1 else "))")

    def _pieces(self, node: nodes.Output, frame: Frame) -> list[str | nodes.Expr]:
        """Texts that are known now, neighbours as one, and expressions for later."""
        pieces: list[str | nodes.Expr] = []
        for child in node.nodes:
            try:
                known = self._output_child_to_const(child, frame, self._make_finalize())
            except Exception:  # an error is the page's to tell, as in Jinja
                pieces.append(child)
                continue
            if pieces and isinstance(pieces[-1], str):
                pieces[-1] += known
            else:
                pieces.append(known)
        return pieces

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        self.write("escaped(" if frame.eval_ctx.autoescape else "str(")

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802
        self.write(f"(at[{node.attr!r}] if type(at := ")
        self.visit(node.node, frame)
        self.write(f") is dict and {node.attr!r} in at else environment.getattr(at, {node.attr!r}))")
