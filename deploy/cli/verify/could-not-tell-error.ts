/** The comparison can't be made, which says nothing of whether the copy is right. Its text says what to do. */
export class CouldNotTellError extends Error {
  override readonly name = 'CouldNotTellError';
}
