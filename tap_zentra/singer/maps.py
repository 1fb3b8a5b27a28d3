"""Stream maps: what is said of an expression that fails, and of a map that no stream has. The SDK evaluates them."""

from __future__ import annotations

import ast
import fnmatch
from typing import TYPE_CHECKING, Any

import simpleeval  # type: ignore[import-untyped]
from singer_sdk.exceptions import FatalSyncError, MapExpressionError
from singer_sdk.mapper import CustomStreamMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from singer_sdk.mapper import StreamMap


class StreamMapError(FatalSyncError):
    """An expression of a stream map that can't be evaluated for a record; the message is one line for people."""


def name_failures(stream_maps: Iterable[StreamMap]) -> None:
    """Have expressions that fail say so with all that it takes to mend them; the SDK tells of some, and only what."""
    for stream_map in stream_maps:
        if isinstance(stream_map, CustomStreamMap):
            # The one place that sees every expression.
            stream_map._eval = _named(stream_map)  # type: ignore[assignment, method-assign] # noqa: SLF001


def unknown_streams(stream_maps: Mapping[str, Any], streams: Iterable[str]) -> list[str]:
    """Return the streams that stream maps are for and that there are not.

    Args:
        stream_maps: As configured: by the stream's name, or a pattern of it, or by another name with a `__source__`.
        streams: Names of the streams that there are.
    """
    wanted = [
        definition.get("__source__", name) if isinstance(definition, dict) else name
        for name, definition in stream_maps.items()
        if not name.startswith("__")
    ]
    return [name for name in wanted if not fnmatch.filter(streams, str(name))]


def _named(stream_map: CustomStreamMap) -> Callable[[str, ast.Expr, dict[str, Any], str | None], Any]:
    """Return what evaluates an expression as the SDK does, and raises StreamMapError where that fails."""
    evaluate = stream_map._eval  # noqa: SLF001 - as above

    def named(expr: str, expr_parsed: ast.Expr, record: dict[str, Any], property_name: str | None) -> object:
        try:
            return evaluate(expr, expr_parsed, record, property_name)
        except Exception as error:  # noqa: BLE001 - an expression can raise whatever Python can
            # What simpleeval raises comes wrapped, everything else as it is.
            cause = error.__cause__ if isinstance(error, MapExpressionError) and error.__cause__ else error
            key = ", ".join(f"{column} {record.get(column)}" for column in stream_map.raw_key_properties or ())
            message = (
                f"stream map of {stream_map.stream_name}: `{property_name or '__filter__'}: {expr}` failed for the "
                f"record with {key}: {_advice(cause, expr_parsed, record, property_name)}"
            )
            raise StreamMapError(" ".join(message.split())) from None

    return named


def _advice(cause: BaseException, parsed: ast.Expr, record: Mapping[str, Any], property_name: str | None) -> str:
    """Return why an expression failed, and what to write instead."""
    if isinstance(cause, simpleeval.NameNotDefined):
        return f"there is no column {cause.name}; the columns are {', '.join(record)}"
    nulls = list(dict.fromkeys(_nulls(parsed, record, property_name)))
    if nulls and isinstance(cause, TypeError | AttributeError | simpleeval.AttributeDoesNotExist):
        are_null = f"{' and '.join(nulls)} {'is' if len(nulls) == 1 else 'are'} null"
        return f"{are_null}; use {_guarded(parsed, [f'{name} is not None' for name in nulls], property_name)} instead"
    divisors = list(dict.fromkeys(_divisors(parsed)))
    if divisors and isinstance(cause, ZeroDivisionError):
        return f"division by zero; use {_guarded(parsed, divisors, property_name)} instead"
    reason = f"{type(cause).__name__}: {cause}"
    return f"{reason}; write it so that it works for every record, for example with `… if … else None`"


def _nulls(parsed: ast.Expr, record: Mapping[str, Any], property_name: str | None) -> Iterator[str]:
    """Yield what is null in a record and used in an expression that does not ask whether it is."""
    values = {**record, "self": record.get(property_name or "", ...)}
    asked = {ast.unparse(node.left) for node in ast.walk(parsed) if isinstance(node, ast.Compare) and _is_none(node)}
    for node in ast.walk(parsed):
        match node:
            case (
                ast.Name(id=column)
                | ast.Subscript(value=ast.Name(id="record" | "_"), slice=ast.Constant(value=str(column)))
            ):
                if values.get(column, ...) is None and ast.unparse(node) not in asked:
                    yield ast.unparse(node)


def _is_none(comparison: ast.Compare) -> bool:
    return any(isinstance(other, ast.Constant) and other.value is None for other in comparison.comparators)


def _divisors(parsed: ast.Expr) -> Iterator[str]:
    """Yield what an expression divides by, unless that is always the same."""
    for node in ast.walk(parsed):
        match node:
            case ast.BinOp(op=ast.Div() | ast.FloorDiv() | ast.Mod(), right=divisor):
                if not isinstance(divisor, ast.Constant):
                    yield ast.unparse(divisor)


def _guarded(parsed: ast.Expr, conditions: list[str], property_name: str | None) -> str:
    """Return an expression, with its name, that is evaluated only where some conditions hold."""
    expr, holds = ast.unparse(parsed), " and ".join(conditions)
    if property_name is None:
        return f"`__filter__: {holds} and ({expr})`"
    # Else the condition would belong to the last of the expression's own branches.
    whole = f"({expr})" if isinstance(parsed.value, ast.IfExp) else expr
    return f"`{property_name}: {whole} if {holds} else None`"
