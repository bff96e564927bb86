/** Below it a float4 is subnormal, and its shortest text may have fewer than six digits of precision. */
const SMALLEST_NORMAL_FLOAT = 2 ** -126;
/** Enough to tell exactly halfway between two decimals of up to eight digits from nearly. */
const EXACT_DIGITS = 30;

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
  const isPowerOfTwo = 2 ** Math.round(Math.log2(size)) === size;
  for (let digits = size < SMALLEST_NORMAL_FLOAT ? 1 : 6; digits < 9; digits += 1) {
    let shortest = Number(size.toPrecision(digits));
    if (isMidway(size, digits)) shortest = evenOf(shortest, size, digits);
    else if (isPowerOfTwo && !standsFor(shortest, size)) shortest = nextAbove(size, digits);
    if (standsFor(shortest, size)) return doubleText(value < 0 ? -shortest : shortest);
  }
  return doubleText(Number(value.toPrecision(9)));
}

/**
 * Whether the decimal is nearer to the float4 than to any other. Halfway to the next one is not enough, though it
 * would be rounded back: PostgreSQL does not rely on it either. Hence a step of a millionth further away.
 */
function standsFor(decimal: number, size: number): boolean {
  return Math.fround(decimal + (decimal - size) * 1e-6) === size;
}

/** Whether the float4 lies halfway between two decimals of so many digits. */
function isMidway(size: number, digits: number): boolean {
  // Nearly every float4 has more digits than one more, and is done with here.
  return Number(size.toPrecision(digits + 1)) === size && /^50*$/.test(exactDigits(size).slice(digits));
}

/** Halfway between two decimals PostgreSQL takes the even one, where JavaScript takes the greater. */
function evenOf(above: number, size: number, digits: number): number {
  const whole = Number(exactDigits(size).slice(0, digits));
  const below = atScale(whole, size, digits);
  return whole % 2 === 0 && standsFor(below, size) ? below : above;
}

/**
 * At a power of two, floats are twice as far apart above as below, so that the nearest decimal may miss from below
 * while the next one, though farther, still reads back as the value.
 */
function nextAbove(size: number, digits: number): number {
  return atScale(Number(exactDigits(size).slice(0, digits)) + 1, size, digits);
}

function exactDigits(size: number): string {
  return size.toExponential(EXACT_DIGITS).replace('.', '').replace(/e.*/, '');
}

/** The digits as a number of the float4's own magnitude. */
function atScale(whole: number, size: number, digits: number): number {
  const exponent = Number(size.toExponential(EXACT_DIGITS).replace(/.*e/, ''));
  return Number(`${whole}e${exponent - digits + 1}`);
}
