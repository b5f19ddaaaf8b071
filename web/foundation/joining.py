"""Templates stand in several files for those who write them; here they become one, before they are compiled.

Nothing is then looked up, copied or handed on from file to file while a page is shown:

| in a template | what is compiled |
|---|---|
| `{% include "_part.html" %}` | the part, as if it stood there |
| `{{ button(_("Save")) }}`, of a macro | the macro's body with its arguments; what they leave out is gone |
| `{% extends "base.html" %}` | the parent with the child's blocks in their places |

A macro that is handed on or filtered, or needs more than its arguments, is still called while the page is shown. A
parent or block that only then could be told is a mistake, for the page would be another one in development. A child's
imports are its own: no block of its parent may count on them.
"""

from collections.abc import Callable, Iterable
from itertools import count
from typing import TypeVar, cast

from jinja2 import Environment, TemplateAssertionError, nodes
from jinja2.visitor import NodeTransformer

AnyNode = TypeVar("AnyNode", bound=nodes.Node)
Tree = Callable[[str], nodes.Template]

# Where a statement holds others.
BODIES = ("body", "elif_", "else_")
# What gives a name a value, so that it may not reach what stands around it.
BINDING = (nodes.Assign, nodes.AssignBlock, nodes.Macro, nodes.Import, nodes.FromImport)
# Names that a macro has without having parameters of them.
IMPLIED = {"caller", "varargs", "kwargs"}


def place_parts(template: nodes.Template, tree: Tree) -> nodes.Template:
    """`template` with includes and macros in their places; `tree` gives another file in which they are so already."""
    placed = nodes.Template(_Parts(template, tree).all(template.body), lineno=1)
    imports = [node for node in placed.body if isinstance(node, nodes.FromImport)]
    used = _names(placed, "load") if imports else set()
    for node in imports:
        node.names = [name for name in node.names if _alias(name) in used]
    placed.body = [node for node in placed.body if not isinstance(node, nodes.FromImport) or node.names]
    return placed


def place_blocks(template: nodes.Template, name: str | None, tree: Tree) -> nodes.Template:
    """The template that `template` extends, with its blocks in their places; `template` where it extends none.

    Raises: TemplateAssertionError, where that cannot be told.
    """
    chain = [template]
    while parent := _parent(chain[-1]):
        chain.append(tree(parent))
    if len(chain) == 1 and not any(template.find_all(nodes.Extends)):
        return template
    if not all(map(_is_told, chain)):
        raise TemplateAssertionError("a parent or block of it cannot be told from its text", 1, name)
    blocks: dict[str, list[nodes.Block]] = {}
    for each in chain:
        for block in each.find_all(nodes.Block):
            blocks.setdefault(block.name, []).append(block)
    *children, base = chain
    first = [node for each in children for node in each.body if isinstance(node, BINDING)]
    return nodes.Template([*first, *_Blocks(blocks).all(base.body)], lineno=1)


class _Joining:
    """Puts several statements in the place of one. Others may have a part in the same trees: they are not changed."""

    def all(self, body: Iterable[nodes.Node]) -> list[nodes.Node]:
        return _run_together(each for node in body for each in self.placed(node))

    def placed(self, node: nodes.Node) -> list[nodes.Node]:
        if isinstance(node, nodes.Output):
            bodies = [self.body(child) for child in node.nodes]
            return [
                each
                for child, body in zip(node.nodes, bodies, strict=True)
                for each in ([nodes.Output([child], lineno=node.lineno)] if body is None else body)
            ]
        held = {name: self.all(body) for name in BODIES if (body := getattr(node, name, None))}
        return [_changed(node, held)]

    def body(self, asked: nodes.Expr) -> list[nodes.Node] | None:
        """What to write where an expression asks for more than a value."""
        raise NotImplementedError


class _Parts(_Joining):
    def __init__(self, template: nodes.Template, tree: Tree) -> None:
        self._tree = tree
        self._macros: dict[str, nodes.Macro] = {}
        self._around = _bound(template.body)
        self._set = _names(template, "store", "param")
        self._numbers = count(1)
        self._settled = nodes.EvalContext(cast(Environment, template.environment))

    def placed(self, node: nodes.Node) -> list[nodes.Node]:
        match node:
            case nodes.Include(
                template=nodes.Const(value=str(name)), with_context=True, ignore_missing=False
            ):
                part = self._tree(name)
                return [node] if any(part.find_all((nodes.Block, nodes.Extends))) else _in_place(part.body)
            case nodes.FromImport(template=nodes.Const(value=str(name)), with_context=False):
                self._learn_from(self._tree(name), node)
                return [_changed(node, {})]
            case nodes.Macro():
                (macro,) = super().placed(node)
                self._learn(cast(nodes.Macro, macro), node.name, self._around)
                return [macro]
        return super().placed(node)

    def _learn_from(self, library: nodes.Template, asked: nodes.FromImport) -> None:
        around = _bound(library.body)
        macros = {each.name: each for each in library.body if isinstance(each, nodes.Macro)}
        for name in asked.names:
            if macro := macros.get(name if isinstance(name, str) else name[0]):
                self._learn(macro, _alias(name), around)

    def _learn(self, macro: nodes.Macro, name: str, around: set[str]) -> None:
        """Keep a macro that needs nothing of the names around it, and is the only thing of its name."""
        used = {each for node in macro.body for each in _names(node, "load")} - {
            arg.name for arg in macro.args
        }
        is_told = name not in self._set and all(isinstance(each, nodes.Const) for each in macro.defaults)
        if is_told and not used & (around | IMPLIED):
            self._macros[name] = macro

    def body(self, asked: nodes.Expr) -> list[nodes.Node] | None:
        """What a macro writes for a call; None where it has to be called."""
        match asked:
            case nodes.Call(node=nodes.Name(name=name)) if name in self._macros:
                macro = self._macros[name]
                given = _arguments(macro, asked)
                return None if given is None else self._written(macro, given, asked.lineno)
        return None

    def _written(self, macro: nodes.Macro, given: dict[str, nodes.Expr], line: int) -> list[nodes.Node]:
        body = nodes.Scope([_copy(node) for node in macro.body], lineno=line)
        set_within = _names(body, "store") | {"loop"}
        values: dict[str, nodes.Expr] = {}
        first: list[nodes.Node] = []
        for parameter, value in given.items():
            is_known = isinstance(value, (nodes.Const, nodes.TemplateData))
            is_name = isinstance(value, nodes.Name) and value.name not in set_within
            if (is_known or is_name) and parameter not in set_within:
                values[parameter] = value
            else:
                # Under a name of its own: an argument may have the name of another parameter.
                own = f"{parameter}_{next(self._numbers)}"
                values[parameter] = nodes.Name(own, "load", lineno=line)
                first.append(nodes.Assign(nodes.Name(own, "store", lineno=line), value, lineno=line))
        _Filling(values, self._settled).visit(body)
        return _in_place([*first, *body.body])


class _Filling(NodeTransformer):
    """Writes values where their names stand, and leaves out what is then never shown."""

    def __init__(self, values: dict[str, nodes.Expr], settled: nodes.EvalContext) -> None:
        self._values = values
        self._settled = settled

    def visit_Name(self, node: nodes.Name) -> nodes.Expr:  # noqa: N802
        value = self._values.get(node.name)
        if value is None:
            return node
        if isinstance(value, nodes.Name):
            return nodes.Name(value.name, node.ctx, lineno=node.lineno)
        return _copy(value)

    def visit_If(self, node: nodes.If) -> list[nodes.Node] | nodes.Node:  # noqa: N802
        if node.elif_:
            first, *others = node.elif_
            first.elif_, first.else_ = others, node.else_
            node.elif_, node.else_ = [], [first]
        self.generic_visit(node)
        try:
            return node.body if cast(nodes.Expr, node.test).as_const(self._settled) else node.else_
        except nodes.Impossible:
            return node


class _Blocks(_Joining):
    """`blocks` are the definitions of each, the child's before its parent's."""

    def __init__(self, blocks: dict[str, list[nodes.Block]]) -> None:
        self._blocks = blocks
        self._within = ("", 0)

    def placed(self, node: nodes.Node) -> list[nodes.Node]:
        return self._filled(node.name) if isinstance(node, nodes.Block) else super().placed(node)

    def body(self, asked: nodes.Expr) -> list[nodes.Node] | None:
        match _block_asked(asked):
            case None:
                return None
            case "":
                name, depth = self._within
                return self._filled(name, depth + 1)
            case name:
                return self._filled(name)

    def _filled(self, name: str, depth: int = 0) -> list[nodes.Node]:
        before, self._within = self._within, (name, depth)
        body = _in_place(self.all(self._blocks[name][depth].body))
        self._within = before
        return body


def _parent(template: nodes.Template) -> str | None:
    asked = [node.template for node in template.body if isinstance(node, nodes.Extends)]
    return asked[0].value if len(asked) == 1 and isinstance(asked[0], nodes.Const) else None


def _is_told(template: nodes.Template) -> bool:
    """Whether what a template with a parent or a child writes can be told from its text."""
    asked = used = 0
    is_child = _parent(template) is not None
    for node in template.find_all((nodes.Output, nodes.Name, nodes.Block, nodes.Extends)):
        match node:
            case nodes.Output():
                asked += sum(_block_asked(each) is not None for each in node.nodes)
            case nodes.Name(name="self" | "super"):
                used += 1
            case nodes.Block(scoped=True) | nodes.Block(required=True):
                return False
            case nodes.Extends() if not is_child:
                return False
    known = (*BINDING, nodes.Output, nodes.Block, nodes.Extends)
    return asked == used and (not is_child or all(isinstance(node, known) for node in template.body))


def _block_asked(node: nodes.Expr) -> str | None:
    """The name in `self.name()`, "" in `super()`."""
    match node:
        case nodes.Call(node=nodes.Getattr(node=nodes.Name(name="self"), attr=str(name)), args=[], kwargs=[]):
            return name
        case nodes.Call(node=nodes.Name(name="super"), args=[], kwargs=[]):
            return ""
    return None


def _arguments(macro: nodes.Macro, call: nodes.Call) -> dict[str, nodes.Expr] | None:
    """What each parameter is in a call; None where only the call can tell, or it is wrong."""
    names = [each.name for each in macro.args]
    given = dict(zip(names[len(names) - len(macro.defaults) :], macro.defaults, strict=True))
    given |= dict(zip(names, call.args, strict=False))
    given |= {each.key: each.value for each in call.kwargs}
    is_told = call.dyn_args is None and call.dyn_kwargs is None and len(call.args) <= len(names)
    return given if is_told and set(given) == set(names) else None


def _in_place(body: list[nodes.Node]) -> list[nodes.Node]:
    """The statements for a place among others; in a scope of their own where they give names their values."""
    return [nodes.Scope(body, lineno=body[0].lineno)] if any(map(_binds, body)) else body


def _binds(node: nodes.Node) -> bool:
    if isinstance(node, BINDING):
        return True
    return isinstance(node, nodes.If) and any(_binds(each) for name in BODIES for each in getattr(node, name))


def _run_together(several: Iterable[nodes.Node]) -> list[nodes.Node]:
    """The same with neighbouring outputs as one."""
    run: list[nodes.Node] = []
    for node in several:
        last = run[-1] if run else None
        if isinstance(node, nodes.Output) and isinstance(last, nodes.Output):
            run[-1] = nodes.Output([*last.nodes, *node.nodes], lineno=last.lineno)
        else:
            run.append(node)
    return run


def _bound(body: Iterable[nodes.Node]) -> set[str]:
    """The names that a file's own statements give values to."""
    names: set[str] = set()
    for node in body:
        match node:
            case nodes.Macro(name=str(name)) | nodes.Import(target=str(name)):
                names.add(name)
            case nodes.FromImport(names=several):
                names.update(map(_alias, several))
            case nodes.Assign() | nodes.AssignBlock():
                names |= _names(node, "store")
    return names


def _names(node: nodes.Node, *contexts: str) -> set[str]:
    return {name.name for name in node.find_all(nodes.Name) if name.ctx in contexts}


def _alias(name: str | tuple[str, str]) -> str:
    return name if isinstance(name, str) else name[1]


def _changed(node: AnyNode, fields: dict[str, list[nodes.Node]]) -> AnyNode:
    made = object.__new__(type(node))
    made.__dict__.update(node.__dict__, **fields)
    return made


def _copy(node: AnyNode) -> AnyNode:
    """A node and all within it, to be changed; `deepcopy` would take along the environment."""
    made = _changed(node, {})
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(made, name, _copy(value))
        elif isinstance(value, list):
            setattr(made, name, [_copy(each) if isinstance(each, nodes.Node) else each for each in value])
    return made
