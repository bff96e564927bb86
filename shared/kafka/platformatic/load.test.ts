import { expect, test } from 'vitest';
import { requireNode } from './load.ts';

test('a Node that the package does not run on is refused, with what to do', () => {
  for (const version of ['22.22.0', '24.6.1', '25.0.0']) expect(() => requireNode(version)).not.toThrow();
  for (const version of ['20.19.0', '22.21.9', '23.11.0', '24.5.0']) {
    expect(() => requireNode(version)).toThrow('needs Node 24.6 or newer');
  }
});
