import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import '@mgpu/a1111';
import '@mgpu/access';
import '@mgpu/comfyui';
import '@mgpu/control';
import { definedErrors, environmentBindings } from '@mgpu/core';
import '@mgpu/core/git';
import '@mgpu/core/python';
import '@mgpu/custom-nodes';
import '@mgpu/models';
import '@mgpu/nginx';
import '@mgpu/ollama';
import '@mgpu/redis';
import '@mgpu/watchdog';
import '@mgpu/worker';
import '@mgpu/workflows';
import { definitions } from '@mgpu/machine';
import { expect, test } from 'vitest';

const cli = join(import.meta.dirname, '../apps/machine/bin/mgpu.js');
const page = (name: string) => readFileSync(join(import.meta.dirname, '../docs/reference', name), 'utf8');

test('every error code is documented, and every documented one exists', () => {
  const documented = [...page('errors.md').matchAll(/^\| `([A-Z][A-Z0-9_]+)` +\|/gm)].map(([, code]) => code);
  expect(documented.toSorted()).toEqual(
    definedErrors()
      .map(({ code }) => code)
      .toSorted(),
  );
});

test('every environment variable is documented with its key, and every documented one exists', () => {
  const documented = [...page('environment.md').matchAll(/^\| `([A-Z][A-Z0-9_]+)` +\| `([^`]+)` +\|/gm)].map(
    ([, name, key]) => `${name} ${key}`,
  );
  const known = environmentBindings(definitions).map(({ name, path }) => `${name} ${path.join('.')}`);
  expect(documented.toSorted()).toEqual(known.toSorted());
});

test('every phase of a boot is documented with its policy and what it waits for', () => {
  const rows = page('phases.md').matchAll(/^\| `([^`]+)` +\| (?:`([^`]+)`)? +\| (yes|no) +\| ([^|]*?) +\|/gm);
  const documented = [...rows].flatMap(([, phase, kind, critical, waitsFor]) =>
    kind ? [{ phase, kind, critical: critical === 'yes', waitsFor }] : [],
  );
  const known = definitions.map(({ phase, kind, critical, dependsOn = [] }) => ({
    phase,
    kind,
    critical,
    waitsFor: dependsOn.map(({ on, when }) => `${on} ${when}`).join(', '),
  }));
  const byKind = (all: { kind: string }[]) => all.toSorted((a, b) => a.kind.localeCompare(b.kind));
  expect(byKind(documented)).toEqual(byKind(known));
});

test('the page on the command line is what the program says of itself, with an example of every command', () => {
  const said = execFileSync(process.execPath, [cli, 'reference'], { encoding: 'utf8' });
  expect(said).toMatch(/^## Global options\n/);
  expect(page('cli.md').slice(page('cli.md').indexOf('## Global options'))).toBe(said);
  const sections = said.split(/^### /m).slice(1);
  expect(sections.length).toBeGreaterThan(50);
  expect(
    sections.filter((section) => !section.includes('```sh\nmgpu')).map((section) => section.split('\n', 1)[0]),
  ).toEqual(['`mgpu completion <shell>`']);
});

test('every command of the predecessor has its counterpart on the page', () => {
  const [, table = ''] = page('cli.md').split('## For those who come from the base machine');
  const named = table.split('## ', 1)[0] ?? '';
  const verbs = ['start', 'stop', 'restart', 'status', 'setup', 'logs', 'count'];
  const own = ['download_a1111_models', 'load_a1111_models', 'install_flash_attention', 'check_flash_attention'];
  const rest = [
    'restart_with_…',
    'disk_usage',
    'model_cache',
    'websocket',
    'rotate',
    'update',
    'nodes',
    'models',
    'pull',
    'list',
  ];
  expect([...verbs, ...own, ...rest].filter((word) => !named.includes(word))).toEqual([]);
  // What is named as the counterpart is a command.
  const commands = [...page('cli.md').matchAll(/^### `mgpu (\S+)/gm)].map(([, word]) => word);
  const counterparts = named
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...(line.split(/(?<!\\)\|/)[2] ?? '').matchAll(/`mgpu (\w+)/g)].map(([, word]) => word));
  expect(counterparts.filter((word) => !['worker', 'ollama'].includes(word ?? '') && !commands.includes(word))).toEqual(
    [],
  );
});
