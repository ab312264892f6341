"""Documents of strangers: JSON, XML and YAML within limits on their size, and without anything that they could call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, ParseError

import msgspec

from lpnet_rt.errors import DataError, DependencyError, reason
from lpnet_rt.files import read_limited

__all__ = ["read_json", "read_text_lines", "read_xml", "read_yaml"]

_JSON_LIMIT_BYTES = 1 << 29
_XML_LIMIT_BYTES = 1 << 28
_TEXT_LIMIT_BYTES = 1 << 28
_YAML_LIMIT_BYTES = 1 << 20

_Kind = TypeVar("_Kind")


def read_json(path: Path, kind: type[_Kind], what: str) -> _Kind:
    """Read a JSON file as a type.

    Args:
        path: The file.
        kind: Type that it must have.
        what: Kind of file, for the message.

    Raises:
        DataError: It cannot be read, is too large or is of another form.
    """
    content = read_limited(path, _JSON_LIMIT_BYTES, what, DataError)
    try:
        return msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=kind, strict=False)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a {what}, found: {reason(error)}") from error


def read_xml(path: Path) -> Element:
    """Read an XML file; a document type, and with it every entity, is refused.

    Raises:
        DataError: It cannot be read, is too large or is not such XML.
        DependencyError: defusedxml is not installed.
    """
    try:
        from defusedxml import DefusedXmlException, ElementTree
    except ImportError as error:
        raise DependencyError("data import: XML needs defusedxml; pip install defusedxml brings it") from error
    content = read_limited(path, _XML_LIMIT_BYTES, "XML file", DataError)
    try:
        root: Element = ElementTree.fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataError(f"{path}: expected XML without a document type, found one; remove the DOCTYPE") from error
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise DataError(f"{path}: expected an XML file, found: {reason(error)}") from error
    return root


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a table.

    Raises:
        DataError: It cannot be read, is too large or holds something else.
        DependencyError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise DependencyError("data import: data.yaml needs PyYAML; pip install pyyaml brings it") from error
    content = read_limited(path, _YAML_LIMIT_BYTES, "YAML file", DataError)
    try:
        tree = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected a YAML file, found: {reason(error)}") from error
    if not isinstance(tree, dict):
        raise DataError(f"{path}: expected a table of names, train and val, found {type(tree).__name__}")
    return tree


def read_text_lines(path: Path) -> list[str]:
    """Read a text file's lines, stripped.

    Raises:
        DataError: It cannot be read, is too large or is not UTF-8.
    """
    content = read_limited(path, _TEXT_LIMIT_BYTES, "text file", DataError)
    try:
        return [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a text file: {reason(error)}") from error
