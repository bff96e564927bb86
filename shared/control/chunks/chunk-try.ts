/** One try at one chunk: what a row's headers name, and what the control store fences writes by. */
export interface ChunkTry {
  readonly exportId: string;
  readonly resource: string;
  readonly chunk: number;
  readonly attempt: number;
}

export function chunkTryKey({ exportId, resource, chunk, attempt }: ChunkTry): string {
  return `${exportId}/${resource}/${chunk}/${attempt}`;
}
