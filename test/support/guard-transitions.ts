import { mayMove, STATE_COLUMNS, type StateMachine } from '../../shared/control/state-machines.ts';
import type { Queryable } from '../../shared/postgres/queryable.ts';

/**
 * From now on every statement on this control store that changes a state must follow the state machines, or fails. What
 * the services do is checked by that against the contract, in every test that uses such a store. A test that puts a row
 * into a state for its set-up marks the statement with a comment, "arranged".
 */
export async function guardTransitions(db: Queryable): Promise<void> {
  for (const { table, column, machine } of STATE_COLUMNS) {
    const name = `guard_${table}_${column}`;
    const moves = movesOf(machine).map((move) => `'${move}'`);
    await db.query(`
      create or replace function tandem.${name}() returns trigger language plpgsql as $$
      begin
        if position('/* arranged' in current_query()) = 0 and old.${column} || '>' || new.${column} not in (${moves.join(', ')}) then
          raise exception '${table}.${column} moves from % to %, which no event does', old.${column}, new.${column};
        end if;
        return new;
      end $$;
      create or replace trigger ${name} before update on tandem.${table}
        for each row when (old.${column} is distinct from new.${column}) execute function tandem.${name}()`);
  }
}

function movesOf(machine: StateMachine<string, string>): string[] {
  const states = Object.keys(machine);
  return states.flatMap((from) =>
    states.filter((to) => mayMove(machine, from, to)).map((to) => `${from}>${to}`),
  );
}
