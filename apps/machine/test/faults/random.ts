/** Seed of everything that is left to chance; `MGPU_FAULTS_SEED` repeats what another one gave. */
export const seed = Number(process.env.MGPU_FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 31));

let state = seed >>> 0;

/** From 0 to below 1, the same for the same seed (mulberry32). */
export function random(): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

export const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T;
