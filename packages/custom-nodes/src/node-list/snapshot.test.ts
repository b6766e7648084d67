import { expect, test } from 'vitest';
import { readSnapshot } from './snapshot.ts';

const hash = 'a'.repeat(40);

test('a snapshot becomes a list of pinned nodes and what a list cannot say', () => {
  const snapshot = readSnapshot(
    JSON.stringify({
      comfyui: hash,
      git_custom_nodes: { 'https://host.invalid/me/Some-Pack.git': { hash, disabled: true }, 'ext::sh': { hash } },
      cnr_custom_nodes: { 'other-pack': '1.2.3' },
      file_custom_nodes: [{ filename: 'x.py', disabled: true }],
      pips: {
        'numpy==1.26.0': '',
        thing: 'https://host.invalid/thing.whl',
        'pack @ git+https://host.invalid/pack': '',
      },
    }),
  );
  expect(snapshot.list.entries).toEqual([
    { name: 'Some-Pack', url: 'https://host.invalid/me/Some-Pack.git', commit: hash, enabled: false },
  ]);
  expect(snapshot.list.invalid).toMatchObject([{ error: { code: 'CORE_GIT_URL' } }]);
  expect(snapshot).toMatchObject({ engine: hash, files: [{ name: 'x.py', enabled: false }] });
  expect([...snapshot.registryPacks]).toEqual([['other-pack', '1.2.3']]);
  expect([...snapshot.packages]).toEqual([
    ['numpy', '1.26.0'],
    ['thing', 'https://host.invalid/thing.whl'],
    ['pack', 'git+https://host.invalid/pack'],
  ]);
});

test('YAML is read as well', () => {
  const text = `custom_nodes:\n  git_custom_nodes:\n    https://host.invalid/x:\n      hash: ${hash}\n      disabled: false\n`;
  expect(readSnapshot(text).list.entries).toMatchObject([{ name: 'x', commit: hash }]);
});

test.each(['[', '{}', '3', '{"git_custom_nodes": [1]}', 'a: &a [*a, *a]'])('%j is none', (text) => {
  expect(() => readSnapshot(text)).toThrow(expect.objectContaining({ code: 'NODES_SNAPSHOT_INVALID' }));
});
