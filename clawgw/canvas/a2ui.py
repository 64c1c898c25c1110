"""A2UI: interfaces as data. What an agent sends is checked, kept, and handed to every screen.

Two versions of the protocol are in use, and told apart by what a message says: 0.8
(`surfaceUpdate`, `dataModelUpdate`, `beginRendering`) and 0.9 (`createSurface`,
`updateComponents`, `updateDataModel`; `version` is `v0.9` or `v0.9.1`); both have
`deleteSurface`. The shapes are those of the JSON Schemas in npm `@a2ui/web_core` 0.11.0.

A push counts as a whole: when one message is wrong nothing changes, and the agent is told which
and why. What is kept of a surface is what a screen that comes later needs: how it began, the
latest of every component, and those data updates that no later one has replaced. What somebody
typed into a form is in the screens, until an action brings it.

A surface belongs to the session that began it; that is where its actions go. When an operator uses
its id for another session, or for the other version, the old surface ends and a new one begins. An
agent's tool cannot touch the surfaces of other sessions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

MAX_MESSAGES = 1000
MAX_SURFACES = 64
MAX_COMPONENTS = 2000
MAX_UPDATES = 1000
MAX_SURFACE_BYTES = 2 * 1024 * 1024

V08, V09 = "v0.8", "v0.9"
CATALOG = "https://a2ui.org/specification/v0_9/catalogs/basic/catalog.json"
"""The catalog a 0.9 surface has when it names none."""

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Message = dict[str, Any]


class A2uiError(ValueError):
    """What an agent sent cannot be shown; the message says which part, and why."""


class _Closed(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Messages have the fields of the protocol and no others."""


class _Begin(_Closed, frozen=True):
    surface_id: Id
    root: Id
    catalog_id: str | UnsetType = UNSET
    styles: dict[str, Any] | UnsetType = UNSET


class _OldComponent(_Closed, frozen=True):
    id: Id
    component: Annotated[dict[str, dict[str, Any]], Meta(min_length=1, max_length=1)]
    weight: float | UnsetType = UNSET


class _OldComponents(_Closed, frozen=True):
    surface_id: Id
    components: Annotated[list[_OldComponent], Meta(min_length=1)]


class _OldValue(_Closed, frozen=True):
    key: str
    value_string: str | UnsetType = UNSET
    value_number: float | UnsetType = UNSET
    value_boolean: bool | UnsetType = UNSET
    value_map: list[dict[str, Any]] | UnsetType = UNSET


class _OldData(_Closed, frozen=True):
    surface_id: Id
    contents: list[_OldValue]
    path: str | UnsetType = UNSET


class _Create(_Closed, frozen=True):
    surface_id: Id
    catalog_id: str | UnsetType = UNSET
    theme: Any = UNSET
    send_data_model: bool | UnsetType = UNSET


class _Component(Struct, frozen=True):
    """Everything else in it belongs to its type."""

    id: Id
    component: Id | UnsetType = UNSET


class _Components(_Closed, frozen=True):
    surface_id: Id
    components: Annotated[list[_Component], Meta(min_length=1)]


class _Data(_Closed, frozen=True):
    surface_id: Id
    path: str | UnsetType = UNSET
    value: Any = UNSET


class _Delete(_Closed, frozen=True):
    surface_id: Id


class _Envelope(_Closed, frozen=True):
    version: Literal["v0.9", "v0.9.1"] | UnsetType = UNSET
    begin_rendering: _Begin | UnsetType = UNSET
    surface_update: _OldComponents | UnsetType = UNSET
    data_model_update: _OldData | UnsetType = UNSET
    create_surface: _Create | UnsetType = UNSET
    update_components: _Components | UnsetType = UNSET
    update_data_model: _Data | UnsetType = UNSET
    delete_surface: _Delete | UnsetType = UNSET


_KINDS = {
    "beginRendering": V08,
    "surfaceUpdate": V08,
    "dataModelUpdate": V08,
    "createSurface": V09,
    "updateComponents": V09,
    "updateDataModel": V09,
    "deleteSurface": None,
}


def check(message: Any) -> str:
    """What kind of message this is.

    Raises:
        A2uiError: it is none; the text says what was expected where.
    """
    if not isinstance(message, dict):
        raise A2uiError("expected an object")
    kinds = [kind for kind in _KINDS if kind in message]
    if len(kinds) != 1:
        raise A2uiError(f"expected exactly one of {', '.join(_KINDS)}")
    if _KINDS[kinds[0]] == V08 and "version" in message:
        raise A2uiError(f"{kinds[0]} is of version 0.8, which has no field `version`")
    try:
        msgspec.convert(message, _Envelope)
    except msgspec.ValidationError as problem:
        raise A2uiError(str(problem)) from None
    return kinds[0]


def parse_lines(text: str) -> list[Message]:
    """The messages in JSON lines; empty lines are none.

    Raises:
        A2uiError: a line is no JSON; the text has its number.
    """
    messages = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                messages.append(msgspec.json.decode(line))
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as problem:
                raise A2uiError(f"line {number}: not JSON: {problem}") from None
    return messages


class Surface(Struct):
    """One surface, as much of it as a later screen needs.

    Attributes:
        session_key: whose it is.
        begin: the body of its latest `beginRendering` or `createSurface`, if there was one.
        components: the latest of each, by id.
        updates: bodies of data updates, in order.
    """

    surface_id: str
    version: str
    session_key: str
    begin: Message | None = None
    components: dict[str, Message] = msgspec.field(default_factory=dict)
    updates: list[Message] = msgspec.field(default_factory=list)

    def copy(self) -> Surface:
        """A copy that can be changed on its own; messages themselves never change."""
        return msgspec.structs.replace(
            self, components=dict(self.components), updates=list(self.updates)
        )

    def messages(self) -> list[Message]:
        """What makes an empty screen show it."""
        begin, name = [] if self.begin is None else [self.begin], self.surface_id
        shown = {"surfaceId": name, "components": list(self.components.values())}
        if self.version == V09:
            made = [{"version": V09, "createSurface": body} for body in begin]
            made += [{"version": V09, "updateComponents": shown}] if self.components else []
            return made + [{"version": V09, "updateDataModel": body} for body in self.updates]
        made = [{"surfaceUpdate": shown}] if self.components else []
        made += [{"dataModelUpdate": body} for body in self.updates]
        return made + [{"beginRendering": body} for body in begin]

    def end(self) -> Message:
        """What makes a screen forget it."""
        body: Message = {"deleteSurface": {"surfaceId": self.surface_id}}
        return {"version": V09, **body} if self.version == V09 else body

    def put(self, components: Iterable[Message]) -> None:
        """Add components, or replace those of the same id; a type once said needs no repeating."""
        for component in components:
            name = component["id"]
            known = self.components.get(name, {})
            kind = component.get("component", known.get("component"))
            if kind is None:
                raise A2uiError(f"component {name!r} is new, so it needs a type")
            self.components[name] = {**component, "component": kind}

    def update(self, body: Message) -> None:
        """Add a data update; it makes those of the same place and below superfluous."""
        place = _place(body)
        self.updates = [one for one in self.updates if not _place(one).startswith(place)]
        self.updates.append(body)

    def check_size(self) -> None:
        """Raises A2uiError when it has become too large to be kept."""
        name = self.surface_id
        if len(self.components) > MAX_COMPONENTS:
            raise A2uiError(f"surface {name!r} would have more than {MAX_COMPONENTS} components")
        if len(self.updates) > MAX_UPDATES:
            raise A2uiError(
                f"surface {name!r} has had more than {MAX_UPDATES} data updates of single places; "
                "send the whole data model once, without a path"
            )
        if len(msgspec.json.encode(self)) > MAX_SURFACE_BYTES:
            raise A2uiError(f"surface {name!r} would be larger than {MAX_SURFACE_BYTES} bytes")


def _place(body: Message) -> str:
    """Where a data update writes, so that what is below begins with it: `/`, `/user/`."""
    path = str(body.get("path") or "/").strip("/")
    return f"/{path}/" if path else "/"


class Change(msgspec.Struct, frozen=True):
    """What a push does: what the screens are told, and which surfaces are to be stored."""

    messages: list[Message]
    changed: list[Surface]
    gone: list[str]


class Board:
    """All surfaces, in the order in which they began."""

    def __init__(self, surfaces: Iterable[Surface] = ()) -> None:
        self._surfaces = {surface.surface_id: surface for surface in surfaces}

    def __len__(self) -> int:
        return len(self._surfaces)

    def surfaces(self) -> Mapping[str, Surface]:
        """All surfaces, by id."""
        return self._surfaces

    def messages(self) -> list[Message]:
        """What makes an empty screen show everything."""
        return [message for one in self._surfaces.values() for message in one.messages()]

    def push(self, messages: Sequence[Any], session_key: str, *, takes_over: bool = True) -> Change:
        """Take messages in.

        Args:
            session_key: whose surfaces they are.
            takes_over: whether they may end surfaces of other sessions.

        Raises:
            A2uiError: one is wrong, or there is too much; nothing has changed.
        """
        if not 1 <= len(messages) <= MAX_MESSAGES:
            raise A2uiError(f"expected 1 to {MAX_MESSAGES} messages")
        draft = _Draft(self._surfaces, session_key, takes_over)
        for number, message in enumerate(messages, 1):
            try:
                draft.take(check(message), message)
            except A2uiError as problem:
                raise A2uiError(f"message {number}: {problem}") from None
        draft.check_size()
        before = set(self._surfaces)
        self._surfaces = draft.surfaces
        return Change(
            messages=draft.out,
            changed=[draft.surfaces[name] for name in draft.touched if name in draft.surfaces],
            gone=[name for name in before if name not in draft.surfaces],
        )

    def reset(self, session_key: str | None = None, surface_id: str | None = None) -> Change:
        """End surfaces: all, or those of a session, or one."""
        ending = [
            one
            for one in self._surfaces.values()
            if session_key in (None, one.session_key) and surface_id in (None, one.surface_id)
        ]
        gone = [one.surface_id for one in ending]
        self._surfaces = {name: one for name, one in self._surfaces.items() if name not in gone}
        return Change(messages=[one.end() for one in ending], changed=[], gone=gone)


class _Draft:
    """What the board will be when all messages of a push were good."""

    def __init__(self, surfaces: Mapping[str, Surface], session_key: str, takes_over: bool) -> None:
        self.surfaces = dict(surfaces)
        self.out: list[Message] = []
        self.touched: dict[str, None] = {}
        self._session_key = session_key
        self._takes_over = takes_over

    def take(self, kind: str, message: Message) -> None:
        """Apply one checked message."""
        body = message[kind]
        version, name = _KINDS[kind], body["surfaceId"]
        if version is None:
            self._end(name)
            return
        if kind == "createSurface":
            self._end(name)
            body = {"catalogId": CATALOG, **body}
        surface = self._surface(name, version, makes=kind == "createSurface" or version == V08)
        if kind in ("createSurface", "beginRendering"):
            surface.begin = body
        elif kind in ("updateComponents", "surfaceUpdate"):
            surface.put(body["components"])
        else:
            surface.update(body)
        self.out.append({"version": V09, kind: body} if version == V09 else {kind: body})

    def check_size(self) -> None:
        """Raises A2uiError when there is too much."""
        if len(self.surfaces) > MAX_SURFACES:
            raise A2uiError(f"there would be more than {MAX_SURFACES} surfaces; reset some")
        for name in self.touched:
            if name in self.surfaces:
                self.surfaces[name].check_size()

    def _surface(self, name: str, version: str, *, makes: bool) -> Surface:
        """The surface of this id that the pushing session may change."""
        surface = self.surfaces.get(name)
        if surface is not None and (surface.version, surface.session_key) != (
            version,
            self._session_key,
        ):
            if not makes:
                raise A2uiError(f"surface {name!r} is not yours; send createSurface first")
            self._end(name)
            surface = None
        if surface is None:
            if not makes:
                raise A2uiError(f"there is no surface {name!r}; send createSurface first")
            surface = self.surfaces[name] = Surface(name, version, self._session_key)
            self.touched[name] = None
        elif name not in self.touched:
            surface = self.surfaces[name] = surface.copy()
            self.touched[name] = None
        return surface

    def _end(self, name: str) -> None:
        surface = self.surfaces.get(name)
        if surface is None:
            return
        if surface.session_key != self._session_key and not self._takes_over:
            raise A2uiError(f"surface {name!r} belongs to another session; use another surfaceId")
        del self.surfaces[name]
        self.out.append(surface.end())
