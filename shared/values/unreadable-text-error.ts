/**
 * A PostgreSQL text that is not of the form its type prints. It means that a type changed since it was loaded, or that
 * the session was opened without the text session's settings. The text itself is a customer's, and stays out of it.
 */
export class UnreadableTextError extends Error {
  override readonly name = 'UnreadableTextError';
  readonly expected: string;

  constructor(expected: string) {
    super(`text from PostgreSQL is not ${expected}`);
    this.expected = expected;
  }
}
