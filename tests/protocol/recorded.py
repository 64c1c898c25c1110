"""What the original said, recorded: small copies beside this file, to compare our shapes with.

`v3/` and `v4/` hold one response per method (`METHOD.json`) and flows, one frame a line
(`connect.jsonl`, `flow-NAME.jsonl`). Bulk is cut: prompts, skills and plugin lists are out, long
texts are `…`, and events of kinds this Gateway does not have are left out. `contract.json` lists,
for each protocol version and method, every property of its parameters in the public contract as
`[required, type, …]` (`*` is the request frame; a type in quotes is one allowed value).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent / "recorded"
VERSIONS = (3, 4)


class Line(NamedTuple):
    """One frame of a flow; `sender` is `client` or `gateway`."""

    sender: str
    frame: dict[str, Any]


class Answer(NamedTuple):
    """A successful answer, and the method it answers."""

    method: str
    payload: Any


def response(version: int, name: str) -> dict[str, Any]:
    """The recorded response frame of a method."""
    return json.loads((HERE / f"v{version}" / f"{name}.json").read_text(encoding="utf-8"))


def flow(version: int, name: str) -> list[Line]:
    """A recorded flow, by its name (`connect`, `chat.send`, `agent`, `sessions`, …)."""
    file = HERE / f"v{version}" / (f"{name}.jsonl" if name == "connect" else f"flow-{name}.jsonl")
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [Line(line["from"], line["frame"]) for line in lines]


def names(version: int, suffix: str) -> list[str]:
    """What there is: methods for `.json`, flows for `.jsonl`."""
    files = (HERE / f"v{version}").glob(f"*{suffix}")
    return sorted(file.name.removesuffix(suffix).removeprefix("flow-") for file in files)


def contract(version: int) -> dict[str, dict[str, list[Any]]]:
    """Properties of each method's parameters, by path, in the public contract."""
    return json.loads((HERE / "contract.json").read_text(encoding="utf-8"))[str(version)]


def requests(version: int) -> Iterator[dict[str, Any]]:
    """Every request frame of every flow."""
    for line in _lines(version):
        if line.sender == "client":
            yield line.frame


def answers(version: int) -> Iterator[Answer]:
    """Every successful answer, of flows and of single responses."""
    for name in names(version, ".json"):
        yield Answer(name, response(version, name)["payload"])
    asked = {frame["id"]: frame["method"] for frame in requests(version)}
    for line in _lines(version):
        if line.frame["type"] == "res" and line.frame["ok"]:
            yield Answer(asked[line.frame["id"]], line.frame["payload"])


def events(version: int) -> Iterator[dict[str, Any]]:
    """Every event frame of every flow."""
    return (line.frame for line in _lines(version) if line.frame["type"] == "event")


def errors(version: int) -> Iterator[dict[str, Any]]:
    """Every refusal of every flow, as a response frame."""
    for line in _lines(version):
        if line.frame["type"] == "res" and not line.frame["ok"]:
            yield line.frame


def missing_fields(ours: Any, recorded: Any, path: str = "") -> list[str]:
    """Paths (`agents[]/heartbeat/every`) of fields that the recording has and we have not.

    Items of a list are taken together: a field counts as ours if any of our items has it. A list
    of ours that is empty where the recorded one is not is one missing `path[]`.
    """
    if isinstance(recorded, dict):
        mine = ours if isinstance(ours, dict) else {}
        missing = [f"{path}/{name}".lstrip("/") for name in recorded if name not in mine]
        for name in recorded:
            if name in mine:
                missing += missing_fields(mine[name], recorded[name], f"{path}/{name}".lstrip("/"))
        return missing
    if isinstance(recorded, list) and recorded:
        if not (isinstance(ours, list) and ours):
            return [f"{path}[]"]
        return missing_fields(_together(ours), _together(recorded), f"{path}[]")
    return []


def _together(items: list[Any]) -> Any:
    """One item with the fields of all."""
    if not all(isinstance(item, dict) for item in items):
        return items[0]
    merged: dict[str, Any] = {}
    for item in items:
        for name, value in item.items():
            merged[name] = _both(merged[name], value) if name in merged else value
    return merged


def _both(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return _together([one, other])
    if isinstance(one, list) and isinstance(other, list):
        return one + other
    return other


def _lines(version: int) -> Iterator[Line]:
    for name in names(version, ".jsonl"):
        yield from flow(version, name)
