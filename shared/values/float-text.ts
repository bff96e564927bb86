/** Below it a float4 is subnormal, and its shortest text may have fewer than six digits of precision. */
const SMALLEST_NORMAL_FLOAT = 2 ** -126;

/** The shortest text that reads back as the same float8. `-0`, `NaN`, `Infinity` and `-Infinity` are told apart. */
export function doubleText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

/** The shortest text that reads back as the same float4: `0.1`, where the same number as a float8 has 17 digits. */
export function floatText(value: number): string {
  const whole = doubleText(value);
  // Six digits or fewer always survive a float4, so such a text is the shortest already.
  if (whole.length <= 7 || !Number.isFinite(value)) return whole;
  const size = Math.abs(value);
  for (let digits = size < SMALLEST_NORMAL_FLOAT ? 1 : 6; digits < 9; digits += 1) {
    const nearest = Number(size.toPrecision(digits));
    const shortest = Math.fround(nearest) === size ? nearest : nextAbove(size, nearest, digits);
    if (Math.fround(shortest) === size) return doubleText(value < 0 ? -shortest : shortest);
  }
  return doubleText(Number(value.toPrecision(9)));
}

/**
 * At a power of two, floats are twice as far apart above as below, so that the nearest decimal may miss from below
 * while the next one, though farther, still reads back as the value.
 */
function nextAbove(size: number, nearest: number, digits: number): number {
  if (nearest >= size) return nearest;
  const [mantissa = '', exponent = ''] = size.toExponential(digits - 1).split('e');
  return Number(`${Number(mantissa.replace('.', '')) + 1}e${Number(exponent) - digits + 1}`);
}
