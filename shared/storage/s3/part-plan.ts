const MEBIBYTE = 1024 * 1024;

/** S3 takes no more parts than this for one object. */
export const MAX_PARTS = 10_000;

const USUAL_PART_BYTES = 8 * MEBIBYTE;
const LARGE_PART_BYTES = 64 * MEBIBYTE;

/** Parts of the usual size; the 39 GiB in them are more than nearly any file has. */
const USUAL_PARTS = 5_000;

/**
 * The size of a part by its number, which begins at 1: small, so that many files can be written at once in little
 * memory, and larger from where a file would run out of parts. A file may so have 351 GiB.
 */
export function partBytes(partNumber: number): number {
  return partNumber <= USUAL_PARTS ? USUAL_PART_BYTES : LARGE_PART_BYTES;
}
