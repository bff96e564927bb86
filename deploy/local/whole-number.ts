import { SetupError } from '../../shared/runtime/errors.ts';

/** An option's value as a whole number. @throws SetupError naming the option and its bounds */
export function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new SetupError(`${option} must be a whole number from ${min} to ${max}, not "${text}"`);
}
