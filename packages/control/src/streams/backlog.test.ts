import { expect, test } from 'vitest';
import { Backlog, type Reader } from './backlog.ts';

class Listener implements Reader {
  isDropped = false;
  behindBytes = 0;

  drop(): void {
    this.isDropped = true;
  }
}

const dropped = (...listeners: readonly Listener[]) => listeners.map(({ isDropped }) => isDropped);

test('whoever has been behind for longest is dropped, not whoever is further behind', () => {
  const [dead, slow, busy] = [new Listener(), new Listener(), new Listener()];
  const backlog = new Backlog(100);
  const write = (listener: Listener, behindBytes: number) => {
    listener.behindBytes = behindBytes;
    backlog.look(listener);
  };
  write(slow, 40);
  write(dead, 10);
  write(slow, 0); // it has caught up
  write(slow, 30);
  write(busy, 60);
  expect(dropped(dead, slow, busy)).toEqual([false, false, false]);
  write(busy, 61);
  expect(dropped(dead, slow, busy)).toEqual([true, false, false]);
  write(busy, 71);
  expect(dropped(dead, slow, busy)).toEqual([true, true, false]);
});

test('one that has read, or gone, since it was looked at is behind no more', () => {
  const [early, late] = [new Listener(), new Listener()];
  const backlog = new Backlog(100);
  early.behindBytes = 90;
  backlog.look(early);
  early.behindBytes = 0;
  late.behindBytes = 100;
  backlog.look(late);
  expect(dropped(early, late)).toEqual([false, false]);
});
