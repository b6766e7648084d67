import { expect, test, vi } from 'vitest';
import { definedErrors, defineError } from './define-error.ts';
import { MgpuError, reportError, reviveError, toMgpuError } from './mgpu-error.ts';

const BrewError = defineError<{ pot: string; degrees: number }>({
  code: 'TEST_BREW',
  retryable: true,
  message: ({ pot, degrees }) => `${pot}: only ${degrees} degrees`,
  hint: ({ degrees }) => (degrees < 10 ? 'plug it in' : undefined),
});
const OtherError = defineError<{ pot: string }>({
  code: 'TEST_OTHER',
  message: ({ pot }) => `${pot}: other`,
  hint: 'x',
});

test('a defined error says what happened, to whom, and what to do', () => {
  const error = new BrewError({ pot: 'kitchen', degrees: 5 });
  expect(error).toMatchObject({
    name: 'MgpuError',
    code: 'TEST_BREW',
    message: 'kitchen: only 5 degrees',
    hint: 'plug it in',
    retryable: true,
    details: { pot: 'kitchen', degrees: 5 },
  });
  expect(new BrewError({ pot: 'kitchen', degrees: 50 }).hint).toBeUndefined();
  expect(BrewError.code).toBe('TEST_BREW');
});

test('every defined code is listed', () => {
  expect(definedErrors()).toContainEqual({ code: 'TEST_BREW' });
  expect(definedErrors()).toContainEqual({ code: 'TEST_OTHER' });
});

test('whether a retry may help can depend on what happened', () => {
  const LidError = defineError<{ stuck: boolean }>({
    code: 'TEST_LID',
    retryable: ({ stuck }) => !stuck,
    message: () => 'the lid is open',
  });
  expect([new LidError({ stuck: true }).retryable, new LidError({ stuck: false }).retryable]).toEqual([false, true]);
});

test('an error crosses a process border and back without a loss', () => {
  const cause = new OtherError({ pot: 'cellar' }, { cause: new TypeError('socket hang up') });
  const error = new BrewError({ pot: 'kitchen', degrees: 5 }, { cause });
  const report = JSON.parse(JSON.stringify(reportError(error)));
  expect(JSON.parse(JSON.stringify({ error }))).toEqual({ error: report });
  expect(report).toEqual({
    code: 'TEST_BREW',
    message: 'kitchen: only 5 degrees',
    hint: 'plug it in',
    retryable: true,
    details: { pot: 'kitchen', degrees: 5 },
    cause: {
      code: 'TEST_OTHER',
      message: 'cellar: other',
      hint: 'x',
      retryable: false,
      details: { pot: 'cellar' },
      cause: { code: 'CORE_UNEXPECTED', message: 'socket hang up', retryable: false },
    },
  });
  expect(reportError(reviveError(report))).toEqual(report);
});

test('errors of the system keep their code, several at once all their texts', () => {
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  expect(reportError(refused)).toMatchObject({ message: 'connect', details: { errno: 'ECONNREFUSED' } });
  expect(reportError(new AggregateError([refused, 'odd'], 'both failed')).message).toBe('both failed; connect; odd');
  expect(reportError(new Error('')).message).toBe('Error');
  expect(reportError(undefined)).toEqual({ code: 'CORE_UNEXPECTED', message: 'undefined', retryable: false });
});

test('a circle of causes is cut', () => {
  const error = new Error('round');
  error.cause = error;
  expect(reportError(error).message).toBe('round');
});

test('any thrown value becomes an error with its original as the cause; our own stay as they are', () => {
  const own = new BrewError({ pot: 'kitchen', degrees: 5 });
  expect(toMgpuError(own, 'ctx')).toBe(own);
  expect(toMgpuError('oops', 'ctx')).toMatchObject({ code: 'CORE_UNEXPECTED', message: 'ctx: oops', cause: 'oops' });
});

test('instanceof works across copies of the library, and tells defined errors apart', async () => {
  vi.resetModules();
  const copy = await import('./define-error.ts');
  const CopiedBrewError = copy.defineError<{ pot: string }>({ code: 'TEST_BREW', message: () => 'copied' });
  const copied = new CopiedBrewError({ pot: 'kitchen' });
  expect(Object.getPrototypeOf(CopiedBrewError)).not.toBe(MgpuError);
  expect(copied instanceof MgpuError).toBe(true);
  expect(copied instanceof BrewError).toBe(true);
  expect(copied instanceof OtherError).toBe(false);
  expect(reviveError(reportError(copied)) instanceof BrewError).toBe(true);
  expect(new Error('no') instanceof MgpuError).toBe(false);
  expect({} instanceof MgpuError).toBe(false);
});
