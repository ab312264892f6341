"""Types of settings in words, for error messages and documentation."""

from __future__ import annotations

from msgspec import inspect

__all__ = ["describe"]


def describe(kind: inspect.Type) -> str:
    """Describe the values of a type, such as ``a number from over 0 to 1``; ``null`` is omitted.

    Args:
        kind: Type of a field, by ``msgspec.inspect.type_info``.
    """
    if isinstance(kind, inspect.Metadata):
        described = (kind.extra_json_schema or {}).get("description")
        return str(described) if described else describe(kind.type)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(describe(part) for part in kind.types if not isinstance(part, inspect.NoneType))
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return _number(kind)
    if isinstance(kind, inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in kind.values)
    if isinstance(kind, inspect.TupleType):
        return f"a list of {len(kind.item_types)} values, each {describe(kind.item_types[0])}"
    if isinstance(kind, inspect.VarTupleType) and isinstance(kind.item_type, inspect.StructType):
        return "a list of tables"
    if isinstance(kind, inspect.VarTupleType):
        return f"a list, each value {describe(kind.item_type)}"
    if isinstance(kind, inspect.StructType):
        return "a table"
    return {"BoolType": "true or false", "StrType": "text"}.get(type(kind).__name__, "another value")


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    text = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    low = f"{_bound(kind.ge)}" if kind.ge is not None else None if kind.gt is None else f"over {_bound(kind.gt)}"
    high = f"{_bound(kind.le)}" if kind.le is not None else None if kind.lt is None else f"under {_bound(kind.lt)}"
    if low is not None and high is not None:
        text += f" from {low} to {high}"
    elif low is not None:
        text += f" {low}" if kind.ge is None else f" of at least {low}"
    elif high is not None:
        text += f" up to {high}"
    return text + (f", a multiple of {_bound(kind.multiple_of)}" if kind.multiple_of is not None else "")


def _bound(value: float) -> str:
    """Format a bound with thousands separators and without an exponent."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,}"
