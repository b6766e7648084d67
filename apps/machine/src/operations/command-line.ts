/** How an input becomes the words of a command line. */
export interface CommandLine {
  /** The command, such as `models pull`. */
  readonly words: readonly string[];
  /** Keys of the input that are arguments, in their order; all others are options. */
  readonly operands: readonly string[];
  /** Options that are switched off: `--no-<name>`. */
  readonly negated: readonly string[];
}

/** No value can become an option: those of options are part of their word, and arguments come after `--`. */
export function argumentsOf(
  { words, operands, negated }: CommandLine,
  input: Readonly<Record<string, unknown>>,
): readonly string[] {
  const options = Object.entries(input).flatMap(([key, value]) => {
    if (operands.includes(key) || value === undefined) return [];
    const name = key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (negated.includes(key)) return value === false ? [`--no-${name}`] : [];
    if (typeof value === 'boolean') return value ? [`--${name}`] : [];
    return [value].flat().map((each) => `--${name}=${each}`);
  });
  const values = operands.flatMap((key) => input[key] ?? []).map(String);
  return [...words, ...options, ...(values.length > 0 ? ['--', ...values] : [])];
}
