"""One small good file of every format of hash sets, and a reading of any bytes as one that checks what is said."""

from __future__ import annotations

import base64
import json
import random
import re
import sqlite3
import tempfile
from pathlib import Path

from caid_triage.errors import HashSetError
from caid_triage.hashset.batch import HASH_BYTES, RowBatch
from caid_triage.hashset.readers.registry import read_batches, reader_for
from caid_triage.hashset.rows import SourceFile
from caid_triage.model import RefusedRow

RNG = random.Random(35)
LONG_HEX = re.compile(r"[0-9A-Fa-f]{12}")


def hexed(length: int = 16) -> str:
    return RNG.randbytes(length).hex()


def _database(*statements: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
        return path.read_bytes()


def samples() -> dict[str, bytes]:
    """One small good file of every format."""
    media = [
        {"MD5": hexed(), "SHA1": hexed(20), "PhotoDNA": base64.b64encode(RNG.randbytes(144)).decode(), "Series": "ö"}
    ]
    entry = (
        f"<image><id>1</id><classification>A1</classification><fingerprints><md5>{hexed()}</md5></fingerprints></image>"
    )
    texts = {
        "ncmec-xml": f"<queryResult><images>{entry * 3}</images></queryResult>",
        "ncmec-json": json.dumps([{"id": 1, "fingerprints": {"md5": hexed(), "pdq": hexed(32)}}] * 3),
        "hashdb": f"{hexed()}\t{hexed()}\t0\n" * 3,
        "vics": json.dumps({"@odata.context": "x#Media", "value": media * 5}),
        "hashdeep": f"%%%% HASHDEEP-1.0\n%%%% size,md5,sha256,filename\n5,{hexed()},{hexed(32)},x\n",
        "hashkeeper": f'"file_id","hashset_id","file_name","directory","hash","file_size"\n1,2,"a","b","{hexed()}",5\n',
        "nsrl-text": f'"SHA-1","MD5","CRC32","FileName","FileSize","ProductCode","OpSystemCode","SpecialCode"\n'
        f'"{hexed(20)}","{hexed()}","0","n",5,1,"2",""\n',
        "nsrl-delta": f"BEGIN;\nINSERT INTO FILE VALUES('{hexed(32)}','{hexed(20)}','{hexed()}','n',5,6);\n",
        "icse": f"MD5;SHA1;Image ID;Is distributed;Baseline\n{hexed()};;1;True;True\n",
        "iped": f"md5,status\n{hexed()},known\n",
        "pdq": f"{hexed(32)},100,x\n{hexed(32)},50\n",
        "vpdq": f"0,100,{hexed(32)}\n1,99,{hexed(32)},0.5\n",
        "csv": f"sha256,category,size\n{hexed(32)},1,5\n{hexed(32)},2,\n",
        "hashes": f"{hexed()}  a\nSHA1 (b) = {hexed(20)}\n",
    }
    return {name: text.encode() for name, text in texts.items()} | {
        "encase": b"HASH\r\n\xff\x00".ljust(1_152, b"\x00") + RNG.randbytes(18 * 5),
        "autopsy": _database(
            "CREATE TABLE db_properties (name, value)",
            "CREATE TABLE hashes (id INTEGER PRIMARY KEY, md5, sha1, sha2_256)",
            f"INSERT INTO hashes VALUES (1, x'{hexed()}', NULL, NULL), (2, 'text', 5, 1.5)",
        ),
        "nsrl": _database(
            "CREATE TABLE FILE (sha256, sha1, md5, file_name, file_size, package_id)",
            f"INSERT INTO FILE VALUES ('{hexed(32)}', '{hexed(20)}', '{hexed()}', 'n', 5, 6), "
            "(1, 2.5, x'00', 0, 'x', 0)",
        ),
    }


SAMPLES = samples()


def read_all(data: bytes, format_name: str | None, salvage: bool) -> int:
    """How many rows a reader gives; checks what it says on the way."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.bin"
        path.write_bytes(data)
        source = SourceFile(path, salvage=salvage)
        rows = 0
        try:
            for item in read_batches(reader_for(source, format_name), source):
                if isinstance(item, RefusedRow):
                    assert item.position
                    assert not LONG_HEX.search(item.reason)
                    continue
                assert isinstance(item, RowBatch)
                rows += item.count
                for name, column in item.hashes.items():
                    assert column.values.shape == (len(column.rows), HASH_BYTES[name])
                    assert (column.rows < item.count).all()
                for row in item.rows():
                    assert row.has_hash
                    assert row.size is None or row.size >= 0
            source.finish()
        except HashSetError as error:
            said = str(error)
        else:
            said = "set.bin"
        finally:
            source.close()
        assert "set.bin" in said
        assert not LONG_HEX.search(said)
        return rows
