/**
 * The partition of `tandem.changes` that carries an account's changes. Capture places changes by it and the dispatcher tells by it
 * which accounts a partition speaks for, so it must give the same number in every version: an account that moved would lose its
 * order.
 */
export function accountPartition(account: string, partitionCount: number): number {
  return fnv1a(account) % partitionCount;
}

/**
 * The partition of a rows topic that carries a chunk. The first chunk of each export goes to another one, because most exports
 * have only one chunk, and all writers are to have their share of them.
 */
export function chunkPartition(
  { exportId, chunk }: { readonly exportId: string; readonly chunk: number },
  partitionCount: number,
): number {
  return (fnv1a(exportId) + chunk) % partitionCount;
}

/** 32-bit FNV-1a over the UTF-8 bytes. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text, 'utf8')) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash >>> 0;
}
