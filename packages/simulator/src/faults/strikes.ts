import { readFileSync, writeFileSync } from 'node:fs';

/** The faults in force, and how often each has struck since it was set. */
export class Strikes<Faults extends object> {
  #faults: Faults;
  #strikes = new Map<keyof Faults, number>();

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  get current(): Faults {
    return this.#faults;
  }

  get strikes(): Record<string, number> {
    return Object.fromEntries(this.#strikes) as Record<string, number>;
  }

  /** Replaces all faults and forgets the counts. */
  protected set(faults: Faults): void {
    this.#faults = faults;
    this.#strikes = new Map();
  }

  /** The fault if it is set and not used up; counts the strike. */
  strike<Name extends keyof Faults>(name: Name): Faults[Name] | undefined {
    const fault = this.#faults[name];
    if (fault === undefined || this.isUsedUp(name)) return undefined;
    const struck = this.#struck(name) + 1;
    this.#strikes.set(name, struck);
    const { countFile } = this.#limit(name);
    if (countFile !== undefined) writeFileSync(countFile, String(struck));
    return fault;
  }

  isUsedUp(name: keyof Faults): boolean {
    const { times } = this.#limit(name);
    return times !== undefined && this.#struck(name) >= times;
  }

  #limit(name: keyof Faults): { times?: number; countFile?: string } {
    return (this.#faults[name] ?? {}) as { times?: number; countFile?: string };
  }

  /** Strikes of a fault that ends the process are counted in a file. */
  #struck(name: keyof Faults): number {
    const { countFile } = this.#limit(name);
    return countFile === undefined ? (this.#strikes.get(name) ?? 0) : readCount(countFile);
  }
}

function readCount(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}
