/**
 * The partition of `tandem.changes` that carries an account's changes: 32-bit FNV-1a over the UTF-8 bytes of the
 * account column's text. Capture places changes by it and the dispatcher tells by it which accounts a partition
 * speaks for, so it must give the same number in every version: an account that moved would lose its order.
 */
export function accountPartition(account: string, partitionCount: number): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(account, 'utf8')) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return (hash >>> 0) % partitionCount;
}
