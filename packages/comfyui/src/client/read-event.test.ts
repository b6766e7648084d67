import { expect, test } from 'vitest';
import { readEvent } from './read-event.ts';

const binary = (type: number, second: number, rest: string) => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(type, 0);
  head.writeUInt32BE(second, 4);
  return new Uint8Array(Buffer.concat([head, Buffer.from(rest)]));
};

test('text frames are events, known or not', () => {
  expect(readEvent('{"type":"executing","data":{"node":null,"prompt_id":"a"}}')).toEqual({
    type: 'executing',
    data: { node: null, prompt_id: 'a' },
  });
  expect(readEvent('{"type":"crystools.monitor","data":[1]}')).toEqual({
    type: 'other',
    name: 'crystools.monitor',
    data: [1],
  });
});

test('what is no event is none', () => {
  for (const frame of ['', '{', 'null', '[]', '{"type":1}', '{"type":"executed"}', '{"type":"executed","data":7}']) {
    expect(readEvent(frame), frame).toBeUndefined();
  }
  expect(readEvent(new Uint8Array(3))).toBeUndefined();
  expect(readEvent(binary(1, 2, '').subarray(0, 7))).toBeUndefined();
  expect(readEvent(binary(4, 99, '{}'))).toBeUndefined();
  expect(readEvent(binary(4, 2, '{]'))).toBeUndefined();
});

test.each([
  ['execution_start', {}],
  ['execution_cached', { prompt_id: 'p', nodes: 7 }],
  ['executing', { prompt_id: 'p' }],
  ['executed', { prompt_id: 'p', node: '1', output: [] }],
  ['progress', { prompt_id: 'p', node: '1', value: '1', max: 2 }],
  ['progress_state', { prompt_id: 'p', nodes: null }],
  ['progress_state', { prompt_id: 'p', nodes: { 1: null } }],
  ['execution_error', { node_id: '1' }],
])('a %s without what is relied on is none', (type, data) => {
  expect(readEvent(JSON.stringify({ type, data }))).toBeUndefined();
});

test('what is new is passed on', () => {
  const more = { prompt_id: 'p', node: '1', value: 1, max: 2, news: true };
  expect(readEvent(JSON.stringify({ type: 'progress', data: more }))).toEqual({ type: 'progress', data: more });
  const bytes = new Uint8Array([0, 0, 0, 7, ...Buffer.from('x')]);
  expect(readEvent(binary(9, 7, 'x'))).toEqual({ type: 'other', name: 'binary 9', data: bytes });
  expect(readEvent('{"type":"constructor","data":1}')).toEqual({ type: 'other', name: 'constructor', data: 1 });
});

test('binary frames are pictures and texts', () => {
  expect(readEvent(binary(1, 2, 'png'))).toEqual({
    type: 'preview',
    mediaType: 'image/png',
    bytes: new Uint8Array(Buffer.from('png')),
  });
  expect(readEvent(binary(3, 2, '12hello'))).toEqual({ type: 'text', node: '12', text: 'hello' });
  const about = JSON.stringify({ node_id: '4', prompt_id: 'p', image_type: 'image/png' });
  expect(readEvent(binary(4, about.length, `${about}img`))).toEqual({
    type: 'preview',
    mediaType: 'image/png',
    bytes: new Uint8Array(Buffer.from('img')),
    data: { node_id: '4', prompt_id: 'p' },
  });
});
