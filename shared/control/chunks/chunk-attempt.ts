/** One try at one chunk: what a row's headers name, and what the control store fences writes by. */
export interface ChunkAttempt {
  readonly exportId: string;
  readonly resource: string;
  readonly chunk: number;
  readonly attempt: number;
}

export function chunkAttemptKey({ exportId, resource, chunk, attempt }: ChunkAttempt): string {
  return `${exportId}/${resource}/${chunk}/${attempt}`;
}
