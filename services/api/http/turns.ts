/** Runs so many pieces of work in a turn of the event loop, in their order, so that what comes at once delays others by little. */
export function createTurns(perTurn: number): (work: () => void) => void {
  const waiting: (() => void)[] = [];
  const runSome = () => {
    const some = waiting.slice(0, perTurn);
    for (const work of some) work();
    waiting.splice(0, some.length);
    if (waiting.length > 0) setImmediate(runSome);
  };
  return (work) => {
    waiting.push(work);
    // One that runs keeps its place until the turn ends, so the next turn is asked for once.
    if (waiting.length === 1) setImmediate(runSome);
  };
}
