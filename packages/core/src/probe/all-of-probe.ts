import type { Probe } from './probe.ts';

/** Yes when all say yes; the first no (or fatal, or unknown) is the answer, and the others are not waited for. */
export function allOfProbe(probes: readonly Probe[]): Probe {
  return {
    description: probes.map(({ description }) => description).join(' and '),
    async attempt(context) {
      const rest = new AbortController();
      const signal = AbortSignal.any([context.signal, rest.signal]);
      try {
        return await new Promise((resolve, reject) => {
          const attempts = probes.map(async (probe) => {
            const outcome = await probe.attempt({ ...context, signal });
            if (outcome.outcome !== 'ok') resolve(outcome);
          });
          Promise.all(attempts).then(() => resolve({ outcome: 'ok' }), reject);
        });
      } finally {
        rest.abort();
      }
    },
  };
}
