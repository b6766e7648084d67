import { hashText, seededRandom } from '../random.ts';

const words =
  'the a model of every small simulated machine thinks in words that nobody wrote and says them twice so well'.split(
    ' ',
  );

export interface AnswerOptions {
  /** What the answer depends on, and nothing else. */
  readonly subject: unknown;
  readonly seed: number;
  readonly tokens: number;
  /** `num_predict`; none when not positive. */
  readonly limit: number | undefined;
  /** The answer is to be JSON. */
  readonly asJson: boolean;
}

/** An answer, token by token, and why it ends. */
export function answerOf({ subject, seed, tokens, limit, asJson }: AnswerOptions): {
  tokens: readonly string[];
  reason: 'stop' | 'length';
} {
  const random = seededRandom(hashText(JSON.stringify([subject, seed])));
  const picked = Array.from({ length: tokens }, () => words[Math.floor(random() * words.length)] as string);
  const plain = picked.map((word, at) => (at === 0 ? word : ` ${word}`));
  const all = asJson ? ['{"answer":"', ...plain.slice(0, Math.max(1, tokens - 2)), '"}'] : plain;
  const isCut = limit !== undefined && limit > 0 && limit < all.length;
  return { tokens: isCut ? all.slice(0, limit) : all, reason: isCut ? 'length' : 'stop' };
}

/** A vector of length one that depends on the text alone. */
export function embeddingOf(text: string, dimensions: number): number[] {
  const random = seededRandom(hashText(text));
  const vector = Array.from({ length: dimensions }, () => random() - 0.5);
  const norm = Math.hypot(...vector);
  return vector.map((each) => each / norm);
}

/** About as many as a real tokenizer makes. */
export const countTokens = (text: string): number => Math.ceil(text.length / 4);
