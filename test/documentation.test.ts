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
