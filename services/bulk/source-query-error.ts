/** What the source said when a job asked it for something. The control store's errors poll the same, and are no job's fault. */
export class SourceQueryError extends Error {
  override readonly name = 'SourceQueryError';

  constructor(cause: unknown) {
    super('asking the source for a job', { cause });
  }
}
