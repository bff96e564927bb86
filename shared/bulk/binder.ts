/** Collects a statement's values; what it returns stands for the value in the text. No value ever becomes SQL. */
export interface Binder {
  readonly values: readonly unknown[];
  bind(value: unknown): string;
}

export function createBinder(first: readonly unknown[] = []): Binder {
  const values = [...first];
  return {
    values,
    bind(value) {
      values.push(value);
      return `$${values.length}`;
    },
  };
}
