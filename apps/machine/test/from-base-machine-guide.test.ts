import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { leasePorts, temporaryFolder } from '@mgpu/core/testing';
import { expect, test } from 'vitest';

const repository = join(import.meta.dirname, '../../..');
const guide = readFileSync(join(repository, 'docs/guides/from-base-machine.md'), 'utf8');

/** The blocks of the guide, in their order. */
const blocks = [...guide.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, kind = '', text = '']) => ({ kind, text }));

/** All that differs from the guide: its root, and its ports by GPU 0's. */
function here(text: string, root: string, port: number): string {
  const bases = {
    8188: port,
    3001: port + 4,
    8080: port + 8,
    3188: port + 10,
    2001: port + 14,
    11434: port + 18,
    9090: port + 20,
  };
  const moved = Object.entries(bases).flatMap(([base, to]) =>
    [0, 1].map((gpu) => [String(Number(base) + gpu), String(to + gpu)] as const),
  );
  const ports = new Map(moved);
  return text
    .replaceAll('/var/tmp/mgpu-trial', root)
    .replaceAll(/\b\d{4,5}\b/g, (number) => ports.get(number) ?? number);
}

/** Runs a block as a shell does, in an empty environment but for the path; resolves with all it said. */
async function shell(script: string, home: string): Promise<string> {
  const path = [join(repository, 'node_modules/.bin'), dirname(process.execPath), process.env.PATH].join(':');
  const child = spawn('bash', ['-e', '-c', script], { cwd: home, env: { PATH: path, HOME: home } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(code, said).toBe(0);
  return said;
}

const asOneLine = (text: string) => text.replaceAll(/\s+/g, ' ').trim();

test("the guide, followed to the letter, makes a running machine of a base machine's file", {
  timeout: 120_000,
}, async () => {
  using home = temporaryFolder('guide-');
  using ports = await leasePorts();
  const root = join(home.path, 'root');
  mkdirSync(join(home.path, 'home'));
  const dir = join(home.path, 'home');
  await using _ = {
    // Whatever was not followed to its end.
    [Symbol.asyncDispose]: async () => void (await shell(`mgpu --root '${root}' down --force || true`, dir)),
  };
  let said = '';
  let promises = 0;
  for (const { kind, text } of blocks.map((block) => ({ ...block, text: here(block.text, root, ports.first) }))) {
    if (kind === 'dotenv') writeFileSync(join(dir, '.env.local'), text);
    else if (kind === 'sh') said = asOneLine(await shell(text, dir));
    else {
      expect(kind).toBe('text');
      for (const line of text.trim().split('\n')) {
        expect(said).toContain(asOneLine(line));
        promises += 1;
      }
    }
  }
  expect(blocks.filter(({ kind }) => kind === 'dotenv')).toHaveLength(1);
  expect(promises).toBeGreaterThan(15);
});
