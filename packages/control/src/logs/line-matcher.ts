import type { LineMatcher } from '@mgpu/core';
import { RequestInvalidError } from '../errors.ts';

/** Steps of an expression once it is compiled. RE2's time is bounded by them times the length of a line, and 3,000 take minutes. */
const mostSteps = 500;

/**
 * An expression of a stranger: RE2, whose time is bounded by the length of the text, where those of JavaScript may take for ever.
 * Throws `CONTROL_REQUEST_INVALID`.
 */
export async function lineMatcher(pattern: string, { ignoreCase }: { ignoreCase: boolean }): Promise<LineMatcher> {
  const { RE2JS } = await import('re2js');
  const refuse = (problem: string) => new RequestInvalidError({ problems: [`grep: ${problem}`] });
  let expression: InstanceType<typeof RE2JS>;
  try {
    expression = RE2JS.compile(pattern, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
  } catch (error) {
    throw refuse((error as Error).message);
  }
  const steps = expression.programSize();
  if (steps > mostSteps) throw refuse(`it takes ${steps} steps, and may take ${mostSteps}: repeat less`);
  return expression;
}
