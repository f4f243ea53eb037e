"""Outlook's stores (PST, OST): the attachments of every message, deleted ones that the store still holds among them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import PIECE, Inner, Listed, problem, unread
from caid_triage.examine.libraries import library

MOST_DEPTH = 64


def outlook_attachments(content: Content) -> Iterator[Listed]:
    """The attachments of a store, by folder, message and their own name."""
    pypff = library("pypff")
    if pypff is None:
        yield problem("inside-no-reader", "Outlook stores cannot be opened here (libpff is not installed)")
        return
    content.seek(0)
    store = pypff.file()
    store.open_file_object(content)
    try:
        yield from _folder(store.get_root_folder(), b"", 0)
        for number in range(store.get_number_of_orphan_items()):
            yield from _message(store.get_orphan_item(number), b"recovered-%d/" % number)
    finally:
        store.close()


def _folder(folder: Any, before: bytes, depth: int) -> Iterator[Listed]:
    if folder is None or depth > MOST_DEPTH:
        return
    for number in range(folder.get_number_of_sub_messages()):
        yield from _message(folder.get_sub_message(number), before + b"message-%d/" % (number + 1))
    for number in range(folder.get_number_of_sub_folders()):
        inside = folder.get_sub_folder(number)
        name = (inside.get_name() or f"folder-{number + 1}").encode("utf-8", "surrogatepass")
        yield from _folder(inside, before + name + b"/", depth + 1)


def _message(message: Any, before: bytes) -> Iterator[Listed]:
    try:
        count = message.get_number_of_attachments()
    except (OSError, AttributeError):
        return
    for number in range(count):
        try:
            attachment = message.get_attachment(number)
            size = attachment.get_size()
            name = _name_of(attachment, number)
        except OSError as error:
            yield unread(before + b"attachment-%d" % (number + 1), f"the store does not give it: {error}"[:200])
            continue
        yield Inner(before + name, partial(_pieces, attachment), size)


def _name_of(attachment: Any, number: int) -> bytes:
    """The name of an attachment; libpff gives it since 2026, and not every one has one."""
    try:
        name = getattr(attachment, "long_filename", None)
    except OSError:
        name = None
    return str(name or f"attachment-{number + 1}").encode("utf-8", "surrogatepass")


def _pieces(attachment: Any) -> Iterator[bytes]:
    attachment.seek_offset(0, 0)
    while piece := attachment.read_buffer(PIECE):
        yield piece
