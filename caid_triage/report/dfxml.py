"""dfxml.xml: every file of the case in Digital Forensics XML, as the working group's schema has it.

One diskimageobject a source, with its volumes and then its files: free space is searched after the volumes, so the
files of a volume do not stand together. What the schema has no element for stands in a name space of our own.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TextIO

from caid_triage.case.exchange import ExchangeRow, key_of
from caid_triage.case.rows import SourceRow, VolumeRow
from caid_triage.case.view import CaseView
from caid_triage.model import State
from caid_triage.report.exchange import exact_path, is_deleted, stated
from caid_triage.report.xml_text import escaped, is_writable

NAMESPACE = "http://www.forensicswiki.org/wiki/Category:Digital_Forensics_XML"
OURS = "urn:caid-triage:dfxml:1"
SCHEMA_VERSION = "2.0.0-beta.0"
# A reader that takes a byte_run for a whole file must find that it is none: in the document itself, and at each place.
ABOUT_RUNS = (
    "A byte_run says where the first byte of a file lies in the image. How long that run is and where further runs lie "
    "is not kept: nothing else of the file's place is known to this document."
)
FIRST_BYTE = 'ct:extent="first byte only"'


def write_dfxml(view: CaseView, out: TextIO) -> None:
    """Write every file of the case, source by source; memory does not grow with the case."""
    sources = view.sources()
    tool = view.header.tool
    out.write(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<dfxml xmlns="{NAMESPACE}" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:ct="{OURS}" '
        f'version="{SCHEMA_VERSION}">\n'
        "<metadata>\n"
        "  <dc:type>Files of a case</dc:type>\n"
        f"  <dc:identifier>{escaped(view.header.reference)}</dc:identifier>\n"
        f"  <dc:description>{escaped(ABOUT_RUNS)}</dc:description>\n"
        "</metadata>\n"
        "<creator>\n"
        f"  <program>{escaped(str(tool.get('name', 'caid-triage')))}</program>\n"
        f"  <version>{escaped(str(tool.get('version', '')))}</version>\n"
        "</creator>\n"
        "<source>\n"
    )
    out.writelines(f"  <image_filename>{escaped(source.source)}</image_filename>\n" for source in sources)
    out.write("</source>\n")
    volumes = view.volumes()
    of_sources = groupby(view.exchange_files(), key=lambda row: (row.exhibit, row.source))
    pending = next(of_sources, None)
    for source in sources:
        own = [one for one in volumes if (one.exhibit, one.source) == (source.exhibit, source.source)]
        out.write(_opening(source))
        out.writelines(map(_volume, own))
        if pending is not None and pending[0] == (source.exhibit, source.source):
            numbers = {volume.name: number for number, volume in enumerate(own, start=1)}
            out.writelines("".join(_file(row, numbers)) for row in pending[1])
            pending = next(of_sources, None)
        out.write("</diskimageobject>\n")
    out.write("</dfxml>\n")


def _opening(source: SourceRow) -> str:
    size = "" if source.size is None else f' ct:size="{source.size}"'
    exhibit, name = escaped(source.exhibit), escaped(source.source)
    kind = escaped(source.source_kind)
    return f'<diskimageobject ct:exhibit="{exhibit}" ct:source="{name}" ct:kind="{kind}"{size}>\n'


def _volume(volume: VolumeRow) -> str:
    kind = f"    <ftype_str>{escaped(volume.file_system)}</ftype_str>\n" if volume.file_system else ""
    # A volume that lies in another one has no place on the disk of its own.
    place = "" if "/" in volume.name else f"    <partition_offset>{volume.offset}</partition_offset>\n"
    name, status = escaped(volume.name), escaped(volume.status)
    return (
        f'  <volume offset="{volume.offset}" ct:name="{name}" ct:length="{volume.length}" ct:status="{status}">\n'
        f"{place}{kind}  </volume>\n"
    )


def _file(row: ExchangeRow, volumes: Mapping[str, int]) -> Iterator[str]:
    yield "  <fileobject>\n"
    yield _named(row)
    if row.volume in volumes:
        yield _element("partition", volumes[row.volume])
    yield _element("id", row.key)
    yield _element("name_type", "r")
    if row.size is not None:
        yield _element("filesize", row.size)
    yield from _allocation(row)
    if row.inode is not None and row.inode >= 0:
        yield _element("inode", row.inode)
    times = {"mtime": row.modified, "ctime": row.changed, "atime": row.accessed, "crtime": row.created}
    for name, moment in times.items():
        if moment is not None:
            yield _element(name, stated(moment, row.zone_note))
    if row.physical_offset is not None and row.physical_offset >= 0:
        first = f'<byte_run file_offset="0" img_offset="{row.physical_offset}"/>'
        yield f"    <byte_runs {FIRST_BYTE}>{first}</byte_runs>\n"
    for name, digest in (("md5", row.md5), ("sha1", row.sha1), ("sha256", row.sha256)):
        if digest is not None:
            yield f'    <hashdigest type="{name}">{digest.hex()}</hashdigest>\n'
    yield _element("ct:state", row.state)
    if row.container_state is not None:
        yield _element("ct:container_state", row.container_state)
    if row.holder_id is not None:
        yield _element("ct:lies_in", key_of(row.holder_id))
    yield _element("ct:volume", row.volume)
    yield _element("ct:media_type", row.media_type)
    for code in row.problems:
        yield _element("ct:problem", code)
    yield "  </fileobject>\n"


def _named(row: ExchangeRow) -> str:
    """The path below the volume's root. Where XML cannot hold it as it is, its bytes stand beside it."""
    path = exact_path(row.raw_path, row.path)
    is_exact = is_writable(path) and path.encode("utf-8") == row.raw_path
    raw = "" if is_exact else f' ct:base64="{base64.b64encode(row.raw_path).decode("ascii")}"'
    return f"    <filename{raw}>{escaped(path.removeprefix('/'))}</filename>\n"


def _allocation(row: ExchangeRow) -> Iterator[str]:
    """As the schema has it: of an orphan in use the record is in use, and no name is."""
    if row.state is State.ORPHAN and row.in_use:
        yield _element("alloc_inode", 1)
        yield _element("alloc_name", 0)
    else:
        yield _element("alloc", int(not is_deleted(row)))
    if row.state is State.ORPHAN:
        yield _element("orphan", 1)


def _element(name: str, value: object) -> str:
    return f"    <{name}>{escaped(str(value))}</{name}>\n"
