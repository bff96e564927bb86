"""Loads tables from Tandem's topics by the recipe of schemas/README.md, with nothing of Tandem's own code.

usage: load_warehouse.py CONFIG, a JSON object {brokers, registry, prefix, resources, account, export: {id, snapshot}}.
Prints {resource: {record key: {column: text}}} and what it read. `account` is null for an export of all accounts.
"""

import base64
import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

config = json.loads(sys.argv[1])
deserialize = AvroDeserializer(SchemaRegistryClient({"url": config["registry"]}))


def read_to_end(topic):
    """Every committed record of a topic with its headers, partition by partition in order, up to the ends as they are now."""
    consumer = Consumer({
        "bootstrap.servers": config["brokers"],
        "group.id": f"{config['prefix']}.warehouse",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
    })
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        left = set(partitions)
        while left:
            message = consumer.poll(30)
            if message is None:
                raise SystemExit(f"{topic} stands still")
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise SystemExit(str(message.error()))
                left.discard(message.partition())
                continue
            headers = {name: value.decode() for name, value in message.headers() or []}
            yield message, headers
    finally:
        consumer.close()


def decode(message):
    return deserialize(message.value(), SerializationContext(message.topic(), MessageField.VALUE))


def last_run(export_id):
    """The attempt with which the export's last run began: rows of a run before it are of another snapshot."""
    started = [
        decode(message)["attempt"]
        for message, headers in read_to_end(f"{config['prefix']}.jobs")
        if headers["type"] == "JobStarted" and message.key().decode() == export_id
    ]
    return max(started)


def load_rows(resource, export_id, run):
    chunks = {}
    for message, headers in read_to_end(f"{config['prefix']}.rows.{resource}"):
        attempt = int(headers["attempt"])
        if headers["export"] != export_id or attempt < run:
            continue
        newest, rows = chunks.get(headers["chunk"], (0, {}))
        if attempt > newest:
            newest, rows = attempt, {}
        if attempt == newest:
            rows[int(headers["seq"])] = (message.key().decode(), decode(message))
        chunks[headers["chunk"]] = (newest, rows)
    return {key: row for _, rows in chunks.values() for key, row in rows.values()}


def is_visible(xid, snapshot):
    return xid < int(snapshot["xmin"]) or (xid < int(snapshot["xmax"]) and str(xid) not in snapshot["xip"])


def apply_changes(tables, snapshot):
    read = {"applied": 0, "in_snapshot": 0}
    for message, headers in read_to_end(f"{config['prefix']}.changes"):
        if headers["resource"] not in tables:
            continue
        change = decode(message)
        if config["account"] is not None and change["account"] not in (config["account"], "*"):
            continue
        if is_visible(change["source"]["xid"], snapshot):
            read["in_snapshot"] += 1
            continue
        if change["op"] == "truncate":
            raise SystemExit(f"{change['resource']} needs a new export")
        table = tables[change["resource"]]
        key = message.key().decode()[len(change["account"]) + len(change["resource"]) + 2:]
        if change["op"] == "delete":
            table.pop(key, None)
        else:
            before = table.get(key, {})
            kept = {column: before.get(column) for column in change["unchanged"]}
            table[key] = {**change["after"], **kept}
        read["applied"] += 1
    return read


def to_text(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


export = config["export"]
run = last_run(export["id"])
tables = {resource: load_rows(resource, export["id"], run) for resource in config["resources"]}
loaded = {resource: len(table) for resource, table in tables.items()}
read = apply_changes(tables, export["snapshot"])
texts = {
    resource: {key: {column: to_text(value) for column, value in row.items()} for key, row in table.items()}
    for resource, table in tables.items()
}
print(json.dumps({"tables": texts, "loaded": loaded, **read}))
