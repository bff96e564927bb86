import { expect, test } from 'vitest';
import { mayMove, STATE_COLUMNS } from './state-machines.ts';

test.each(STATE_COLUMNS)('every state of $table.$column can be reached', ({ machine, initial }) => {
  const states = Object.keys(machine);
  const reached = new Set<string>(initial);
  for (const from of reached) for (const to of states) if (mayMove(machine, from, to)) reached.add(to);
  expect([...reached].toSorted()).toEqual(states.toSorted());
  expect([...reached].every((state) => states.includes(state))).toBe(true);
});

test.each(STATE_COLUMNS)('$table.$column has every event in every state', ({ machine }) => {
  const [first, ...others] = Object.values(machine).map((events) => Object.keys(events).toSorted());
  for (const events of others) expect(events).toEqual(first);
});
