import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '@mgpu/core/testing';
import { expect, onTestFinished, test } from 'vitest';

const script = join(import.meta.dirname, '../scripts/check-parity.mjs');
const file = 'packages/one/test/one.test.ts';

interface Case {
  /** Rows of the chapter "Carried over". */
  readonly rows?: readonly string[];
  readonly others?: readonly string[];
  readonly lines?: readonly string[];
  /** Outcomes by title; a title with ` > ` is within a describe. */
  readonly outcomes?: Readonly<Record<string, string>>;
  readonly files?: readonly string[];
}

const row = (id: string, ...names: string[]) =>
  `| ${id} | a feature | \`packages/one/src\` | ${names.map((name) => `\`${file} > ${name}\``).join('<br>')} |`;

/** A repository with one test file and one page, and what the script says of it. */
function judge({
  rows = [row('B1.1, C1.1', 'works'), row('B1.2', 'a part > works, too')],
  others = ['| C1.2 | another | it is not wanted |'],
  lines = ['| B1 | something | 2 |', '| C1 | something else | 2 |'],
  outcomes = { works: 'passed', 'a part > works, too': 'passed' },
  files = [],
}: Case = {}) {
  const folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    writeFileSync(join(folder.path, path), text);
  };
  for (const path of [file, 'packages/one/src/index.ts', ...files]) write(path, '');
  const assertionResults = Object.entries(outcomes).map(([name, status]) => {
    const titles = name.split(' > ');
    return { ancestorTitles: titles.slice(0, -1), title: titles.at(-1), status };
  });
  const testResults = [{ name: join(folder.path, file), assertionResults }];
  write('node_modules/.cache/mgpu/tests.json', JSON.stringify({ testResults }));
  write(
    'docs/reference/parity.md',
    ['# Parity', ...lines, '## Carried over', '### A part', ...rows, '## Not carried over', ...others, ''].join('\n'),
  );
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { cwd: folder.path, encoding: 'utf8' });
  return { status, stdout, problems: stderr.trim().split('\n').filter(Boolean) };
}

test('a page that is true is told with its counts', () => {
  expect(judge()).toEqual({
    status: 0,
    problems: [],
    stdout: 'parity: 3 features with their tests, 1 without; 0 problems\n',
  });
});

test.each<[string, Case, string]>([
  [
    'a test that is not there',
    { rows: [row('B1.1, C1.1', 'work'), row('B1.2', 'works')] },
    'B1.1, C1.1: no such test ran: .*work$',
  ],
  [
    'a test that failed',
    { outcomes: { works: 'failed', 'a part > works, too': 'passed' } },
    'B1.1, C1.1: failed: .*works',
  ],
  [
    'a test that was skipped without a reason',
    { outcomes: { works: 'pending', 'a part > works, too': 'passed' } },
    'B1.1, C1.1: was skipped, and the row does not say',
  ],
  [
    'a row without a test',
    { rows: ['| B1.1, C1.1, B1.2 | x | `packages/one/src` | TODO(later) |'] },
    'names no test: TODO\\(later\\)',
  ],
  [
    'a place that is not there',
    { rows: [row('B1.1, C1.1, B1.2', 'works').replace('one/src', 'two/src')] },
    'there is no packages/two/src',
  ],
  [
    'a test file that is not there',
    { rows: [row('B1.1, C1.1, B1.2', 'works').replace('one.test', 'two.test')] },
    'there is no .*two\\.test\\.ts',
  ],
  ['an id without a row', { rows: [row('B1.1, C1.1', 'works')] }, 'B1.2: it has no row'],
  ['an id with two rows', { others: ['| C1.2, C1.1 | another | no |'] }, 'C1.1: it has more than one row'],
  ['an id of no line', { others: ['| C1.2, C1.3 | another | no |'] }, 'C1.3: no such feature'],
  [
    'a line that is left out',
    { lines: ['| B1 | x | 2 |', '| C2 | x | 2 |'] },
    'checklist C: line 2 stands where 1 belongs',
  ],
  ['a feature left out without a reason', { others: ['| C1.2 | another |  |'] }, 'C1.2: .*no reason is given'],
])('%s is a problem', (_, wrong, problem) => {
  const { status, problems } = judge(wrong);
  expect(status).toBe(1);
  expect(problems).toContainEqual(expect.stringMatching(new RegExp(problem)));
});

test('what needs something that is not here may be skipped, and is told', () => {
  const outcomes = { works: 'passed', 'a part > works, too': 'skipped' };
  const rows = [row('B1.1, C1.1', 'works'), row('B1.2', 'a part > works, too').replace(/ \|$/, ' needs: sshd |')];
  const { status, problems, stdout } = judge({ outcomes, rows });
  expect({ status, problems }).toEqual({ status: 0, problems: [] });
  expect(stdout).toContain('B1.2: skipped for want of sshd: packages/one/test/one.test.ts > a part > works, too\n');
});

test('after a run of some test files only what ran is judged', () => {
  const other = 'apps/two/test/two.test.ts';
  const rows = [row('B1.1, C1.1', 'works'), row('B1.2', 'works').replaceAll(file, other)];
  const { status, stdout } = judge({ rows, files: [other] });
  expect(status).toBe(0);
  expect(stdout).toContain('not all test files ran');
  expect(judge({ rows: [row('B1.1, C1.1, B1.2', 'work')], files: [other] }).status).toBe(1);
});
