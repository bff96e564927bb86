"""Prints a Parquet file's columns as pyarrow reads them: name, type, and each value as a text that loses nothing."""

import base64
import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq


def text_of(type_, value):
    if value is None:
        return None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if pa.types.is_decimal(type_):
        return format(value, "f")
    return str(value)


def texts_of(column):
    # Times as numbers: Python's own have fewer years than Arrow's.
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    return [text_of(column.type, value) for value in column.to_pylist()]


table = pq.read_table(sys.argv[1])
columns = [
    {"name": name, "type": str(table.column(name).type), "values": texts_of(table.column(name))}
    for name in table.column_names
]
json.dump(columns, sys.stdout)
