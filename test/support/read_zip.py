"""Prints the members of a zip archive, each checked against its CRC, and unpacks them into a folder."""

import hashlib
import json
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    members = [
        {
            "name": info.filename,
            "bytes": info.file_size,
            "stored": info.compress_type == zipfile.ZIP_STORED,
            "sha256": hashlib.sha256(archive.read(info)).hexdigest(),
        }
        for info in archive.infolist()
    ]
    archive.extractall(sys.argv[2])
json.dump(members, sys.stdout)
