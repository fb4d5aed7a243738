"""Methods of maps, as Java's `LinkedHashMap` has them (Java SE API, java.util.Map).

Keys are strings; a number or boolean used as a key is its text. `keySet()`, `values()` and `entrySet()` are lists of
what there is when they are called, where Java gives views; `#foreach` over them may thus change the map.
"""

from __future__ import annotations

from typing import Final

from wsgateway.templates.document import Number
from wsgateway.templates.vtl.base import ArrayList, Entry, Methods, NoMethod, Value, Work
from wsgateway.templates.vtl.methods_lists import position
from wsgateway.templates.vtl.operators import same
from wsgateway.templates.vtl.printing import text

Map = dict[str, Value]


def key_text(key: Value) -> str | None:
    """The key that `key` stands for; None for what can be none."""
    if isinstance(key, str):
        return key
    return text(key, Work()) if isinstance(key, bool | int | float | Number) else None


def _key(key: Value) -> str:
    found = key_text(key)
    if found is None:
        raise NoMethod("a string is expected as key")
    return found


def _other(value: Value) -> Map:
    if isinstance(value, dict):
        return value
    raise NoMethod("a map is expected")


def _get(items: Map, work: Work, key: Value) -> Value:
    return items.get(_key(key))


def _get_or_default(items: Map, work: Work, key: Value, default: Value) -> Value:
    return items.get(_key(key), default)


def _put(items: Map, work: Work, key: Value, new: Value) -> Value:
    work.spend()
    name = _key(key)
    old = items.get(name)
    items[name] = new
    return old


def _put_if_absent(items: Map, work: Work, key: Value, new: Value) -> Value:
    name = _key(key)
    return items[name] if items.get(name) is not None else _put(items, work, name, new)


def _put_all(items: Map, work: Work, more: Value) -> Value:
    added = _other(more)
    work.items(len(added))
    items.update(added)
    return None


def _replace(items: Map, work: Work, key: Value, new: Value) -> Value:
    name = _key(key)
    return _put(items, work, name, new) if name in items else None


def _remove(items: Map, work: Work, key: Value) -> Value:
    return items.pop(_key(key), None)


def _clear(items: Map, work: Work) -> Value:
    items.clear()
    return None


def _key_set(items: Map, work: Work) -> Value:
    work.items(len(items))
    return ArrayList(items)


def _values(items: Map, work: Work) -> ArrayList:
    work.items(len(items))
    return ArrayList(items.values())


def _entry_set(items: Map, work: Work) -> Value:
    work.spend(len(items))
    return ArrayList([Entry(key, value) for key, value in items.items()])


def _contains_value(items: Map, work: Work, sought: Value) -> Value:
    return position(_values(items, work), sought, work) >= 0


MAPS: Final[Methods] = {
    ("clear", 0): _clear,
    ("containsKey", 1): lambda items, work, key: key_text(key) in items,
    ("containsValue", 1): _contains_value,
    ("entrySet", 0): _entry_set,
    ("equals", 1): lambda items, work, other: same(items, other, work),
    ("get", 1): _get,
    ("getOrDefault", 2): _get_or_default,
    ("isEmpty", 0): lambda items, work: not items,
    ("keySet", 0): _key_set,
    ("put", 2): _put,
    ("putAll", 1): _put_all,
    ("putIfAbsent", 2): _put_if_absent,
    ("remove", 1): _remove,
    ("replace", 2): _replace,
    ("size", 0): lambda items, work: len(items),
    ("toString", 0): text,
    ("values", 0): _values,
}
