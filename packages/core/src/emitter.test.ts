import { expect, test } from 'vitest';
import { Emitter } from './emitter.ts';

interface Events {
  boiled: number;
}

function emitter() {
  const failures: [string, unknown][] = [];
  return { failures, events: new Emitter<Events>((event, error) => failures.push([event, error])) };
}

test('a listener that throws reaches neither the emitter nor the other listeners', () => {
  const { events, failures } = emitter();
  const heard: number[] = [];
  events.on('boiled', () => {
    throw new TypeError('bad');
  });
  events.on('boiled', (degrees) => heard.push(degrees));
  events.emit('boiled', 100);
  expect(heard).toEqual([100]);
  expect(failures).toEqual([['boiled', expect.any(TypeError)]]);
});

test('a listener that rejects is reported, too', async () => {
  const { events, failures } = emitter();
  events.on('boiled', async () => {
    throw new TypeError('bad');
  });
  events.emit('boiled', 100);
  await new Promise((resolve) => setImmediate(resolve));
  expect(failures).toEqual([['boiled', expect.any(TypeError)]]);
});

test('a listener may unsubscribe itself while it is told', () => {
  const { events } = emitter();
  const heard: string[] = [];
  const off = events.on('boiled', () => {
    heard.push('once');
    off();
  });
  events.on('boiled', () => heard.push('always'));
  events.emit('boiled', 1);
  events.emit('boiled', 2);
  expect(heard).toEqual(['once', 'always', 'always']);
});
