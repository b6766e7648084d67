import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { type Clock, ignore, type Logger, versionedFile } from '@mgpu/core';
import { z } from 'zod';

const incidentSchema = z.object({
  id: z.string(),
  /** ISO time. */
  at: z.string(),
  /** Instance id, GPU UUID (its PCI bus id where that is not known), or `machine`. */
  subject: z.string(),
  scope: z.enum(['job', 'process', 'gpu', 'host']),
  /** Index of the GPU concerned. */
  gpu: z.number().int().nonnegative().optional(),
  severity: z.enum(['info', 'warning', 'error', 'critical']),
  cause: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }),
  /** What led to the conclusion. */
  evidence: z.array(z.object({ at: z.string(), text: z.string() })),
  /** The last lines that its process printed. */
  lastWords: z.array(z.string()),
  /** What was done about it, and what came of it, in order. */
  actions: z.array(z.object({ at: z.string(), what: z.string() })),
});

/** One failure or fault: what happened, why, and what was done about it. */
export type Incident = z.infer<typeof incidentSchema>;

/** What is told of a new one. */
export type IncidentFacts = Pick<Incident, 'subject' | 'scope' | 'severity' | 'cause'> & {
  readonly gpu?: number | undefined;
  readonly evidence?: readonly string[];
  readonly lastWords?: readonly string[];
};

const maxIncidents = 500;
const maxActions = 100;
const maxLines = 50;
const maxChars = 1_000;

const keyOf = ({ subject, cause }: Incident) => `${cause.code} ${subject}`;

function latestOf(incidents: readonly Incident[]): ReadonlyMap<string, Incident> {
  const latest = new Map<string, Incident>();
  for (const each of incidents) {
    latest.delete(keyOf(each)); // a later one also comes later in order
    latest.set(keyOf(each), each);
  }
  return latest;
}

const clip = (text: string) => (text.length > maxChars ? `${text.slice(0, maxChars)}…` : text);
const folderIn = (stateDir: string) => join(stateDir, 'incidents');
const fileIn = (stateDir: string, id: string) =>
  versionedFile(join(folderIn(stateDir), `${id}.json`), 1, incidentSchema);

/**
 * The incidents kept on disk, oldest first; those of one subject where one is asked for. Needs no daemon. One that cannot
 * be read is left out.
 */
export async function readIncidents(stateDir: string, isWanted: (incident: Incident) => boolean = () => true) {
  const incidents: Incident[] = [];
  for (const id of await idsIn(stateDir)) {
    const incident = readIncident(stateDir, id);
    if (incident && isWanted(incident)) incidents.push(incident);
    await setImmediate(); // hundreds of them, of a disk that may be slow: whoever else has work is heard
  }
  return incidents;
}

/** The one that began last, of those that can be read; undefined when there is none. Needs no daemon. */
export async function latestIncident(stateDir: string): Promise<Incident | undefined> {
  for (const id of (await idsIn(stateDir)).toReversed()) {
    const incident = readIncident(stateDir, id);
    if (incident) return incident;
  }
  return undefined;
}

function readIncident(stateDir: string, id: string): Incident | undefined {
  try {
    return fileIn(stateDir, id).read();
  } catch {
    return undefined; // the others are worth more than a complaint about this one
  }
}

async function idsIn(stateDir: string): Promise<string[]> {
  const names = (await readdir(folderIn(stateDir)).catch(ignore('ENOENT'))) ?? [];
  return names.flatMap((name) => /^(.+)\.json$/.exec(name)?.[1] ?? []).toSorted();
}

/** Writes incidents: one file each in `state/incidents`, the oldest removed beyond 500. */
export class IncidentBook {
  readonly #stateDir: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** The last one of each cause and subject, in the order of their beginning. */
  #latest: ReadonlyMap<string, Incident> = new Map();
  readonly #unwritten = new Map<string, Incident>();
  #count = 0;
  #writing: Promise<void> | undefined;

  constructor(options: { stateDir: string; clock: Clock; log: Logger }) {
    this.#stateDir = options.stateDir;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Goes on with those of the daemon before. */
  async load(): Promise<void> {
    try {
      const former = await readIncidents(this.#stateDir);
      this.#latest = latestOf([...former, ...this.#latest.values()]);
    } catch (error) {
      this.#log.warn('earlier incidents could not be read', { error });
    }
  }

  open({ subject, scope, gpu, severity, cause, evidence = [], lastWords = [] }: IncidentFacts): void {
    const at = this.#now();
    this.#count += 1;
    const id = `${at.replaceAll(':', '-')}-${String(this.#count).padStart(4, '0')}-${subject.replace(/[^\w.-]/g, '_')}`;
    const { code, message, hint } = cause;
    const incident: Incident = {
      id,
      at,
      subject,
      scope,
      ...(gpu === undefined ? {} : { gpu }),
      severity,
      cause: { code, message: clip(message), ...(hint === undefined ? {} : { hint }) },
      evidence: evidence.slice(-maxLines).map((text) => ({ at, text: clip(text) })),
      lastWords: lastWords.slice(-maxLines).map(clip),
      actions: [],
    };
    this.#latest = latestOf([...this.#latest.values(), incident]);
    this.#write(incident);
  }

  /** Something was done about the last incident of this subject, of this cause where one is named, or came of it. */
  note(subject: string, what: string, code?: string): void {
    const incident = [...this.#latest.values()].findLast(
      (each) => each.subject === subject && (code === undefined || each.cause.code === code),
    );
    if (!incident || incident.actions.length >= maxActions) return;
    const noted = { ...incident, actions: [...incident.actions, { at: this.#now(), what: clip(what) }] };
    this.#latest = new Map(this.#latest).set(keyOf(noted), noted);
    this.#write(noted);
  }

  /** Tries again to write what could not be written. */
  flush(): void {
    if (this.#unwritten.size === 0) return;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when all is on disk. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #removeOldest(): Promise<void> {
    const ids = await idsIn(this.#stateDir);
    for (const id of ids.slice(0, Math.max(0, ids.length - maxIncidents)))
      await rm(join(folderIn(this.#stateDir), `${id}.json`), { force: true });
  }

  #now(): string {
    return new Date(this.#clock.now()).toISOString();
  }

  #write(incident: Incident): void {
    this.#unwritten.set(incident.id, incident);
    const [oldest] = this.#unwritten.keys();
    if (this.#unwritten.size > maxIncidents && oldest !== undefined) this.#unwritten.delete(oldest);
    this.flush();
  }

  async #writeAll(): Promise<void> {
    try {
      await mkdir(folderIn(this.#stateDir), { recursive: true });
      while (this.#unwritten.size > 0) {
        for (const [id, incident] of this.#unwritten) {
          await fileIn(this.#stateDir, id).write(incident);
          // What was noted meanwhile is yet to be written.
          if (this.#unwritten.get(id) === incident) this.#unwritten.delete(id);
        }
        await this.#removeOldest();
      }
    } catch (error) {
      // A full disk must not keep anything from recovering: the log has it, too.
      this.#log.warn('an incident could not be kept', { error });
    }
  }
}
