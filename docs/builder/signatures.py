"""Signatures of records as their classes are written: pydantic's own has what it checks them by."""

from __future__ import annotations

import ast
import inspect

from pydantic import BaseModel
from pydantic.fields import FieldInfo

SHOWN = (str, int, float, bool, type(None))  # as defaults


def signature_of(model: type[BaseModel]) -> str:
    """`(*, name: type = default, ...)`."""
    fields = [_field(model, *item) for item in model.model_fields.items() if _is_given(item[1])]
    return f"({', '.join(['*', *fields])})" if fields else "()"


def _is_given(field: FieldInfo) -> bool:
    return field.init is not False


def _field(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    written = next(
        found[name] for kind in model.__mro__ if name in (found := inspect.get_annotations(kind))
    )
    text = f"{name}: {_type(written) if isinstance(written, str) else written}"
    if field.is_required():
        return text
    default = field.default if field.default_factory is None else ...
    return f"{text} = {default!r}" if isinstance(default, SHOWN) else f"{text} = ..."


def _type(written: str) -> str:
    """Without what only says which values are valid."""
    return ast.unparse(_Bare().visit(ast.parse(written, mode="eval")))


class _Bare(ast.NodeTransformer):
    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:  # ast's name
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "Annotated":
            assert isinstance(node.slice, ast.Tuple)
            return node.slice.elts[0]
        if isinstance(node.value, ast.Name) and node.value.id == "SerializeAsAny":
            return node.slice
        return node
