// check-parity.mjs: whether docs/reference/parity.md is true. Every id of both checklists has one row; what a row says is
// there exists; each test that it names passed in the run whose report Vitest wrote last. Runs after `npm test`, in the
// folder of the repository. Of a run of some test files only what ran is judged.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';

const page = 'docs/reference/parity.md';
const report = 'node_modules/.cache/mgpu/tests.json';
const testFiles = ['packages/*/{src,test}/**/*.test.ts', 'apps/*/{src,test}/**/*.test.ts', 'test/**/*.test.ts'];

const quoted = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text);

/** The tables: how many features each line of the checklists has, and the rows of each chapter. */
function readPage(text) {
  const lines = new Map();
  const rows = [];
  let chapter = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) chapter = line.slice(3).trim();
    if (!line.startsWith('|')) continue;
    const [first, ...cells] = line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim());
    if (/^[BC]\d+$/.test(first)) lines.set(first, Number(cells.at(-1)));
    if (/^[BC]\d+\.\d+(, [BC]\d+\.\d+)*$/.test(first)) rows.push({ ids: first.split(', '), chapter, cells });
  }
  return { lines, rows };
}

/** Ids that no row has, that several have, or that no line of the checklists knows. */
function* problemsOfIds({ lines, rows }) {
  const wanted = [...lines].flatMap(([line, count]) => Array.from({ length: count }, (_, at) => `${line}.${at + 1}`));
  const given = rows.flatMap(({ ids }) => ids);
  for (const list of ['B', 'C']) {
    const numbers = [...lines.keys()].filter((line) => line.startsWith(list)).map((line) => Number(line.slice(1)));
    if (numbers.length === 0) yield `checklist ${list}: no line is there`;
    for (const [at, number] of numbers.entries())
      if (number !== at + 1) yield `checklist ${list}: line ${number} stands where ${at + 1} belongs`;
  }
  for (const id of wanted) if (!given.includes(id)) yield `${id}: it has no row`;
  for (const id of new Set(given)) {
    if (!wanted.includes(id)) yield `${id}: no such feature is on the checklists`;
    if (given.filter((each) => each === id).length > 1) yield `${id}: it has more than one row`;
  }
}

/** Outcomes by full name, `file > describe > test`, as the page has them. Of several tests of one name the worst counts. */
function readOutcomes(text) {
  const order = ['passed', 'skipped', 'failed'];
  const outcomes = new Map();
  const ran = new Set();
  for (const { name, assertionResults } of JSON.parse(text).testResults) {
    const file = relative(process.cwd(), name);
    ran.add(file);
    for (const { ancestorTitles, title, status } of assertionResults) {
      const full = [file, ...ancestorTitles, title].join(' > ');
      const outcome = status === 'passed' || status === 'failed' ? status : 'skipped';
      const former = outcomes.get(full) ?? 'passed';
      outcomes.set(full, order[Math.max(order.indexOf(outcome), order.indexOf(former))]);
    }
  }
  return { outcomes, ran };
}

/** Judges the tests of one row that is carried over; `note` is told of what was skipped for a reason that the row gives. */
function* problemsOfTests([, , cell], { outcomes, ran }, isWhole, note) {
  const names = quoted(cell);
  if (names.length === 0) yield `names no test: ${cell || 'nothing'}`;
  const needs = /needs: ([^|<]+)/.exec(cell)?.[1].trim();
  for (const name of names) {
    const [file] = name.split(' > ');
    const outcome = outcomes.get(name);
    if (!existsSync(file)) yield `there is no ${file}`;
    else if (outcome === undefined && (isWhole || ran.has(file))) yield `no such test ran: ${name}`;
    else if (outcome === 'failed') yield `failed: ${name}`;
    else if (outcome === 'skipped' && needs === undefined)
      yield `was skipped, and the row does not say what it needs: ${name}`;
    else if (outcome === 'skipped') note(`skipped for want of ${needs}: ${name}`);
  }
}

const missing = [page, report].filter((path) => !existsSync(path));
if (missing.length > 0) {
  console.error(`parity cannot be judged: ${missing.join(' and ')} not there; run npm test`);
  process.exit(1);
}
const parity = readPage(readFileSync(page, 'utf8'));
const run = readOutcomes(readFileSync(report, 'utf8'));
const isWhole = globSync(testFiles).every((file) => run.ran.has(file));
const problems = [...problemsOfIds(parity)];
const notes = [];
for (const { ids, chapter, cells } of parity.rows) {
  const id = ids.join(', ');
  if (chapter === 'Carried over') {
    for (const path of quoted(cells[1]).filter((each) => each.includes('/')))
      if (!existsSync(path)) problems.push(`${id}: there is no ${path}`);
    const note = (text) => notes.push(`${id}: ${text}`);
    for (const problem of problemsOfTests(cells, run, isWhole, note)) problems.push(`${id}: ${problem}`);
  } else if (!cells.at(-1)) problems.push(`${id}: it is not carried over, and no reason is given`);
}
for (const note of notes) console.log(note);
for (const problem of problems) console.error(problem);
const count = (chapter) => parity.rows.filter((each) => each.chapter === chapter).flatMap(({ ids }) => ids).length;
const rest = parity.rows.flatMap(({ ids }) => ids).length - count('Carried over');
console.log(
  `parity: ${count('Carried over')} features with their tests, ${rest} without; ${problems.length} problems` +
    `${isWhole ? '' : ` (not all test files ran: only what ran was judged)`}`,
);
process.exitCode = problems.length > 0 ? 1 : 0;
