import type { Health, HealthClaim } from './types.ts';

const severity: Readonly<Record<Health, number>> = { ready: 0, unknown: 1, degraded: 2, notReady: 3 };

/** Of several who speak about one run the most worried is believed; unknown when nobody says anything. */
export function worstOf(...claims: readonly (HealthClaim | undefined)[]): HealthClaim {
  return (
    claims
      .filter((each) => each !== undefined)
      .toSorted((a, b) => severity[b.health] - severity[a.health])
      .at(0) ?? { health: 'unknown' }
  );
}
