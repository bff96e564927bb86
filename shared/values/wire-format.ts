import { UnreadableMessageError } from './avro-reader.ts';
import type { ByteWriter } from './byte-writer.ts';

// The schema registry's wire format: a zero byte, the schema's ID in the registry (4 bytes, big-endian), the Avro body.

export const WIRE_HEADER_BYTES = 5;
const MAGIC = 0;

export function writeWireHeader(out: ByteWriter, registryId: number): void {
  out.reserve(WIRE_HEADER_BYTES);
  out.bytes[out.length] = MAGIC;
  out.length = out.bytes.writeUInt32BE(registryId, out.length + 1);
}

/** The registry's ID of the schema that a message was written with. @throws UnreadableMessageError for another format */
export function readRegistryId(message: Buffer): number {
  if (message.length < WIRE_HEADER_BYTES || message[0] !== MAGIC) {
    throw new UnreadableMessageError('it does not start with a schema ID');
  }
  return message.readUInt32BE(1);
}
