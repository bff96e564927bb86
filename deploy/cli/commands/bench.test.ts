import { expect, test } from 'vitest';
import { BENCHES as RUNS } from '../../../test/bench/benches.ts';
import { BENCHES } from './bench.ts';

test('every benchmark is listed, and each that is listed is there', () => {
  expect(Object.keys(RUNS).sort()).toEqual(Object.keys(BENCHES).sort());
});
