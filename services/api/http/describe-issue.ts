import type { z } from 'zod';

const KINDS: Readonly<Record<string, string>> = {
  string: 'must be a string',
  number: 'must be a number',
  int: 'must be a whole number',
  boolean: 'must be true or false',
  array: 'must be a list',
  object: 'must be an object',
  record: 'must be an object',
};

/**
 * What is wrong with a value, where its schema does not say so itself: what it must be.
 *
 * @returns undefined for what Zod says well enough
 */
export function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : KINDS[issue.expected];
    case 'too_small':
      return boundOf(issue.origin, Number(issue.minimum), 'least');
    case 'too_big':
      return boundOf(issue.origin, Number(issue.maximum), 'most');
    case 'invalid_value': {
      const [first, ...others] = issue.values;
      if (issue.input === undefined) return 'is required';
      return others.length === 0 ? `must be "${String(first)}"` : `must be one of ${issue.values.join(', ')}`;
    }
    case 'invalid_format':
      return 'does not have the required form';
    default:
      return undefined;
  }
}

function boundOf(origin: string, bound: number, which: 'least' | 'most'): string | undefined {
  if (origin === 'string') {
    return which === 'least' && bound === 1
      ? 'must not be empty'
      : `must have at ${which} ${bound} characters`;
  }
  if (origin === 'array') {
    return which === 'least' && bound === 1 ? 'must not be empty' : `must have at ${which} ${bound} entries`;
  }
  return origin === 'number' || origin === 'int' ? `must be at ${which} ${bound}` : undefined;
}
