"""Methods of lists, as Java's `ArrayList` has them (Java SE API, java.util.List)."""

from __future__ import annotations

from typing import Final

from wsgateway.templates.vtl.base import ArrayList, Methods, NoMethod, Value, Work, int_argument, number
from wsgateway.templates.vtl.operators import same
from wsgateway.templates.vtl.printing import text


def position(items: list[Value], sought: Value, work: Work) -> int:
    """Where `sought` stands first; -1 where it doesn't."""
    for at, item in enumerate(items):
        work.spend()
        if same(item, sought, work):
            return at
    return -1


def copied(items: list[Value], work: Work) -> ArrayList:
    work.items(len(items))
    return ArrayList(items)


def _place(items: list[Value], at: Value, end: int) -> int:
    found = int_argument(at)
    if not 0 <= found < end:
        raise NoMethod("the index is out of range")
    return found


def _other(value: Value) -> list[Value]:
    if isinstance(value, list):
        return value
    raise NoMethod("a list is expected")


def _get(items: list[Value], work: Work, at: Value) -> Value:
    return items[_place(items, at, len(items))]


def _set(items: list[Value], work: Work, at: Value, new: Value) -> Value:
    place = _place(items, at, len(items))
    old = items[place]
    items[place] = new
    return old


def _add(items: list[Value], work: Work, new: Value) -> Value:
    work.spend()
    items.append(new)
    return True


def _add_at(items: list[Value], work: Work, at: Value, new: Value) -> Value:
    work.items(len(items))
    items.insert(_place(items, at, len(items) + 1), new)
    return None


def _add_all(items: list[Value], work: Work, more: Value) -> Value:
    added = _other(more)
    work.items(len(added))
    items.extend(added)
    return bool(added)


def _add_all_at(items: list[Value], work: Work, at: Value, more: Value) -> Value:
    added, place = _other(more), _place(items, at, len(items) + 1)
    work.items(len(items) + len(added))
    items[place:place] = added
    return bool(added)


def _remove(items: list[Value], work: Work, what: Value) -> Value:
    """By its place where `what` is a number, else by value: Java's two methods of this name."""
    if number(what) is not None:
        work.items(len(items))
        return items.pop(_place(items, what, len(items)))
    at = position(items, what, work)
    if at >= 0:
        del items[at]
    return at >= 0


def _remove_all(items: list[Value], work: Work, others: Value) -> Value:
    return _keep(items, work, others, present=False)


def _retain_all(items: list[Value], work: Work, others: Value) -> Value:
    return _keep(items, work, others, present=True)


def _keep(items: list[Value], work: Work, others: Value, *, present: bool) -> bool:
    sought = _other(others)
    kept = [item for item in items if (position(sought, item, work) >= 0) is present]
    changed = len(kept) < len(items)
    items[:] = kept
    return changed


def _contains_all(items: list[Value], work: Work, others: Value) -> Value:
    return all(position(items, item, work) >= 0 for item in _other(others))


def _last_index_of(items: list[Value], work: Work, sought: Value) -> Value:
    for at in range(len(items) - 1, -1, -1):
        work.spend()
        if same(items[at], sought, work):
            return at
    return -1


def _sub_list(items: list[Value], work: Work, start: Value, end: Value) -> Value:
    """A copy, where Java gives a view."""
    last = _place(items, end, len(items) + 1)
    first = _place(items, start, last + 1)
    work.items(last - first)
    part = items[first:last]
    return ArrayList(part) if isinstance(items, ArrayList) else part


def _clear(items: list[Value], work: Work) -> Value:
    items.clear()
    return None


LISTS: Final[Methods] = {
    ("add", 1): _add,
    ("add", 2): _add_at,
    ("addAll", 1): _add_all,
    ("addAll", 2): _add_all_at,
    ("clear", 0): _clear,
    ("contains", 1): lambda items, work, sought: position(items, sought, work) >= 0,
    ("containsAll", 1): _contains_all,
    ("equals", 1): lambda items, work, other: same(items, other, work),
    ("get", 1): _get,
    ("indexOf", 1): lambda items, work, sought: position(items, sought, work),
    ("isEmpty", 0): lambda items, work: not items,
    ("lastIndexOf", 1): _last_index_of,
    ("remove", 1): _remove,
    ("removeAll", 1): _remove_all,
    ("retainAll", 1): _retain_all,
    ("set", 2): _set,
    ("size", 0): lambda items, work: len(items),
    ("subList", 2): _sub_list,
    ("toArray", 0): copied,
    ("toString", 0): text,
}
