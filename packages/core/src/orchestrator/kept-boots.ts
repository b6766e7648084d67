import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomically } from '../files/atomic.ts';
import { ignoreMissing } from '../files/ignore.ts';
import { versionedFile } from '../files/versioned.ts';
import type { BootReport } from './boot-trace.ts';

/** How many boots are kept. */
const keptBoots = 50;

const outcome = z.enum(['running', 'ok', 'failed', 'skipped', 'cancelled']);
const node = z.looseObject({
  id: z.string(),
  critical: z.boolean(),
  startedMs: z.number(),
  ms: z.number(),
  outcome,
  waitedFor: z.string().optional(),
  error: z.looseObject({ code: z.string(), message: z.string(), hint: z.string().optional() }).optional(),
});
const phase = z.looseObject({
  name: z.string(),
  critical: z.boolean(),
  outcome,
  startedMs: z.number(),
  ms: z.number(),
  nodes: z.array(node),
});
const schema = z.looseObject({
  v: z.literal(1),
  daemonRun: z.string(),
  startedAt: z.string(),
  totalMs: z.number(),
  outcome: z.enum([...outcome.options, 'degraded']),
  phases: z.array(phase),
}) as unknown as z.ZodType<BootReport>;

/** Keeps a report under the machine's state folder, with those of the latest 50 boots; returns the path. */
export async function keepBoot(stateDir: string, report: BootReport): Promise<string> {
  const dir = join(stateDir, 'boots');
  const path = join(dir, `${report.daemonRun}.json`);
  await mkdir(dir, { recursive: true });
  await writeFileAtomically(path, `${JSON.stringify(report, null, 2)}\n`, 0o640);
  const old = (await newestFirst(dir)).slice(keptBoots);
  await Promise.all(old.map((each) => rm(each, { force: true })));
  return path;
}

/** The latest boot that was kept; undefined when there was none. Throws `CORE_FILE_INVALID`, `CORE_FILE_VERSION`. */
export async function latestBoot(stateDir: string): Promise<BootReport | undefined> {
  const [path] = await newestFirst(join(stateDir, 'boots'));
  return path === undefined ? undefined : versionedFile(path, 1, schema).read();
}

async function newestFirst(dir: string): Promise<string[]> {
  const names = (await readdir(dir).catch(ignoreMissing)) ?? [];
  const files = await Promise.all(
    names
      .filter((name) => name.endsWith('.json'))
      .map(async (name) => ({ path: join(dir, name), at: (await stat(join(dir, name))).mtimeMs })),
  );
  return files.toSorted((a, b) => b.at - a.at).map(({ path }) => path);
}
