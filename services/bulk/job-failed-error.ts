/** A job can't go on, whoever works on it. The text is for the customer. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
