import { expect, test } from 'vitest';
import { addNode, removeNode, setEnabled } from './edit-list.ts';

const text = `{
    "$schema": "./schema.json",
    "custom_nodes": [
        {"name": "one",   "url": "https://host.invalid/one"},
        {
            "name": "two",
            "url": "https://host.invalid/two", "ours": 1
        }
    ]
}
`;

test('a node is added, and nothing else changes', () => {
  const added = addNode(text, { name: 'three', url: 'https://host.invalid/three' });
  expect(added.startsWith(text.slice(0, text.lastIndexOf('}\n    ]') + 1))).toBe(true);
  expect(JSON.parse(added).custom_nodes[2]).toEqual({ name: 'three', url: 'https://host.invalid/three' });
  expect(removeNode(added, 'three')).toBe(text);
  expect(() => addNode(text, { name: 'one', url: 'x' })).toThrow(expect.objectContaining({ code: 'NODES_LIST_TAKEN' }));
});

test('a node is disabled and enabled again, and removed', () => {
  const off = setEnabled(text, 'two', false);
  expect(JSON.parse(off).custom_nodes[1]).toEqual({
    name: 'two',
    url: 'https://host.invalid/two',
    ours: 1,
    enabled: false,
  });
  expect(setEnabled(off, 'two', true)).toBe(text);
  expect(JSON.parse(removeNode(text, 'one')).custom_nodes).toHaveLength(1);
  expect(() => removeNode(text, 'three')).toThrow(expect.objectContaining({ code: 'NODES_LIST_ENTRY' }));
});

test('the other forms are edited as they are', () => {
  expect(JSON.parse(addNode('[]', { name: 'a', url: 'u' }))).toEqual([{ name: 'a', url: 'u' }]);
  const keyed = '{"one": {"url": "u"}}';
  expect(JSON.parse(addNode(keyed, { name: 'a', url: 'u' }))).toEqual({ one: { url: 'u' }, a: { url: 'u' } });
  expect(JSON.parse(setEnabled(keyed, 'one', false))).toEqual({ one: { url: 'u', enabled: false } });
  expect(removeNode('{"custom_nodes": {"one": {"url": "u"}}}', 'one')).toContain('custom_nodes');
});
