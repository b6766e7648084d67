import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeListJsonSchema, readNodeList } from './read-list.ts';

const url = 'https://host.invalid/one.git';

test.each([
  ['the usual form', { custom_nodes: [{ name: 'one', url }] }],
  ['a bare array', [{ name: 'one', url }]],
  ['an object keyed by name', { one: { url } }],
  ['an object keyed by name below custom_nodes', { custom_nodes: { one: { url } } }],
  ['what a database wrote', [{ name: 'one', url, branch: null, commit: '', env: null }]],
])('%s is read', (_, value) => {
  expect(readNodeList(JSON.stringify(value))).toEqual({ entries: [{ name: 'one', url }], invalid: [], warnings: [] });
});

test('wrong values are told with path, value and what they should be, and harm nobody else', () => {
  const list = readNodeList(
    JSON.stringify([
      { name: 'a/b', url },
      { name: 'no-url' },
      { name: 'text', url, recursive: 'yes' },
      { name: 'variable', url, env: { 'A-B': 'x' } },
      { name: 'ref', url, branch: '--upload-pack=x' },
      { name: 'helper', url: 'ext::sh -c id' },
      'nothing',
      { name: 'one', url, comit: 'x' },
      { name: 'one', url },
    ]),
  );
  expect(list.entries).toEqual([{ name: 'one', url }]);
  expect(list.warnings).toEqual(['7.comit: unknown key (value "x"); did you mean "commit"?']);
  expect(list.invalid.map(({ name, error }) => [name, error.code, error.message])).toEqual([
    [
      'a/b',
      'NODES_ENTRY_INVALID',
      expect.stringContaining('0.name: must be the name of a folder, not a path, got "a/b"'),
    ],
    ['no-url', 'NODES_ENTRY_INVALID', expect.stringContaining('1.url: ')],
    [
      'text',
      'NODES_ENTRY_INVALID',
      expect.stringContaining('2.recursive: invalid input: expected boolean, received string, got "yes"'),
    ],
    ['variable', 'NODES_ENTRY_INVALID', expect.stringContaining('3.env.A-B')],
    ['ref', 'CORE_GIT_REF', expect.any(String)],
    ['helper', 'CORE_GIT_URL', expect.any(String)],
    ['6', 'NODES_ENTRY_INVALID', expect.stringContaining('expected object')],
    ['8', 'NODES_ENTRY_INVALID', expect.stringContaining('8.name: "one" is taken by an earlier entry')],
  ]);
});

test.each(['.', '..', '.git', '-rf', '../x', '/x', 'a\\b', 'x.disabled', '__pycache__', 'a\nb', ''])(
  '%j is no name',
  (name) => {
    expect(readNodeList(JSON.stringify([{ name, url }])).invalid).toHaveLength(1);
  },
);

test.each(['', '[', '3', 'null', '"x"', '{"custom_nodes": "x"}'])('%j is no list', (text) => {
  expect(() => readNodeList(text, 'list.json')).toThrow(expect.objectContaining({ code: 'NODES_LIST_INVALID' }));
});

test('secrets in an entry are not shown', () => {
  const { invalid } = readNodeList(JSON.stringify([{ name: 'x', url: 'https://token@host.invalid/x y' }]));
  expect(invalid[0]?.error.message).not.toContain('token@');
});

test('the published schema is that of the code', () => {
  const page = join(import.meta.dirname, '../../../../docs/reference/config_nodes.schema.json');
  expect(JSON.parse(readFileSync(page, 'utf8'))).toEqual(nodeListJsonSchema());
});
