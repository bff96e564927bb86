/** What the source said when a job asked it for something. The control store's errors look the same, and are no job's fault. */
export class SourceAnswerError extends Error {
  override readonly name = 'SourceAnswerError';

  constructor(cause: unknown) {
    super('asking the source for a job', { cause });
  }
}
